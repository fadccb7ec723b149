//! The sub header of a kdump-compressed file.

use crate::error::Result;
use crate::format::kdump::DiskDumpHeader;
use crate::format::wire::{self, ByteOrder, FieldVisitor, Record, StructLayout};

/// `struct kdump_sub_header`, block 1; the notes follow right behind it.
///
/// ```text
///                           64-bit   i386   arm, ppc, mips, riscv32
/// phys_base                      0      0       0   unsigned long
/// dump_level                     8      4       4
/// split                         12      8       8   0 but in a split set
/// start_pfn, end_pfn        16, 24 12, 16  12, 16   of a split set; obsolete in version 6
/// offset_vmcoreinfo, size   32, 40 20, 28  24, 32   long long, unsigned long
/// offset_note, size         48, 56 32, 40  40, 48
/// offset_eraseinfo, size    64, 72 44, 52  56, 64
/// start_pfn_64, end_pfn_64  80, 88 56, 64  72, 80   of a split set
/// max_mapnr_64                  96     72      88
/// sizeof                       104     80      96
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KdumpSubHeader {
    /// Physical address that the kernel (x86_64) or memory (arm, arm64, riscv64) starts at.
    pub phys_base: u64,
    /// What was left out, as makedumpfile's -d counts it.
    pub dump_level: u32,
    /// Not 0 in a file of a set (makedumpfile --split), which has the pages of its pfns alone.
    pub split: u32,
    /// The first pfn of a file of a set.
    pub start_pfn: u64,
    /// One past the last pfn of a file of a set.
    pub end_pfn: u64,
    /// File offset of the VMCOREINFO text, inside the notes.
    pub offset_vmcoreinfo: u64,
    /// Bytes of the VMCOREINFO text.
    pub size_vmcoreinfo: u64,
    /// File offset of the notes.
    pub offset_note: u64,
    /// Bytes of the notes.
    pub size_note: u64,
    /// File offset of the ERASEINFO text, inside the notes.
    pub offset_eraseinfo: u64,
    /// Bytes of the ERASEINFO text.
    pub size_eraseinfo: u64,
    /// As `start_pfn`, of every memory.
    pub start_pfn_64: u64,
    /// As `end_pfn`, of every memory.
    pub end_pfn_64: u64,
    /// One past the highest pfn.
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

    /// The struct at the start of block 1, with the layout that it has.
    ///
    /// `main` and its `layout` are what [`DiskDumpHeader::decode`] returned. Fields that the
    /// version does not have are 0, but of the 64-bit pfns, which are then the old ones. Whether
    /// a 32-bit struct is packed does not follow from the machine (QEMU packs it for all), but
    /// from what makes sense: the highest pfn stands in both headers, and notes lie behind the
    /// struct in its blocks.
    #[must_use]
    pub fn decode(
        bytes: &[u8],
        main: &DiskDumpHeader,
        layout: StructLayout,
    ) -> (Self, StructLayout) {
        let decode_as = |layout| {
            let mut header: KdumpSubHeader = wire::decode(bytes, layout);
            header.without_later_fields(main);
            header
        };
        let padded = decode_as(layout);
        if layout != StructLayout::Padded32(ByteOrder::Little) {
            return (padded, layout);
        }
        let packed = decode_as(StructLayout::Packed32);
        if packed.nonsense(main) < padded.nonsense(main) {
            return (packed, StructLayout::Packed32);
        }
        (padded, layout)
    }

    fn without_later_fields(&mut self, main: &DiskDumpHeader) {
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

    /// How many of the fields make no sense beside the main header.
    fn nonsense(&self, main: &DiskDumpHeader) -> usize {
        let block_size = u64::from(main.block_size);
        let blocks_end = block_size * (1 + u64::from(main.sub_hdr_size));
        let outside = |offset: u64, size: u64| {
            let inside = offset > block_size
                && offset.checked_add(size).is_some_and(|end| end <= blocks_end);
            (offset != 0 || size != 0) && !inside
        };
        let max_mapnr = u32::try_from(self.max_mapnr_64).unwrap_or(u32::MAX);
        [
            max_mapnr != main.max_mapnr,
            outside(self.offset_vmcoreinfo, self.size_vmcoreinfo),
            outside(self.offset_note, self.size_note),
            // Makedumpfile appends it to the file.
            (self.offset_eraseinfo == 0) != (self.size_eraseinfo == 0),
        ]
        .into_iter()
        .filter(|wrong| *wrong)
        .count()
    }

    /// `sizeof` in `layout`: the notes start that many bytes into block 1.
    #[must_use]
    pub fn bytes_in(layout: StructLayout) -> usize {
        wire::size_of::<KdumpSubHeader>(layout)
    }
}
