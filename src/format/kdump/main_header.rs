//! The main header of a kdump-compressed file.

use std::ops::Range;

use crate::error::Result;
use crate::format::FormatError;
use crate::format::kdump::geometry::bitmap_blocks_each;
use crate::format::kdump::{HEADER_VERSION, KDUMP_SIGNATURE, MAX_SUB_HEADER_BLOCKS, NewUtsname};
use crate::format::wire::{self, ByteOrder, FieldVisitor, Record, StructLayout};
use crate::pages::PageSize;

/// `struct disk_dump_header`, block 0.
///
/// 64-bit, 464 bytes:
///
/// ```text
///           0     1     2     3     4     5     6     7
///        +-----+-----+-----+-----+-----+-----+-----+-----+
///      0 |                   signature                   |
///        +-----------------------+-----------------------+
///      8 |     header_version    |        utsname        |
///        :                ... utsname ...                :
///        +-----------+-----------------------------------+
///    400 |  utsname  |              padding              |
///        +-----------+-----------------------------------+
///    408 |                     tv_sec                    |
///        +-----------------------------------------------+
///    416 |                    tv_usec                    |
///        +-----------------------+-----------------------+
///    424 |         status        |       block_size      |
///        +-----------------------+-----------------------+
///    432 |      sub_hdr_size     |     bitmap_blocks     |
///        +-----------------------+-----------------------+
///    440 |       max_mapnr       |   total_ram_blocks *  |
///        +-----------------------+-----------------------+
///    448 |    device_blocks *    |    written_blocks *   |
///        +-----------------------+-----------------------+
///    456 |     current_cpu *     |        nr_cpus        |
///        +-----------------------+-----------------------+
/// ```
///
/// 32-bit, 452 bytes, in the packed and the padded layout alike:
///
/// ```text
///           0     1     2     3     4     5     6     7
///        +-----+-----+-----+-----+-----+-----+-----+-----+
///      0 |                   signature                   |
///        +-----------------------+-----------------------+
///      8 |     header_version    |        utsname        |
///        :                ... utsname ...                :
///        +-----------+-----------+-----------------------+
///    400 |  utsname  |  padding  |         tv_sec        |
///        +-----------+-----------+-----------------------+
///    408 |        tv_usec        |         status        |
///        +-----------------------+-----------------------+
///    416 |       block_size      |      sub_hdr_size     |
///        +-----------------------+-----------------------+
///    424 |     bitmap_blocks     |       max_mapnr       |
///        +-----------------------+-----------------------+
///    432 |   total_ram_blocks *  |    device_blocks *    |
///        +-----------------------+-----------------------+
///    440 |    written_blocks *   |     current_cpu *     |
///        +-----------------------+-----------------------+
///    448 |        nr_cpus        |
///        +-----------------------+
/// ```
///
/// `tv_sec` and `tv_usec` together are the `struct timeval timestamp`.
///
/// No field says which layout it is. The byte order is the one in which `header_version` is 0 to 6. As
/// for the width, libkdumpfile takes the one that gives a plausible `block_size`; crash and makedumpfile
/// assume their own.
///
/// Nobody reads the fields marked `*`. Writers put 0 there; when this crate converts a kdump file, it
/// keeps what it finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiskDumpHeader {
    /// Which fields exist: from 1 on the sub header, 2 `split`, 3 VMCOREINFO, 4 the notes,
    /// 5 ERASEINFO, 6 the 64-bit pfns. All readers go by it, but libkdumpfile reads ERASEINFO from
    /// version 4 on.
    pub header_version: u32,
    /// What the crashed kernel calls itself.
    pub utsname: NewUtsname,
    /// When the kernel crashed, in seconds since the epoch: CRASHTIME of VMCOREINFO.
    pub tv_sec: u64,
    /// Microseconds. libkdumpfile takes a 64-bit header whose `tv_usec` is a page size for a
    /// 32-bit one, whose `block_size` is there.
    pub tv_usec: u64,
    /// One bit for the codec of the pages, plus [`DUMP_DH_COMPRESSED_INCOMPLETE`] and
    /// [`DUMP_DH_EXCLUDED_VMEMMAP`]. Readers go by the flags of each page instead.
    ///
    /// [`DUMP_DH_COMPRESSED_INCOMPLETE`]: crate::format::kdump::DUMP_DH_COMPRESSED_INCOMPLETE
    /// [`DUMP_DH_EXCLUDED_VMEMMAP`]: crate::format::kdump::DUMP_DH_EXCLUDED_VMEMMAP
    pub status: u32,
    /// Bytes of a block, which is a page: a [`PageSize`].
    pub block_size: u32,
    /// Blocks of the sub header and the notes, a signed `int`:
    /// ceil((`sizeof(kdump_sub_header)` + `size_note`) / `block_size`). The bitmaps follow.
    pub sub_hdr_size: u32,
    /// Blocks of *both* bitmaps together: 2 * ceil(ceil(`max_mapnr` / 8) / `block_size`). Some readers
    /// take it for the blocks of one bitmap, which is wrong.
    pub bitmap_blocks: u32,
    /// One past the highest pfn, or 2^32 - 1 if it is more: `max_mapnr_64` of the sub header has
    /// the whole number. libkdumpfile wants a bit in the bitmaps for each.
    pub max_mapnr: u32,
    /// `total_ram_blocks`, `device_blocks`, `written_blocks`, `current_cpu`: unused by all readers.
    pub unused: [u32; 4],
    /// CPUs: the `NT_PRSTATUS` notes, at least 1. crash warns if it is 0 or negative.
    pub nr_cpus: u32,
}

/// The bytes of a [`DiskDumpHeader`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedHeader {
    /// The struct, `sizeof` bytes.
    pub bytes: Vec<u8>,
    /// The bytes from `utsname` to `status`, which a writer may know only at the end: a pipe may
    /// deliver the page with the kernel's utsname late, and `status` says whether the dump is
    /// complete.
    pub deferred: Range<usize>,
}

impl Record for DiskDumpHeader {
    fn visit(&mut self, fields: &mut dyn FieldVisitor) {
        fields.chars("signature", &mut KDUMP_SIGNATURE.clone());
        fields.int("header_version", &mut self.header_version);
        self.utsname.visit(fields);
        fields.long("tv_sec", &mut self.tv_sec);
        fields.long("tv_usec", &mut self.tv_usec);
        fields.int("status", &mut self.status);
        fields.int("block_size", &mut self.block_size);
        fields.int("sub_hdr_size", &mut self.sub_hdr_size);
        fields.int("bitmap_blocks", &mut self.bitmap_blocks);
        fields.int("max_mapnr", &mut self.max_mapnr);
        let [total_ram_blocks, device_blocks, written_blocks, current_cpu] = &mut self.unused;
        fields.int("total_ram_blocks", total_ram_blocks);
        fields.int("device_blocks", device_blocks);
        fields.int("written_blocks", written_blocks);
        fields.int("current_cpu", current_cpu);
        fields.int("nr_cpus", &mut self.nr_cpus);
    }
}

impl DiskDumpHeader {
    /// Bytes of the largest layout: what to read of a file for [`decode`](Self::decode).
    pub const MAX_BYTES: usize = 464;

    /// Checks that `tv_sec` and `tv_usec` fit a `long` of `layout`, as [`encode`](Self::encode)
    /// requires.
    ///
    /// # Errors
    /// [`crate::Error::FieldOverflow`].
    pub fn check(&self, layout: StructLayout) -> Result<()> {
        wire::check(self, layout)
    }

    /// The struct in `layout`.
    ///
    /// # Panics
    /// If a value does not fit its field: [`check`](Self::check) the header where it is made.
    #[must_use]
    pub fn encode(&self, layout: StructLayout) -> EncodedHeader {
        let place = |field| wire::offset_of::<Self>(layout, field);
        EncodedHeader {
            bytes: wire::encode(self, layout),
            deferred: place("sysname").start..place("status").end,
        }
    }

    /// Decodes the struct at the start of a file, in the one layout that makes sense of it.
    ///
    /// Of the 32-bit layouts, only [`KdumpSubHeader::decode`] can tell the packed one. One field is
    /// not enough to tell the width: `max_mapnr` of a 32-bit header may look like `block_size` of
    /// a 64-bit one, and `tv_usec` the other way round. So all fields must agree.
    ///
    /// # Errors
    /// What is wrong, if it makes sense in no layout.
    ///
    /// [`KdumpSubHeader::decode`]: crate::format::kdump::KdumpSubHeader::decode
    pub fn decode(bytes: &[u8]) -> Result<(Self, StructLayout), FormatError> {
        if !bytes.starts_with(KDUMP_SIGNATURE) {
            return Err(FormatError::NoKdumpSignature);
        }
        let [little, big] = [ByteOrder::Little, ByteOrder::Big];
        let mut error = None;
        let mut loose = None;
        for layout in [
            StructLayout::Bits64(little),
            StructLayout::Bits64(big),
            StructLayout::Padded32(little),
            StructLayout::Padded32(big),
        ] {
            let header: Self = wire::decode(bytes, layout);
            match header.check_plausible() {
                Ok(page_size) if header.has_tight_bitmaps(page_size) => {
                    return Ok((header, layout));
                }
                Ok(_) => loose = loose.or(Some((header, layout))),
                // In the wrong byte order, the version is wrong, too.
                Err(FormatError::HeaderVersion) => {}
                Err(wrong) => error = error.or(Some(wrong)),
            }
        }
        loose.ok_or(error.unwrap_or(FormatError::HeaderVersion))
    }

    /// Whether the bitmaps have exactly the blocks that they need, as every writer gives them.
    fn has_tight_bitmaps(&self, page_size: PageSize) -> bool {
        let blocks = bitmap_blocks_each(self.max_mapnr.into(), page_size);
        u64::from(self.bitmap_blocks) == 2 * blocks || self.max_mapnr == u32::MAX
    }

    /// Checks the fields by which the rest of the file is found; returns the page size.
    fn check_plausible(&self) -> Result<PageSize, FormatError> {
        if self.header_version > HEADER_VERSION {
            return Err(FormatError::HeaderVersion);
        }
        let Some(page_size) = PageSize::new(self.block_size.into()) else {
            return Err(FormatError::BlockSize(self.block_size));
        };
        if self.header_version >= 1 && !(1..=MAX_SUB_HEADER_BLOCKS).contains(&self.sub_hdr_size) {
            return Err(FormatError::SubHdrSize(self.sub_hdr_size));
        }
        // Less than 2^53.
        let bits = 8 * page_size.bytes() * u64::from(self.bitmap_blocks);
        let max_mapnr = u64::from(self.max_mapnr);
        if bits == 0 || max_mapnr > bits {
            return Err(FormatError::MaxMapnr { max_mapnr, bits, blocks: self.bitmap_blocks });
        }
        Ok(page_size)
    }
}
