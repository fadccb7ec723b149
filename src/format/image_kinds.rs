//! The kinds of memory images that are read, and the first bytes by which they are recognised.
//!
//! | kind | where its signature is defined |
//! |---|---|
//! | LiME | a little-endian `uint` 0x4c694d45 (LiME's doc) |
//! | VMware's state | 0xbed2bed2 and its kin, see [`vmware`](super::vmware) |
//! | Xen's core | an ELF core without program headers, see [`xen`](super::xen) |
//! | AVML | a little-endian `uint` 0x4c4d5641 (avml's `src/image.rs`) |
//! | QEMU | `QEMU_VM_FILE_MAGIC`, big-endian (QEMU's `migration/savevm.h`) |
//! | libvirt | `QEMU_SAVE_MAGIC`, `QEMU_SAVE_PARTIAL`, see [`libvirt`](super::libvirt) |

use std::fmt;

use crate::format::{libvirt, qemu};

/// A kind of file that has the memory of a machine, but is neither an ELF vmcore nor a kdump file.
///
/// Its text is a noun: "a LiME image".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImageKind {
    /// Memory without any header.
    Raw,
    /// Memory as the kernel module LiME writes it, or AVML without compression.
    Lime,
    /// The state of a VMware guest (.vmss, .vmsn), whose memory may be in another file (.vmem).
    Vmware,
    /// A core of a guest of Xen, as `xl dump-core` writes it.
    Xen,
    /// Memory as AVML compresses it.
    Avml,
    /// A migration stream of QEMU: of `migrate file:`, `savevm`, or `virsh dump` without
    /// `--memory-only`.
    QemuMigration,
    /// A guest that libvirt saved: its header, then a migration stream of QEMU.
    LibvirtSave,
}

impl ImageKind {
    /// A name of one lower-case word.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            ImageKind::Raw => "raw",
            ImageKind::Lime => "lime",
            ImageKind::Vmware => "vmware",
            ImageKind::Xen => "xen",
            ImageKind::Avml => "avml",
            ImageKind::QemuMigration => "qemu-migration",
            ImageKind::LibvirtSave => "libvirt-save",
        }
    }
}

impl fmt::Display for ImageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ImageKind::Raw => "raw memory",
            ImageKind::Lime => "LiME image",
            ImageKind::Vmware => "VMware state",
            ImageKind::Xen => "Xen core",
            ImageKind::Avml => "AVML image",
            ImageKind::QemuMigration => "QEMU migration stream",
            ImageKind::LibvirtSave => "saved guest of libvirt",
        })
    }
}

/// The offset of a signature, the signature, and the kind of image that has it.
const SIGNATURES: &[(usize, &[u8], ImageKind)] = &[
    (0, b"EMiL", ImageKind::Lime),
    (0, b"AVML", ImageKind::Avml),
    (0, b"\xd2\xbe\xd2\xbe", ImageKind::Vmware),
    (0, b"\xd3\xbe\xd3\xbe", ImageKind::Vmware),
    (0, b"\xd1\xba\xd1\xba", ImageKind::Vmware),
    (0, b"\xd2\xba\xd2\xba", ImageKind::Vmware),
    (0, b"\xd0\xbe\xd0\xbe", ImageKind::Vmware),
    (0, b"\xd0\xbe\xd2\xbe", ImageKind::Vmware),
    (0, &qemu::MAGIC, ImageKind::QemuMigration),
    (0, libvirt::MAGIC, ImageKind::LibvirtSave),
    (0, libvirt::MAGIC_PARTIAL, ImageKind::LibvirtSave),
];

/// The kind of image that begins with `first`. Raw memory has nothing to be recognised by.
pub(crate) fn image_kind(first: &[u8]) -> Option<ImageKind> {
    let has = |at: usize, signature: &[u8]| {
        first.get(at..).is_some_and(|bytes| bytes.starts_with(signature))
    };
    SIGNATURES.iter().find(|(at, signature, _)| has(*at, signature)).map(|(.., kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_recognised_by_its_signature_and_by_no_less() {
        for &(at, signature, kind) in SIGNATURES {
            let mut file = vec![0; at];
            file.extend_from_slice(signature);
            assert_eq!(image_kind(&file), Some(kind), "{signature:?}");
            file.pop();
            assert_eq!(image_kind(&file), None, "a part of {signature:?}");
        }
    }
}
