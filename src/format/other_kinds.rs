//! The first bytes of files that are neither dumps nor flattened, so that an error can name them.
//!
//! | kind | where its signature is defined |
//! |---|---|
//! | Xen | `XC_SAVE_SIGNATURE`, xl's `savefileheader_magic`, `XC_CORE_MAGIC` and `XC_CORE_MAGIC_HVM` |
//! | LKCD, s390 | `DUMP_MAGIC_NUMBER`, `DUMP_MAGIC_LIVE` and `DUMP_MAGIC_S390` of LKCD, in the dump's byte order |
//! | sadump | `SADUMP_SIGNATURE`; after the first block on backup media |
//! | s390 in a DASD partition | `DF_S390_MAGIC_BLK_ECKD` of s390-tools' `zdump/df_s390.h` |
//! | VMDUMP | `FMBK_MAGIC` of s390-tools' `zdump/df_vmdump.h`, in the second record |
//! | Hyper-V | the signature of its storage, 0x01282014, little-endian (dissect.hypervisor) |
//! | hibernation | `HIBERN_SIG` of `kernel/power/swap.c`, 10 bytes before the end of the swap header's page; those of uswsusp and others in libblkid's `swap.c` |
//! | kernels | x86 and arm64 boot protocols; PE, as EFI stubs are; U-Boot's `IH_MAGIC` |
//! | all others | file(1) |

use crate::error::UnsupportedKind;
use UnsupportedKind::{
    Bzip2, DiskImage, Diskdump, Gzip, Hibernation, HypervState, KernelImage, Lkcd, Lz4, Lzip, Lzop,
    Minidump, Qcow2, QemuChannel, S390Dump, Sadump, SevenZip, Tar, VirtualBoxState, VmDump,
    WindowsDump, XenCore, XenSave, Xz, Zip, Zstd,
};

/// The number of bytes by which every kind is recognised; fewer identify most.
pub(crate) const OTHER_KIND_BYTES: usize = 64 << 10;

/// Bytes of a text that are looked at.
const TEXT_BYTES: usize = 512;

/// The offset of a signature, the signature, and the kind of file that has it.
const SIGNATURES: &[(usize, &[u8], UnsupportedKind)] = &[
    // Of bytes in memory, and of files that are compressed twice.
    (0, b"\x1f\x8b", Gzip),
    (0, b"\x28\xb5\x2f\xfd", Zstd),
    (0, b"\xfd7zXZ\0", Xz),
    (0, b"BZh", Bzip2),
    (0, b"\x04\x22\x4d\x18", Lz4),
    // Legacy frames, as in kernels.
    (0, b"\x02\x21\x4c\x18", Lz4),
    (0, b"\x89LZO", Lzop),
    (0, b"LZIP", Lzip),
    (0, b"7z\xbc\xaf\x27\x1c", SevenZip),
    (0, b"PK\x03\x04", Zip),
    (257, b"ustar", Tar),
    (0, b"\x11\x22\x33\x44\0\0\0\x01", QemuChannel),
    (0, b"\x7fVirtualBox SavedState", VirtualBoxState),
    (0, b"LinuxGuestRecord", XenSave),
    (0, b"Xen saved domain", XenSave),
    (0, b"\xed\xeb\x0f\xf0", XenCore),
    (0, b"\xee\xeb\x0f\xf0", XenCore),
    (4096 - 10, b"S1SUSPEND", Hibernation),
    (16384 - 10, b"S1SUSPEND", Hibernation),
    (65536 - 10, b"S1SUSPEND", Hibernation),
    // Of other programs and versions.
    (4096 - 10, b"S2SUSPEND", Hibernation),
    (4096 - 10, b"ULSUSPEND", Hibernation),
    (4096 - 10, b"LINHIB0001", Hibernation),
    (0, b"\xa8\x19\x01\x73\x61\x8f\x23\xfd", S390Dump),
    // In the image of a DASD partition, whose first blocks are those of a disk.
    (3 * 4096, b"\xa8\x19\x01\x73\x61\x8f\x23\xfd", S390Dump),
    // HCPDFMBK in EBCDIC.
    (4096, b"\xc8\xc3\xd7\xc4\xc6\xd4\xc2\xd2", VmDump),
    (0, b"\xed\x23\x8f\x61\x73\x01\x19\xa8", Lkcd),
    (0, b"\xa8\x19\x01\x73\x61\x8f\x23\xed", Lkcd),
    (0, b"\xcd\x23\x8f\x61\x73\x01\x19\xa8", Lkcd),
    (0, b"\xa8\x19\x01\x73\x61\x8f\x23\xcd", Lkcd),
    (0, b"DISKDUMP", Diskdump),
    (0, b"diskdump", Diskdump),
    (0, b"sadump\0\0", Sadump),
    (4096, b"sadump\0\0", Sadump),
    (0, b"PAGEDUMP", WindowsDump),
    (0, b"PAGEDU64", WindowsDump),
    (0, b"MDMP", Minidump),
    (0, b"\x14\x20\x28\x01", HypervState),
    (0, b"QFI\xfb", Qcow2),
    (0, b"KDMV", DiskImage),
    (0, b"conectix", DiskImage),
    (0, b"vhdxfile", DiskImage),
    (64, b"\x7f\x10\xda\xbe", DiskImage),
    (514, b"HdrS", KernelImage),
    (56, b"ARM\x64", KernelImage),
    (0, b"MZ", KernelImage),
    (0, b"\x27\x05\x19\x56", KernelImage),
];

/// The kind of a file by its first bytes, which are those of no dump; `None` if no kind is known by
/// them. Raw memory has nothing to be known by.
pub(crate) fn other_kind(first: &[u8]) -> Option<UnsupportedKind> {
    let has = |at: usize, signature: &[u8]| {
        first.get(at..).is_some_and(|bytes| bytes.starts_with(signature))
    };
    let signed = SIGNATURES.iter().find(|(at, signature, _)| has(*at, signature));
    let kind = signed.map(|(.., kind)| *kind);
    kind.or_else(|| is_text(first).then_some(UnsupportedKind::Text))
}

/// Whether the first bytes are characters that text files consist of.
fn is_text(first: &[u8]) -> bool {
    let (first, _) = first.split_at(first.len().min(TEXT_BYTES));
    let is_control = |c: char| c.is_control() && !c.is_ascii_whitespace() && c != '\x1b';
    // The last character may be cut in two.
    let text = first.utf8_chunks().next().filter(|chunk| first.len() - chunk.valid().len() < 4);
    text.is_some_and(|chunk| !chunk.valid().is_empty() && !chunk.valid().contains(is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(at: usize, signature: &[u8]) -> Vec<u8> {
        let mut file = vec![0; at];
        file.extend_from_slice(signature);
        file.resize(file.len() + 300, 0);
        file
    }

    #[test]
    fn each_kind_is_recognised_by_its_signature_and_by_no_less() {
        for &(at, signature, kind) in SIGNATURES {
            let file = file_of(at, signature);
            assert_eq!(other_kind(&file), Some(kind), "{signature:?}");
            assert!(at + signature.len() <= OTHER_KIND_BYTES);
            for len in 0..file.len() {
                let expected = (len >= at + signature.len()).then_some(kind);
                let found = other_kind(&file[..len]).filter(|&kind| kind != UnsupportedKind::Text);
                assert_eq!(found, expected, "{len} bytes of {signature:?}");
            }
        }
    }

    #[test]
    fn no_signature_hides_another() {
        for &(at, signature, kind) in SIGNATURES {
            let file = file_of(at, signature);
            for &(at, other, other_kind) in SIGNATURES {
                let has = file.get(at..).is_some_and(|bytes| bytes.starts_with(other));
                assert!(!has || other_kind == kind, "{signature:?} also has {other:?}");
            }
        }
    }

    #[test]
    fn text_is_recognised_in_any_language_and_nothing_else_is_text() {
        let is_text = |bytes: &[u8]| other_kind(bytes) == Some(UnsupportedKind::Text);
        assert!(is_text(b"[    0.000000] Linux version 6.1.0\r\n\tx \x1b[0m"));
        let long = "aé".repeat(400);
        for len in 1..600 {
            assert!(is_text(&long.as_bytes()[..len]), "{len} bytes");
        }
        for other in [&b""[..], &[0; 5000], b"ab\0cd", b"ab\xff\xfe cd ef", b"\xe9", b"\x01"] {
            assert!(!is_text(other), "{other:?}");
        }
    }
}
