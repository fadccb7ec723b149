//! Files of raw memory: `FILE@ADDR`, and the options that say what no header does.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::ValueEnum;
use kdumpconv::{Architecture, ByteOrder, Machine, PhysAddr};

use super::help::heading;

/// Where raw memory belongs, and of which machine it is.
#[derive(Debug, Clone, Default, PartialEq, clap::Args)]
#[command(next_help_heading = heading::INPUT, next_display_order = 1)]
pub(crate) struct RawArgs {
    /// INPUT is raw memory, whose place is found
    ///
    /// The VMCOREINFO in it and the kernel's map of memory prove where its parts belong. Name the
    /// place if that is known: FILE@ADDR, with 0x for hexadecimal. Several files are one memory:
    /// kdumpconv LOW@0x80000000 HIGH@0x100000000 OUTPUT.
    #[arg(long, hide_short_help = true, conflicts_with = "layout")]
    pub(crate) raw: bool,

    /// INPUT is raw memory of this kind: firecracker, cloud-hypervisor, pmemsave
    ///
    /// firecracker is the memory file of a snapshot, cloud-hypervisor the memory-ranges of one, with
    /// its state.json beside it. pmemsave is what that command of QEMU writes from address 0 on.
    #[arg(long, value_enum, value_name = "NAME", hide_short_help = true)]
    #[arg(hide_possible_values = true)]
    pub(crate) layout: Option<LayoutArg>,

    /// The architecture, if a memory image does not tell it
    ///
    /// As in `uname -m`: x86_64, i686, aarch64, armv7l, ppc64le, ppc64, s390x, riscv64, loongarch64
    /// and others. It is only needed without a VMCOREINFO.
    #[arg(long, value_name = "NAME", value_parser = parse_machine, hide_short_help = true)]
    pub(crate) arch: Option<Machine>,
}

/// A kind of raw memory by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayoutArg {
    /// The memory file of a snapshot.
    Firecracker,
    /// The file memory-ranges of a snapshot.
    CloudHypervisor,
    /// From address 0 on.
    Pmemsave,
}

/// A word `FILE@ADDR`, taken apart. A file that has the whole word as its name is meant itself.
pub(crate) fn split_address(word: &Path) -> (&Path, Option<PhysAddr>) {
    let bytes = word.as_os_str().as_bytes();
    let at = bytes.iter().rposition(|&byte| byte == b'@');
    let parts = at.and_then(|at| Some((bytes.get(..at)?, bytes.get(at + 1..)?)));
    match parts {
        Some((file, address)) if !file.is_empty() && word.symlink_metadata().is_err() => {
            match std::str::from_utf8(address).ok().and_then(parse_address) {
                Some(address) => (Path::new(OsStr::from_bytes(file)), Some(address)),
                None => (word, None),
            }
        }
        _ => (word, None),
    }
}

/// Parses a physical address, decimal or hexadecimal with 0x.
fn parse_address(text: &str) -> Option<PhysAddr> {
    let is_number = text.starts_with(|first: char| first.is_ascii_digit());
    let number = match text.strip_prefix("0x") {
        Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16),
        _ => text.parse(),
    };
    number.ok().filter(|_| is_number).map(PhysAddr::new)
}

/// Parses the name of a machine, as `uname -m` prints it.
fn parse_machine(name: &str) -> Result<Machine, String> {
    let unknown = || "expected a machine of uname -m such as x86_64 or s390x".to_owned();
    let arch = Architecture::of_uts_machine(name).ok_or_else(unknown)?;
    let orders = [ByteOrder::Little, ByteOrder::Big];
    // The names of most machines have one byte order, and those of the others say which.
    let named = orders.into_iter().find(|order| arch.uts_machine(*order) == name);
    let is_big = matches!(arch, Architecture::S390x | Architecture::S390 | Architecture::Sparc64);
    let order = if is_big { ByteOrder::Big } else { named.unwrap_or(ByteOrder::Little) };
    Ok(Machine { arch, order })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_an_address() {
        let split = |word: &'static str| {
            let (file, address) = split_address(Path::new(word));
            (file.to_str().unwrap(), address.map(kdumpconv::Position::get))
        };
        assert_eq!(split("ram.bin@0x80000000"), ("ram.bin", Some(0x8000_0000)));
        assert_eq!(split("a@b@4096"), ("a@b", Some(4096)));
        for word in
            ["ram.bin", "ram@", "@0x1000", "ram@0x", "ram@-1", "ram@+1", "ram@0x+1", "ram@1G"]
        {
            assert_eq!(split(word), (word, None));
        }
    }

    #[test]
    fn a_machine_has_its_byte_order() {
        let parse = |name| parse_machine(name).map(|machine| (machine.arch, machine.order));
        assert_eq!(parse("x86_64"), Ok((Architecture::X86_64, ByteOrder::Little)));
        assert_eq!(parse("s390x"), Ok((Architecture::S390x, ByteOrder::Big)));
        assert_eq!(parse("ppc64"), Ok((Architecture::Ppc64, ByteOrder::Big)));
        assert_eq!(parse("ppc64le"), Ok((Architecture::Ppc64, ByteOrder::Little)));
        assert_eq!(parse("armv7l"), Ok((Architecture::Arm, ByteOrder::Little)));
        assert_eq!(parse("armv7b"), Ok((Architecture::Arm, ByteOrder::Big)));
        assert!(parse("vax").is_err());
    }
}
