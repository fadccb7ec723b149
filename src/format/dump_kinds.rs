//! Whether a file is one that can be opened, by its first bytes.

use goblin::elf::header::ET_CORE;

use crate::format::elf::is_elf;
use crate::format::flattened::is_flattened;
use crate::format::image_kind;
use crate::format::kdump::KDUMP_SIGNATURE;

/// Whether a file that begins with `first` is an ELF core, a kdump file, a flattened file or a memory
/// image. Raw memory has nothing to be recognised by.
pub(crate) fn begins_dump(first: &[u8]) -> bool {
    is_elf_core(first)
        || is_flattened(first)
        || first.starts_with(KDUMP_SIGNATURE)
        || image_kind(first).is_some()
}

/// Whether `e_type` is that of a core, in the byte order that `EI_DATA` says: an archive may have
/// vmlinux beside the dump.
fn is_elf_core(first: &[u8]) -> bool {
    let e_type = match (first.get(5), first.get(16..18)) {
        (Some(1), Some([low, high])) => u16::from_le_bytes([*low, *high]),
        (Some(2), Some([high, low])) => u16::from_be_bytes([*high, *low]),
        _ => return false,
    };
    is_elf(first) && e_type == ET_CORE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_elf_core_is_a_dump_and_vmlinux_is_not() {
        let elf = |data: u8, e_type: [u8; 2]| [&b"\x7fELF\x02"[..], &[data; 11], &e_type].concat();
        assert!(begins_dump(&elf(1, [4, 0])) && begins_dump(&elf(2, [0, 4])));
        assert!(!begins_dump(&elf(1, [2, 0])) && !begins_dump(&elf(1, [0, 4])));
        assert!(!begins_dump(&elf(1, [4, 0])[..17]) && !begins_dump(&elf(3, [4, 0])));
        assert!(begins_dump(b"KDUMP   ") && begins_dump(b"makedumpfile\0\0\0\0"));
        assert!(begins_dump(b"EMiL") && !begins_dump(b"") && !begins_dump(b"text"));
    }
}
