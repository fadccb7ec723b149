//! makedumpfile's options that have no counterpart: ignored, or refused with advice.
//!
//! An option that only makes a dump smaller or faster is ignored: in a capture kernel, a larger dump
//! is better than none. An option that erases data is refused: whoever asks for that relies on it.

use clap::{Arg, ArgAction};

/// How an option is treated.
#[derive(Debug, Clone, Copy)]
pub(super) enum Treatment {
    /// Ignored without a message: nobody misses its effect.
    NotNeeded,
    /// Ignored with this message: the dump is as good without it.
    Ignored(&'static str),
    /// Refused for this reason: nothing is written.
    Refused(&'static str),
}

/// An option without a counterpart.
pub(super) struct UnsupportedOption {
    /// Its name, with its dashes.
    pub(super) name: &'static str,
    /// The name of its value, if it has one.
    pub(super) value: Option<&'static str>,
    pub(super) treatment: Treatment,
}

const fn option(
    name: &'static str,
    value: Option<&'static str>,
    treatment: Treatment,
) -> UnsupportedOption {
    UnsupportedOption { name, value, treatment }
}

use Treatment::{Ignored, NotNeeded, Refused};

pub(super) const UNSUPPORTED: [UnsupportedOption; 21] = [
    option("-b", Some("ORDER"), NotNeeded),
    option("--cyclic-buffer", Some("SIZE"), NotNeeded),
    option("--non-cyclic", None, NotNeeded),
    option("--non-mmap", None, NotNeeded),
    option("--splitblock-size", Some("SIZE"), NotNeeded),
    option("--work-dir", Some("DIR"), NotNeeded),
    option(
        "-x",
        Some("VMLINUX"),
        Ignored("VMLINUX is not read: VMCOREINFO in VMCORE has what is needed"),
    ),
    option("-e", None, Ignored("unused pages of the vmemmap are kept")),
    option("-X", None, Ignored("no page is excluded for Xen, which is not supported")),
    option("--vtop", Some("ADDRESS"), Ignored("no address is translated; crash has vtop")),
    option("--partial-dmesg", None, Ignored("the log is written from its start")),
    option("--config", Some("FILE"), Refused(ERASES)),
    option("--eppic", Some("FILE"), Refused(ERASES)),
    option("--extension", Some("FILE"), Refused(ERASES)),
    option(
        "--split",
        None,
        Refused("one file is written, by all CPUs: name one DUMPFILE, without --split"),
    ),
    option(
        "--reassemble",
        None,
        Refused(
            "kdumpconv -l PART1 --part PART2 DUMPFILE joins a split set (-c, -p, -z: as its pages are compressed)",
        ),
    ),
    option(
        "-g",
        Some("VMCOREINFO"),
        Refused(
            "VMCOREINFO is not made from a VMLINUX: the kernel has it in its memory, where kdumpconv --find-vmcoreinfo finds it",
        ),
    ),
    option(
        "--diskset",
        Some("VMCORE"),
        Refused("dumps of sadump are not read, makedumpfile does that"),
    ),
    option("--xen-syms", Some("FILE"), Refused(XEN)),
    option("--xen-vmcoreinfo", Some("FILE"), Refused(XEN)),
    option("--xen_phys_start", Some("ADDRESS"), Refused(XEN)),
];

const ERASES: &str = "no data is erased from a dump, makedumpfile does that";
const XEN: &str = "dumps of Xen are not read, makedumpfile does that";

impl UnsupportedOption {
    /// The option as clap defines it, with its name as its id.
    pub(super) fn arg(&self) -> Arg {
        let UnsupportedOption { name, value, treatment } = self;
        let arg = match name.strip_prefix("--") {
            Some(long) => Arg::new(*name).long(long),
            None => Arg::new(*name).short(name.chars().nth(1)),
        };
        let help = match treatment {
            NotNeeded => "Ignored, and not needed".to_owned(),
            Ignored(why) => format!("Ignored: {why}"),
            Refused(why) => format!("Refused: {why}"),
        };
        let arg = arg.help(help);
        match value {
            Some(value) => arg.value_name(*value).action(ArgAction::Append),
            None => arg.action(ArgAction::SetTrue),
        }
    }
}
