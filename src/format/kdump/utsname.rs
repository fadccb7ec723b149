//! `struct new_utsname`: what the crashed kernel calls itself.

use crate::format::wire::{self, FieldVisitor, Record, StructLayout};

/// Bytes of each string of `struct new_utsname`, with its NUL.
pub const UTS_FIELD_BYTES: usize = 65;

/// The kernel's `struct new_utsname`: six strings of 65 bytes, each with its NUL.
///
/// ```text
/// 0 sysname  65 nodename  130 release  195 version  260 machine  325 domainname  390 (sizeof)
/// ```
///
/// It is the same in every layout. The kernel keeps it in memory, at `SYMBOL(init_uts_ns)` +
/// `OFFSET(uts_namespace.name)` of VMCOREINFO; makedumpfile and this crate read it there, while QEMU
/// leaves all but `machine` empty ("Unknown").
///
/// libkdumpfile recognises the architecture only if sysname is "Linux", release, version and machine
/// are not empty, and the last byte of each string is 0. Without an architecture, drgn refuses the
/// file. So drgn opens no kdump file of QEMU until these four strings are filled in. crash refuses a
/// file whose `machine` is another than the one it was built for, if it knows that name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewUtsname {
    /// "Linux".
    pub sysname: String,
    /// The host's name.
    pub nodename: String,
    /// Such as "6.1.0-56-cloud-amd64".
    pub release: String,
    /// Such as "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1".
    pub version: String,
    /// Such as "x86_64".
    pub machine: String,
    /// The NIS domain's name.
    pub domainname: String,
}

impl NewUtsname {
    /// Bytes of the struct, in every layout.
    pub const BYTES: usize = 6 * UTS_FIELD_BYTES;

    /// Reads the struct from the kernel's memory; `None` if it is too short, or a string has no NUL
    /// or is not printable ASCII.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = bytes.chunks_exact(UTS_FIELD_BYTES).map(|field| {
            let end = field.iter().position(|&byte| byte == 0)?;
            let text = std::str::from_utf8(field.get(..end)?).ok()?;
            text.bytes().all(|byte| (b' '..=b'~').contains(&byte)).then(|| text.to_owned())
        });
        let mut next = || fields.next().flatten();
        Some(NewUtsname {
            sysname: next()?,
            nodename: next()?,
            release: next()?,
            version: next()?,
            machine: next()?,
            domainname: next()?,
        })
    }

    /// The struct as the kernel has it in memory. A string of more than 64 bytes is cut off.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Only strings: they are the same in every layout.
        wire::encode(self, StructLayout::Packed32)
    }
}

impl Record for NewUtsname {
    fn visit(&mut self, fields: &mut dyn FieldVisitor) {
        for (field, string) in [
            ("sysname", &mut self.sysname),
            ("nodename", &mut self.nodename),
            ("release", &mut self.release),
            ("version", &mut self.version),
            ("machine", &mut self.machine),
            ("domainname", &mut self.domainname),
        ] {
            let mut chars = [0; UTS_FIELD_BYTES];
            let text = chars.iter_mut().take(UTS_FIELD_BYTES - 1);
            text.zip(string.bytes()).for_each(|(to, from)| *to = from);
            fields.chars(field, &mut chars);
            let text = chars.split(|&byte| byte == 0).next().unwrap_or(&[]);
            *string = String::from_utf8_lossy(text).into_owned();
        }
    }
}
