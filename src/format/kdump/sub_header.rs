//! The sub header of a kdump-compressed file.

use crate::error::Result;
use crate::format::kdump::DiskDumpHeader;
use crate::format::wire::{self, ByteOrder, FieldVisitor, Record, StructLayout};

/// `struct kdump_sub_header`, block 1; the notes follow it.
///
/// 64-bit, 104 bytes:
///
/// ```text
///           0     1     2     3     4     5     6     7
///        +-----+-----+-----+-----+-----+-----+-----+-----+
///      0 |                   phys_base                   |
///        +-----------------------+-----------------------+
///      8 |       dump_level      |         split         |
///        +-----------------------+-----------------------+
///     16 |                  start_pfn *                  |
///        +-----------------------------------------------+
///     24 |                   end_pfn *                   |
///        +-----------------------------------------------+
///     32 |               offset_vmcoreinfo               |
///        +-----------------------------------------------+
///     40 |                size_vmcoreinfo                |
///        +-----------------------------------------------+
///     48 |                  offset_note                  |
///        +-----------------------------------------------+
///     56 |                   size_note                   |
///        +-----------------------------------------------+
///     64 |                offset_eraseinfo               |
///        +-----------------------------------------------+
///     72 |                 size_eraseinfo                |
///        +-----------------------------------------------+
///     80 |                  start_pfn_64                 |
///        +-----------------------------------------------+
///     88 |                   end_pfn_64                  |
///        +-----------------------------------------------+
///     96 |                  max_mapnr_64                 |
///        +-----------------------------------------------+
/// ```
///
/// 32-bit packed, 80 bytes: i386, which aligns 64-bit integers to 4 bytes.
///
/// ```text
///           0     1     2     3     4     5     6     7
///        +-----+-----+-----+-----+-----+-----+-----+-----+
///      0 |       phys_base       |       dump_level      |
///        +-----------------------+-----------------------+
///      8 |         split         |      start_pfn *      |
///        +-----------------------+-----------------------+
///     16 |       end_pfn *       |   offset_vmcoreinfo   |
///        +-----------------------+-----------------------+
///     24 |   offset_vmcoreinfo   |    size_vmcoreinfo    |
///        +-----------------------+-----------------------+
///     32 |                  offset_note                  |
///        +-----------------------+-----------------------+
///     40 |       size_note       |    offset_eraseinfo   |
///        +-----------------------+-----------------------+
///     48 |    offset_eraseinfo   |     size_eraseinfo    |
///        +-----------------------+-----------------------+
///     56 |                  start_pfn_64                 |
///        +-----------------------------------------------+
///     64 |                   end_pfn_64                  |
///        +-----------------------------------------------+
///     72 |                  max_mapnr_64                 |
///        +-----------------------------------------------+
/// ```
///
/// 32-bit padded, 96 bytes: arm, ppc, mips, riscv32, which align them to 8 bytes.
///
/// ```text
///           0     1     2     3     4     5     6     7
///        +-----+-----+-----+-----+-----+-----+-----+-----+
///      0 |       phys_base       |       dump_level      |
///        +-----------------------+-----------------------+
///      8 |         split         |      start_pfn *      |
///        +-----------------------+-----------------------+
///     16 |       end_pfn *       |        padding        |
///        +-----------------------+-----------------------+
///     24 |               offset_vmcoreinfo               |
///        +-----------------------+-----------------------+
///     32 |    size_vmcoreinfo    |        padding        |
///        +-----------------------+-----------------------+
///     40 |                  offset_note                  |
///        +-----------------------+-----------------------+
///     48 |       size_note       |        padding        |
///        +-----------------------+-----------------------+
///     56 |                offset_eraseinfo               |
///        +-----------------------+-----------------------+
///     64 |     size_eraseinfo    |        padding        |
///        +-----------------------+-----------------------+
///     72 |                  start_pfn_64                 |
///        +-----------------------------------------------+
///     80 |                   end_pfn_64                  |
///        +-----------------------------------------------+
///     88 |                  max_mapnr_64                 |
///        +-----------------------------------------------+
/// ```
///
/// Each `header_version` appended fields: 1 has the first two, 2 also `split` and the old pfns, 3
/// VMCOREINFO, 4 the notes, 5 ERASEINFO, 6 the 64-bit fields. From 6 on, the fields marked `*` are
/// obsolete.
///
/// No field says whether a 32-bit struct is packed. libkdumpfile's git tells it from offset and size of
/// VMCOREINFO, so it misreads a padded file without VMCOREINFO; 0.5.1 knows only the packed layout.
/// [`decode`](Self::decode) compares all fields that must agree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KdumpSubHeader {
    /// A physical address by which readers translate the kernel's virtual addresses. x86_64: `NUMBER(phys_base)` of VMCOREINFO, which is signed decimal (QEMU parses
    /// it as hexadecimal, and is wrong), else from the first segment at or above
    /// 0xffffffff80000000. arm64: `NUMBER(PHYS_OFFSET)`, which crash takes from here. riscv64:
    /// `NUMBER(phys_ram_base)`. arm: the lowest physical address. Elsewhere 0.
    pub phys_base: u64,
    /// Which classes of pages were excluded, see [`dump_level`](crate::format::dump_level).
    pub dump_level: u32,
    /// Not 0 in a file of a split set, which has only the pages of its own pfns.
    pub split: u32,
    /// The first pfn of this file of a split set; before version 6.
    pub start_pfn: u64,
    /// One past the last pfn of this file of a split set; before version 6.
    pub end_pfn: u64,
    /// File offset of the VMCOREINFO text, inside the notes; 0 if there is none.
    pub offset_vmcoreinfo: u64,
    /// Bytes of the VMCOREINFO text.
    pub size_vmcoreinfo: u64,
    /// File offset of the notes; 0 if there are none.
    pub offset_note: u64,
    /// Bytes of the notes.
    pub size_note: u64,
    /// File offset of the ERASEINFO text, which says what `makedumpfile --config` erased; 0 if there
    /// is none. It is in the notes, or at the end of the file.
    pub offset_eraseinfo: u64,
    /// Bytes of the ERASEINFO text.
    pub size_eraseinfo: u64,
    /// The first pfn of this file of a split set.
    pub start_pfn_64: u64,
    /// One past the last pfn of this file of a split set.
    pub end_pfn_64: u64,
    /// One past the highest pfn. If it is 0 in version 6, libkdumpfile rejects every read.
    pub max_mapnr_64: u64,
}

impl Record for KdumpSubHeader {
    fn visit(&mut self, fields: &mut dyn FieldVisitor) {
        fields.long("phys_base", &mut self.phys_base);
        fields.int("dump_level", &mut self.dump_level);
        fields.int("split", &mut self.split);
        fields.long("start_pfn", &mut self.start_pfn);
        fields.long("end_pfn", &mut self.end_pfn);
        fields.long_long("offset_vmcoreinfo", &mut self.offset_vmcoreinfo);
        fields.long("size_vmcoreinfo", &mut self.size_vmcoreinfo);
        fields.long_long("offset_note", &mut self.offset_note);
        fields.long("size_note", &mut self.size_note);
        fields.long_long("offset_eraseinfo", &mut self.offset_eraseinfo);
        fields.long("size_eraseinfo", &mut self.size_eraseinfo);
        fields.long_long("start_pfn_64", &mut self.start_pfn_64);
        fields.long_long("end_pfn_64", &mut self.end_pfn_64);
        fields.long_long("max_mapnr_64", &mut self.max_mapnr_64);
    }
}

impl KdumpSubHeader {
    /// Bytes of the largest layout: what to read of block 1 for [`decode`](Self::decode).
    pub const MAX_BYTES: usize = 104;

    /// Checks that every value fits its field in `layout`, as [`encode`](Self::encode) requires.
    ///
    /// # Errors
    /// [`crate::Error::FieldOverflow`] for a value that does not fit its 32-bit `unsigned long`.
    pub fn check(&self, layout: StructLayout) -> Result<()> {
        wire::check(self, layout)
    }

    /// The struct in `layout`.
    ///
    /// # Panics
    /// If a value does not fit its field: [`check`](Self::check) the header where it is made.
    #[must_use]
    pub fn encode(&self, layout: StructLayout) -> Vec<u8> {
        wire::encode(self, layout)
    }

    /// Decodes the struct at the start of block 1, and finds its layout.
    ///
    /// `main` and its `layout` come from [`DiskDumpHeader::decode`]. Fields that the version does not
    /// have are 0, but the 64-bit pfns, which are then those of the older fields.
    ///
    /// Whether a 32-bit struct is packed does not follow from the machine, as QEMU packs it for all
    /// of them. Both layouts are tried, and the one with fewer contradictions wins: the highest pfn
    /// is in both headers, and the notes lie after the struct, within its blocks.
    #[must_use]
    pub fn decode(
        bytes: &[u8],
        main: &DiskDumpHeader,
        layout: StructLayout,
    ) -> (Self, StructLayout) {
        let decode_as = |layout| {
            let mut header: KdumpSubHeader = wire::decode(bytes, layout);
            header.clear_later_fields(main);
            header
        };
        let padded = decode_as(layout);
        if layout != StructLayout::Padded32(ByteOrder::Little) {
            return (padded, layout);
        }
        let packed = decode_as(StructLayout::Packed32);
        if packed.contradictions(main) < padded.contradictions(main) {
            return (packed, StructLayout::Packed32);
        }
        (padded, layout)
    }

    fn clear_later_fields(&mut self, main: &DiskDumpHeader) {
        let version = main.header_version;
        if version < 1 {
            (self.phys_base, self.dump_level) = (0, 0);
        }
        if version < 2 {
            (self.split, self.start_pfn, self.end_pfn) = (0, 0, 0);
        }
        if version < 3 {
            (self.offset_vmcoreinfo, self.size_vmcoreinfo) = (0, 0);
        }
        if version < 4 {
            (self.offset_note, self.size_note) = (0, 0);
        }
        if version < 5 {
            (self.offset_eraseinfo, self.size_eraseinfo) = (0, 0);
        }
        if version < 6 {
            (self.start_pfn_64, self.end_pfn_64) = (self.start_pfn, self.end_pfn);
            self.max_mapnr_64 = u64::from(main.max_mapnr);
        }
    }

    /// How many of the fields contradict the main header.
    fn contradictions(&self, main: &DiskDumpHeader) -> usize {
        let block_size = u64::from(main.block_size);
        let blocks_end = block_size * (1 + u64::from(main.sub_hdr_size));
        let outside = |offset: u64, size: u64| {
            let inside = offset > block_size
                && offset.checked_add(size).is_some_and(|end| end <= blocks_end);
            (offset != 0 || size != 0) && !inside
        };
        [
            self.max_mapnr_32() != main.max_mapnr,
            outside(self.offset_vmcoreinfo, self.size_vmcoreinfo),
            outside(self.offset_note, self.size_note),
            // makedumpfile may append the text to the file, so its offset says nothing.
            (self.offset_eraseinfo == 0) != (self.size_eraseinfo == 0),
        ]
        .into_iter()
        .filter(|wrong| *wrong)
        .count()
    }

    /// `max_mapnr` of the main header: the highest number that it can have, if `max_mapnr_64` is more.
    #[must_use]
    pub fn max_mapnr_32(&self) -> u32 {
        u32::try_from(self.max_mapnr_64).unwrap_or(u32::MAX)
    }

    /// `sizeof` in `layout`: the notes start that many bytes into block 1.
    #[must_use]
    pub fn bytes_in(layout: StructLayout) -> usize {
        wire::size_of::<KdumpSubHeader>(layout)
    }
}
