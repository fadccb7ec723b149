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

pub(super) const UNSUPPORTED: [UnsupportedOption; 16] = [
    option("-b", Some("ORDER"), NotNeeded),
    option("--cyclic-buffer", Some("SIZE"), NotNeeded),
    option("--non-cyclic", None, NotNeeded),
    option("--non-mmap", None, NotNeeded),
    option("--splitblock-size", Some("SIZE"), NotNeeded),
    option(
        "-x",
        Some("VMLINUX"),
        Ignored("VMLINUX is not read; the VMCOREINFO in VMCORE is enough"),
    ),
    option("-X", None, Ignored("Xen is not supported; pages of its user domains are kept")),
    option(
        "--vtop",
        Some("ADDRESS"),
        Ignored("the address is not translated; use the command vtop of crash"),
    ),
    option("--config", Some("FILE"), Refused(FILTERS)),
    option("--eppic", Some("FILE"), Refused(FILTERS)),
    option("--extension", Some("FILE"), Refused(FILTERS)),
    option(
        "-g",
        Some("VMCOREINFO"),
        Refused(
            "VMCOREINFO cannot be made from a VMLINUX; kdumpconv --find-vmcoreinfo finds it in the memory of the kernel",
        ),
    ),
    option(
        "--diskset",
        Some("VMCORE"),
        Refused("dumps of sadump are not supported; use the makedumpfile of your distribution"),
    ),
    option("--xen-syms", Some("FILE"), Refused(XEN)),
    option("--xen-vmcoreinfo", Some("FILE"), Refused(XEN)),
    option("--xen_phys_start", Some("ADDRESS"), Refused(XEN)),
];

const FILTERS: &str =
    "data cannot be filtered or erased; use the makedumpfile of your distribution";
const XEN: &str = "dumps of Xen are not supported; use the makedumpfile of your distribution";

/// Headings of the help.
const IGNORED: &str = "Ignored";
const REFUSED: &str = "Refused, with exit code 2";

impl UnsupportedOption {
    /// The option as clap defines it, with its name as its id.
    pub(super) fn arg(&self) -> Arg {
        let UnsupportedOption { name, value, treatment } = self;
        let arg = match name.strip_prefix("--") {
            Some(long) => Arg::new(*name).long(long),
            None => Arg::new(*name).short(name.chars().nth(1)),
        };
        let (heading, why) = match treatment {
            NotNeeded => (IGNORED, "Not needed"),
            Ignored(why) => (IGNORED, *why),
            Refused(why) => (REFUSED, *why),
        };
        let arg = arg.help_heading(heading).help(capitalised(why)).hide_short_help(true);
        match value {
            Some(value) => arg.value_name(*value).action(ArgAction::Append),
            None => arg.action(ArgAction::SetTrue),
        }
    }
}

/// A message as the help has it.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
