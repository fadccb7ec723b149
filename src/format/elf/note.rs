//! The notes of a core, and how one is encoded.

use goblin::elf::note::Nhdr32;
use scroll::Pread;

use super::endian;
use crate::format::wire::ByteOrder;

/// Bytes of the header before a note's name, in every class.
pub const NOTE_HEADER_BYTES: usize = 12;

/// Registers of a CPU of a protected guest (Secure Execution), encrypted as all of its memory is
/// (include/uapi/linux/elf.h).
pub const NT_S390_PV_CPU_DATA: u32 = 0x30e;

/// `Elf32_Nhdr`, the header of one note, 12 bytes in both classes:
///
/// ```text
///           0     1     2     3     4     5     6     7
///        +-----+-----+-----+-----+-----+-----+-----+-----+
///      0 |        n_namesz       |        n_descsz       |
///        +-----------------------+-----------------------+
///      8 |         n_type        |
///        +-----------------------+
/// ```
///
/// The name follows, with its NUL, then the descriptor. Each is padded to 4 bytes, in ELF64, too,
/// where the specification asks for 8. The last note of a segment need not be padded.
///
/// Notes that kernel dumps have:
///
/// | name | `n_type` | descriptor | needed by |
/// |---|---|---|---|
/// | CORE | 1, `NT_PRSTATUS` | registers of one CPU, see [`Prstatus`](super::Prstatus) | crash, libkdumpfile |
/// | VMCOREINFO | 0 | text, below | all readers |
/// | QEMU | 0 | QEMU's state of one CPU | crash: registers, and in place of VMCOREINFO |
/// | ERASEINFO | 0 | text: what `makedumpfile --config` erased | makedumpfile, crash |
/// | LINUX | 0x700, `NT_VMCOREDD` | a device's own dump, any size; the first notes of /proc/vmcore | |
/// | LINUX | 0x30e, `NT_S390_PV_CPU_DATA` | encrypted registers of a CPU of a protected guest of s390x | zgetdump |
/// | Xen, VMCOREINFO_XEN | | state of a Xen hypervisor | |
///
/// - crash counts any note with `n_type` 1 as a CPU, whatever its name: never add one. It maps the
///   notes named QEMU to CPUs one to one. libkdumpfile wants the name CORE, must know the
///   architecture first, and fails to open the file if the descriptor is too short for it.
/// - Without notes of CPUs crash works ("registers not collected"). Without VMCOREINFO it works if there
///   are QEMU's notes, and otherwise exits with 1. drgn needs VMCOREINFO.
///
/// # VMCOREINFO
///
/// Lines of ASCII text, `KEY=value` and a newline each, which the kernel writes about itself
/// (kernel/vmcore_info.c and arch/*/kernel/vmcore_info.c; documented in the kernel's
/// Documentation/admin-guide/kdump/vmcoreinfo.rst). Readers take the first of two lines with the same
/// key.
///
/// ```text
/// OSRELEASE=6.12.0                        uname -r
/// BUILD-ID=0a1b...                        of vmlinux, hexadecimal
/// PAGESIZE=4096                           decimal
/// SYMBOL(init_uts_ns)=ffffffff8280d3c0    a virtual address, hexadecimal without 0x
/// SIZE(page)=64                           sizeof, decimal bytes
/// OFFSET(page.flags)=0                    offsetof, decimal bytes
/// LENGTH(zone.free_area)=11               elements of an array, decimal
/// NUMBER(phys_base)=-16777216             any number, signed decimal; some of arm64 and riscv64 are 0x...
/// CONFIG_X86_PAE=y                        a build option
/// KERNELOFFSET=1c00000                    KASLR's offset, hexadecimal without 0x
/// CRASHTIME=1700000000                    seconds since the epoch, decimal; only after a panic
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoteHeader {
    /// Bytes of the name, with its NUL.
    pub n_namesz: u32,
    /// Bytes of the descriptor.
    pub n_descsz: u32,
    /// The type, which means something only together with the name.
    pub n_type: u32,
}

impl NoteHeader {
    /// The note header at the start of `bytes`; `None` if there are too few bytes.
    #[must_use]
    pub fn decode(bytes: &[u8], order: ByteOrder) -> Option<NoteHeader> {
        let header = bytes.pread_with::<Nhdr32>(0, endian(order)).ok()?;
        Some(NoteHeader {
            n_namesz: header.n_namesz,
            n_descsz: header.n_descsz,
            n_type: header.n_type,
        })
    }

    /// Offset of the descriptor from the start of the note.
    #[must_use]
    pub fn desc_offset(&self) -> u64 {
        NOTE_HEADER_BYTES as u64 + u64::from(self.n_namesz).next_multiple_of(4)
    }

    /// Offset of the next note from the start of this one.
    #[must_use]
    pub fn note_bytes(&self) -> u64 {
        self.desc_offset() + u64::from(self.n_descsz).next_multiple_of(4)
    }
}

/// A note of type `kind`, with name and descriptor padded to 4 bytes each. The kernel gives its
/// VMCOREINFO type 0.
///
/// # Panics
/// If the name or the descriptor has 4 GiB or more: `n_namesz` and `n_descsz` have 32 bits.
#[must_use]
#[expect(clippy::expect_used, reason = "callers bound the sizes")]
pub fn encode_note(name: &str, kind: u32, desc: &[u8], order: ByteOrder) -> Vec<u8> {
    let size = |bytes: usize| order.encode_u32(u32::try_from(bytes).expect("a note is small"));
    let mut note = [size(name.len() + 1), size(desc.len()), order.encode_u32(kind)].concat();
    note.extend_from_slice(name.as_bytes());
    note.push(0);
    note.resize(note.len().next_multiple_of(4), 0);
    note.extend_from_slice(desc);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}
