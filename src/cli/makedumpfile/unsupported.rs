//! makedumpfile's options that have no counterpart: passed over, or refused with what to do instead.
//!
//! What only makes a dump smaller or quicker is passed over: in a capture kernel, a larger dump is
//! better than none. What erases data from a dump must not be: who asks for that means it.

use clap::{Arg, ArgAction};

/// What becomes of an option.
#[derive(Debug, Clone, Copy)]
pub(super) enum Treatment {
    /// Nobody misses it.
    NotNeeded,
    /// It does not do what it says, and the dump is as good; this is said.
    PassedOver(&'static str),
    /// Nothing is written.
    Refused(&'static str),
}

/// An option, with its dashes, and the name of its value.
pub(super) struct Other(
    pub(super) &'static str,
    pub(super) Option<&'static str>,
    pub(super) Treatment,
);

use Treatment::{NotNeeded, PassedOver, Refused};

pub(super) const OTHERS: [Other; 21] = [
    Other("-b", Some("ORDER"), NotNeeded),
    Other("--cyclic-buffer", Some("SIZE"), NotNeeded),
    Other("--non-cyclic", None, NotNeeded),
    Other("--non-mmap", None, NotNeeded),
    Other("--splitblock-size", Some("SIZE"), NotNeeded),
    Other("--work-dir", Some("DIR"), NotNeeded),
    Other(
        "-x",
        Some("VMLINUX"),
        PassedOver("VMLINUX is not read: VMCOREINFO in VMCORE tells what is needed"),
    ),
    Other("-e", None, PassedOver("unused pages of the vmemmap stay in")),
    Other("-X", None, PassedOver("Xen is not known, and no page is left out for it")),
    Other("--vtop", Some("ADDRESS"), PassedOver("no address is translated; crash has vtop")),
    Other("--partial-dmesg", None, PassedOver("the log is written from its start")),
    Other("--config", Some("FILE"), Refused(ERASES)),
    Other("--eppic", Some("FILE"), Refused(ERASES)),
    Other("--extension", Some("FILE"), Refused(ERASES)),
    Other(
        "--split",
        None,
        Refused("one file is written, by all CPUs: name one DUMPFILE, without --split"),
    ),
    Other(
        "--reassemble",
        None,
        Refused(
            "kdumpconv -l PART1 --part PART2 DUMPFILE puts a set together (-c, -p, -z: as its pages are compressed)",
        ),
    ),
    Other(
        "-g",
        Some("VMCOREINFO"),
        Refused(
            "VMCOREINFO is not made of a VMLINUX: the kernel has it in its memory, where kdumpconv --find-vmcoreinfo finds it",
        ),
    ),
    Other(
        "--diskset",
        Some("VMCORE"),
        Refused("dumps of sadump are not read, makedumpfile does that"),
    ),
    Other("--xen-syms", Some("FILE"), Refused(XEN)),
    Other("--xen-vmcoreinfo", Some("FILE"), Refused(XEN)),
    Other("--xen_phys_start", Some("ADDRESS"), Refused(XEN)),
];

const ERASES: &str = "no data is erased from a dump, makedumpfile does that";
const XEN: &str = "dumps of Xen are not read, makedumpfile does that";

impl Other {
    /// For clap; its id is its name.
    pub(super) fn arg(&self) -> Arg {
        let Other(name, value, fate) = self;
        let arg = match name.strip_prefix("--") {
            Some(long) => Arg::new(*name).long(long),
            None => Arg::new(*name).short(name.chars().nth(1)),
        };
        let help = match fate {
            NotNeeded => "Taken and not needed".to_owned(),
            PassedOver(why) => format!("Passed over: {why}"),
            Refused(why) => format!("Refused: {why}"),
        };
        let arg = arg.help(help);
        match value {
            Some(value) => arg.value_name(*value).action(ArgAction::Append),
            None => arg.action(ArgAction::SetTrue),
        }
    }
}
