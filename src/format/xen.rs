//! Xen's core of a guest, as `xl dump-core` writes it: an ELF core without program headers, whose
//! sections have everything.
//!
//! ```text
//! file header | section headers | .note.Xen | .xen_prstatus | .xen_shared_info | .xen_pages |
//!     .xen_pfn or .xen_p2m | .shstrtab
//! ```
//!
//! The class is always ELFCLASS64; all integers are in the byte order of `EI_DATA`, that of the host.
//! Readers must not rely on the order of the sections.
//!
//! | section | content |
//! |---|---|
//! | `.note.Xen` | notes named Xen, below |
//! | `.xen_prstatus` | a `struct vcpu_guest_context` for each virtual CPU, in the host's layout |
//! | `.xen_shared_info` | a page that guest and hypervisor share, not read here |
//! | `.xen_pages` | pages of memory |
//! | `.xen_pfn` | for each of these pages a `uint64_t`: its guest page frame number; of guests whose memory the hardware or Xen translates (HVM, PVH, ARM) |
//! | `.xen_p2m` | for each of these pages two `uint64_t`: its pseudo-physical and its machine frame number; of paravirtualized guests, whose page tables have machine addresses |
//!
//! A number of all ones is that of no page: a live dump of a guest whose memory shrinks ends with such
//! pages.
//!
//! | `n_type` | descriptor |
//! |---|---|
//! | 0x2000000 | nothing: it marks the format |
//! | 0x2000001 | four `uint64_t`: `xch_magic` (0xf00febed paravirtualized, 0xf00febee not), `xch_nr_vcpus`, `xch_nr_pages`, `xch_page_size` |
//! | 0x2000002 | the version of Xen |
//! | 0x2000003 | a `uint64_t`, the version of the format: 1, the upper half of which changes when readers must |
//!
//! `struct vcpu_guest_context` of x86_64 has 5168 bytes. What is read:
//!
//! | offset | field |
//! |---|---|
//! | 520 | `user_regs`: r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi |
//! | 648 | rip; 656 cs (16 bits, flags follow), 664 rflags, 672 rsp; at 680, 688, .. ss, es, ds, fs, gs (16 bits) |
//! | 4984 | `ctrlreg[8]`: CR0 to CR7 |
//! | 5144 | `fs_base`, `gs_base_kernel`, `gs_base_user` |
//!
//! Sources: Xen's `docs/misc/dump-core-format.txt`, `tools/libs/guest/xg_core.c` and `xg_core.h`,
//! `xen/include/public/elfnote.h`, `arch-x86/xen.h` and `arch-x86/xen-x86_64.h`.

use crate::format::elf::{NOTE_HEADER_BYTES, NoteHeader, SegmentRegister, X86_64Cpu};
use crate::format::wire::ByteOrder;

/// The section of the notes.
pub(crate) const NOTES_SECTION: &str = ".note.Xen";

/// The section of the registers.
pub(crate) const REGISTERS_SECTION: &str = ".xen_prstatus";

/// The section of the pages.
pub(crate) const PAGES_SECTION: &str = ".xen_pages";

/// The section with the page frame number of each page.
pub(crate) const PFN_SECTION: &str = ".xen_pfn";

/// The section with the frame numbers of each page of a paravirtualized guest.
pub(crate) const P2M_SECTION: &str = ".xen_p2m";

/// The number of no page, in [`PFN_SECTION`].
pub(crate) const INVALID_PFN: u64 = u64::MAX;

/// Bytes of a `vcpu_guest_context` of x86_64.
pub(crate) const CONTEXT_BYTES: usize = 5168;

/// `n_type` of the note that marks the format.
const NOTE_NONE: u32 = 0x200_0000;

/// `n_type` of the note with the numbers of CPUs and pages.
const NOTE_HEADER: u32 = 0x200_0001;

/// `n_type` of the note with the version.
const NOTE_VERSION: u32 = 0x200_0003;

/// What the notes say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CoreNotes {
    /// Whether the format is marked.
    pub is_marked: bool,
    /// The header, if there is one.
    pub header: Option<CoreHeader>,
    /// The version of the format.
    pub version: Option<u64>,
}

/// `struct xen_dumpcore_elfnote_header_desc`, without its magic number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CoreHeader {
    /// `xch_nr_vcpus`: virtual CPUs whose registers there are.
    pub vcpus: u64,
    /// `xch_nr_pages`: pages, some of which may have no number.
    pub pages: u64,
    /// `xch_page_size`.
    pub page_bytes: u64,
}

impl CoreNotes {
    /// Decodes the bytes of [`NOTES_SECTION`], as far as there are whole notes.
    pub(crate) fn decode(mut bytes: &[u8], order: ByteOrder) -> Self {
        let mut notes = CoreNotes::default();
        while let Some(note) = NoteHeader::decode(bytes, order) {
            let used = |bytes: u64| usize::try_from(bytes).ok();
            let name = bytes.get(NOTE_HEADER_BYTES..).unwrap_or_default();
            if !name.starts_with(b"Xen\0") {
                break;
            }
            let desc = used(note.desc_offset()).and_then(|start| bytes.get(start..));
            let longs = desc.unwrap_or_default().chunks_exact(8);
            let mut longs =
                longs.take(note.n_descsz as usize / 8).map(|long| order.read_uint(long));
            match note.n_type {
                NOTE_NONE => notes.is_marked = true,
                NOTE_HEADER => {
                    notes.header = match (longs.next(), longs.next(), longs.next(), longs.next()) {
                        (Some(_), Some(vcpus), Some(pages), Some(page_bytes)) => {
                            Some(CoreHeader { vcpus, pages, page_bytes })
                        }
                        _ => None,
                    };
                }
                NOTE_VERSION => notes.version = longs.next(),
                _ => {}
            }
            let rest = used(note.note_bytes()).and_then(|next| bytes.get(next..));
            bytes = rest.unwrap_or_default();
        }
        notes
    }

    /// The part of the version that changes when readers must.
    pub(crate) fn major_version(&self) -> u64 {
        self.version.map_or(0, |version| version >> 32)
    }
}

/// The registers in a `vcpu_guest_context` of x86_64.
pub(crate) fn registers(context: &[u8; CONTEXT_BYTES]) -> X86_64Cpu {
    let long = |at: usize| {
        let bytes = context.get(at..).and_then(<[u8]>::first_chunk).copied();
        bytes.map_or(0, u64::from_le_bytes)
    };
    let general = |index: usize| long(520 + 8 * index);
    let segment = |index: usize| {
        let selector = general(index) & 0xffff;
        SegmentRegister {
            selector: u32::try_from(selector).unwrap_or_default(),
            ..Default::default()
        }
    };
    let base = |register, at| SegmentRegister { base: long(at), ..register };
    let cs = segment(17);
    // Xen keeps both: the kernel's, which is in use in ring 0, and that of the process.
    let (gs_base, other) = if cs.selector & 3 == 0 { (5152, 5160) } else { (5160, 5152) };
    X86_64Cpu {
        r15: general(0),
        r14: general(1),
        r13: general(2),
        r12: general(3),
        rbp: general(4),
        rbx: general(5),
        r11: general(6),
        r10: general(7),
        r9: general(8),
        r8: general(9),
        rax: general(10),
        rcx: general(11),
        rdx: general(12),
        rsi: general(13),
        rdi: general(14),
        rip: general(16),
        cs,
        rflags: general(18),
        rsp: general(19),
        ss: segment(20),
        es: segment(21),
        ds: segment(22),
        fs: base(segment(23), 5144),
        gs: base(segment(24), gs_base),
        cr: [0, 1, 2, 3, 4].map(|index| long(4984 + 8 * index)),
        kernel_gs_base: long(other),
        ..X86_64Cpu::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notes_of_a_core_are_found_among_others_and_cut_anywhere() {
        let mut bytes = Vec::new();
        let mut note = |kind: u32, longs: &[u64]| {
            let desc: Vec<u8> = longs.iter().flat_map(|long| long.to_be_bytes()).collect();
            bytes.extend([4, desc.len() as u32, kind].into_iter().flat_map(u32::to_be_bytes));
            bytes.extend(b"Xen\0");
            bytes.extend(desc);
        };
        note(0x200_0000, &[]);
        note(0x200_0001, &[0xf00f_ebee, 2, 0x4_0000, 4096]);
        note(0x200_0002, &[4, 17, 0, 0, 0]);
        note(0x200_0003, &[1]);
        let notes = CoreNotes::decode(&bytes, ByteOrder::Big);
        let header = CoreHeader { vcpus: 2, pages: 0x4_0000, page_bytes: 4096 };
        assert_eq!(notes, CoreNotes { is_marked: true, header: Some(header), version: Some(1) });
        assert_eq!(notes.major_version(), 0);
        for len in 0..bytes.len() {
            let notes = CoreNotes::decode(&bytes[..len], ByteOrder::Big);
            assert_eq!(notes.is_marked, len >= 16, "{len} bytes");
            assert_eq!(notes.header.is_some(), len >= 64, "{len} bytes");
            assert_eq!(notes.version, None, "{len} bytes");
        }
    }

    #[test]
    fn the_registers_are_where_xen_has_them() {
        let mut context = [0; CONTEXT_BYTES];
        let mut set = |at: usize, value: u64| {
            context[at..at + 8].copy_from_slice(&value.to_le_bytes());
        };
        set(520, 15);
        set(520 + 112, 7);
        set(648, 0xffff_ffff_8100_0000);
        set(656, 0x0100_0000_0010);
        set(664, 0x246);
        set(672, 0xffff_c900_0000_0000);
        set(680, 0x18);
        set(704, 0x63);
        set(712, 0x6b);
        set(5008, 0x1234_5000);
        set(5144, 0x7f00_0000_0000);
        set(5152, 0xffff_8880_0000_0000);
        set(5160, 0x1000);
        let cpu = registers(&context);
        assert_eq!([cpu.r15, cpu.rdi, cpu.rip], [15, 7, 0xffff_ffff_8100_0000]);
        assert_eq!([cpu.cs.selector, cpu.ss.selector], [0x10, 0x18]);
        assert_eq!([cpu.fs.selector, cpu.gs.selector], [0x63, 0x6b]);
        assert_eq!([cpu.rflags, cpu.rsp], [0x246, 0xffff_c900_0000_0000]);
        assert_eq!([cpu.fs.base, cpu.gs.base], [0x7f00_0000_0000, 0xffff_8880_0000_0000]);
        assert_eq!(cpu.cr, [0, 0, 0, 0x1234_5000, 0]);
        context[656] = 0x33;
        assert_eq!(registers(&context).gs.base, 0x1000, "a CPU in a process");
    }
}
