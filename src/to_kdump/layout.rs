//! Computes every offset of the output file before anything is written. Pure arithmetic.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::format::dump_level::DumpLevel;
use crate::format::kdump::{KdumpSubHeader, PAGE_DESC_BYTES};
use crate::format::wire::StructLayout;
use crate::pages::{PageSize, Pfn, PfnRange};

/// The facts that determine the layout of a file.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    /// How the structs of the file are laid out.
    pub layout: StructLayout,
    /// The size of a page, and of a block.
    pub page_size: PageSize,
    /// The sub header's field.
    pub phys_base: u64,
    /// The sub header's field.
    pub dump_level: DumpLevel,
    /// Bytes of notes.
    pub note_bytes: u64,
    /// The place of the VMCOREINFO text in the notes.
    pub vmcoreinfo: Option<Range<u64>>,
    /// The place of the ERASEINFO text in the notes.
    pub eraseinfo: Option<Range<u64>>,
    /// One past the highest pfn.
    pub max_mapnr: Pfn,
    /// The number of pages to store: the maximum number of descriptors. In a split set, that of all its
    /// files: each has its data where the file that they are joined to has it. makedumpfile knows the
    /// shared page of zeros by that (`reassemble_kdump_pages`).
    pub pages: u64,
}

/// The place of every part of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KdumpLayout {
    /// Bytes of a block.
    pub block_size: u32,
    /// The complete sub header.
    pub sub_header: KdumpSubHeader,
    /// Blocks of sub header and notes.
    pub sub_hdr_size: u32,
    /// Offset of the sub header.
    pub sub_header_offset: u64,
    /// The notes, directly after the sub header.
    pub notes: Range<u64>,
    /// Blocks of both bitmaps.
    pub bitmap_blocks: u32,
    /// The 1st bitmap, padded to a block.
    pub bitmap1: Range<u64>,
    /// The 2nd bitmap, padded to a block.
    pub bitmap2: Range<u64>,
    /// The descriptor table.
    pub descriptors: Range<u64>,
    /// Offset of the page that all zero pages share, if the dump level makes them share one.
    pub zero_page: Option<u64>,
    /// Offset of the data of all other pages.
    pub data: u64,
}

impl KdumpLayout {
    /// Lays out a file.
    ///
    /// # Errors
    /// [`Error::FieldOverflow`] when a size does not fit its field.
    pub(crate) fn new(contents: &Contents) -> Result<KdumpLayout> {
        let bs = contents.page_size.bytes();
        let offset = |value: Option<u64>| {
            // off_t is signed.
            value.filter(|&v| i64::try_from(v).is_ok()).ok_or(Error::FieldOverflow {
                field: "file offset",
                value: u64::MAX,
                bits: 63,
            })
        };
        let add = |a: u64, b: u64| offset(a.checked_add(b));

        let struct_bytes = KdumpSubHeader::bytes_in(contents.layout) as u64;
        let notes = bs + struct_bytes..add(bs + struct_bytes, contents.note_bytes)?;
        let sub_hdr_blocks = (notes.end - bs).div_ceil(bs);
        let bitmap_blocks_each = contents.max_mapnr.get().div_ceil(8).div_ceil(bs);
        let bitmap_bytes = bitmap_blocks_each * bs;
        let bitmap1_start = add(bs, sub_hdr_blocks * bs)?;
        let bitmap2_start = add(bitmap1_start, bitmap_bytes)?;
        let descriptors_start = add(bitmap2_start, bitmap_bytes)?;
        let table_bytes = contents.pages.checked_mul(PAGE_DESC_BYTES as u64);
        let descriptors_end = add(descriptors_start, offset(table_bytes)?)?;
        let zero_page = contents.dump_level.shares_zero_pages().then_some(descriptors_end);
        let data = if zero_page.is_some() { add(descriptors_end, bs)? } else { descriptors_end };

        let place = |part: &Option<Range<u64>>| match part {
            Some(part) => (notes.start + part.start, part.end - part.start),
            None => (0, 0),
        };
        let (offset_vmcoreinfo, size_vmcoreinfo) = place(&contents.vmcoreinfo);
        let (offset_eraseinfo, size_eraseinfo) = place(&contents.eraseinfo);
        let has_notes = contents.note_bytes > 0;
        let sub_header = KdumpSubHeader {
            phys_base: contents.phys_base,
            dump_level: contents.dump_level.bits(),
            offset_vmcoreinfo,
            size_vmcoreinfo,
            offset_note: if has_notes { notes.start } else { 0 },
            size_note: contents.note_bytes,
            offset_eraseinfo,
            size_eraseinfo,
            max_mapnr_64: contents.max_mapnr.get(),
            ..KdumpSubHeader::default()
        };
        sub_header.check(contents.layout)?;
        Ok(KdumpLayout {
            block_size: contents.page_size.bytes_32(),
            sub_header,
            sub_hdr_size: narrow("sub_hdr_size", sub_hdr_blocks)?,
            sub_header_offset: bs,
            notes,
            bitmap_blocks: narrow("bitmap_blocks", 2 * bitmap_blocks_each)?,
            bitmap1: bitmap1_start..bitmap2_start,
            bitmap2: bitmap2_start..descriptors_start,
            descriptors: descriptors_start..descriptors_end,
            zero_page,
            data,
        })
    }

    /// The layout of the file of a split set that has the pages of `pfns`. Only the sub header differs.
    pub(crate) fn of_split_file(&self, pfns: PfnRange) -> KdumpLayout {
        let (start, end) = (pfns.start.get(), pfns.end.get());
        let obsolete = |pfn: u64| pfn.min(u64::from(u32::MAX));
        let sub_header = KdumpSubHeader {
            split: 1,
            start_pfn: obsolete(start),
            end_pfn: obsolete(end),
            start_pfn_64: start,
            end_pfn_64: end,
            ..self.sub_header.clone()
        };
        KdumpLayout { sub_header, ..self.clone() }
    }
}

/// Blocks and sizes are `int` in C: 31 bits.
fn narrow(field: &'static str, value: u64) -> Result<u32> {
    match i32::try_from(value) {
        Ok(value) => Ok(value.unsigned_abs()),
        Err(_) => Err(Error::FieldOverflow { field, value, bits: 31 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::wire::ByteOrder;
    use crate::pages::Span;

    fn contents() -> Contents {
        Contents {
            layout: StructLayout::Bits64(ByteOrder::Little),
            page_size: PageSize::MIN,
            phys_base: 0x100_0000,
            dump_level: DumpLevel::new(1).unwrap(),
            note_bytes: 5000,
            vmcoreinfo: Some(700..1700),
            eraseinfo: None,
            max_mapnr: Pfn::new(32768 + 1),
            pages: 10,
        }
    }

    #[test]
    fn a_file_is_laid_out_block_by_block() {
        let plan = KdumpLayout::new(&contents()).unwrap();
        assert_eq!(plan.sub_header_offset, 4096);
        assert_eq!(plan.notes, 4200..9200);
        assert_eq!(plan.sub_hdr_size, 2);
        assert_eq!(plan.bitmap_blocks, 4, "of both: 32769 bits need two blocks each");
        assert_eq!(plan.bitmap1, 12288..20480);
        assert_eq!(plan.bitmap2, 20480..28672);
        assert_eq!(plan.descriptors, 28672..28912);
        assert_eq!(plan.zero_page, Some(28912));
        assert_eq!(plan.data, 33008);
        assert_eq!(
            plan.sub_header,
            KdumpSubHeader {
                phys_base: 0x100_0000,
                dump_level: 1,
                offset_vmcoreinfo: 4900,
                size_vmcoreinfo: 1000,
                offset_note: 4200,
                size_note: 5000,
                max_mapnr_64: 32769,
                ..KdumpSubHeader::default()
            }
        );
    }

    #[test]
    fn level_0_stores_no_shared_page() {
        let plan =
            KdumpLayout::new(&Contents { dump_level: DumpLevel::new(0).unwrap(), ..contents() })
                .unwrap();
        assert_eq!((plan.zero_page, plan.data), (None, 28912));
    }

    #[test]
    fn no_notes_leave_their_fields_0() {
        let plan =
            KdumpLayout::new(&Contents { note_bytes: 0, vmcoreinfo: None, ..contents() }).unwrap();
        assert_eq!(plan.sub_hdr_size, 1);
        assert_eq!((plan.sub_header.offset_note, plan.sub_header.offset_vmcoreinfo), (0, 0));
    }

    #[test]
    fn notes_that_fill_their_blocks_exactly_take_no_extra_block() {
        let exact = Contents { note_bytes: 2 * 4096 - 104, ..contents() };
        assert_eq!(KdumpLayout::new(&exact).unwrap().sub_hdr_size, 2);
        let one_more = Contents { note_bytes: 2 * 4096 - 103, ..contents() };
        assert_eq!(KdumpLayout::new(&one_more).unwrap().sub_hdr_size, 3);
    }

    #[test]
    fn a_max_mapnr_beyond_32_bits_is_cut_only_in_the_old_field() {
        let plan = KdumpLayout::new(&Contents { max_mapnr: Pfn::new((1 << 32) + 5), ..contents() })
            .unwrap();
        assert_eq!(plan.sub_header.max_mapnr_32(), u32::MAX);
        assert_eq!(plan.sub_header.max_mapnr_64, (1 << 32) + 5);
        assert_eq!(plan.bitmap_blocks, 2 * (131072 + 1));
    }

    #[test]
    fn the_files_of_a_split_set_differ_in_their_pfns_alone() {
        let whole = KdumpLayout::new(&contents()).unwrap();
        let file = whole.of_split_file(Span::new(Pfn::new(64), Pfn::new(1 << 33)));
        let expected = KdumpSubHeader {
            split: 1,
            start_pfn: 64,
            end_pfn: 0xffff_ffff,
            start_pfn_64: 64,
            end_pfn_64: 1 << 33,
            ..whole.sub_header.clone()
        };
        assert_eq!(file.sub_header, expected);
        assert_eq!(KdumpLayout { sub_header: whole.sub_header.clone(), ..file }, whole);
        for layout in [StructLayout::Packed32, StructLayout::Padded32(ByteOrder::Big)] {
            expected.check(layout).unwrap();
        }
    }

    #[test]
    fn sizes_beyond_their_fields_are_errors() {
        for contents in [
            Contents { pages: u64::MAX / 2, ..contents() },
            Contents { note_bytes: 1 << 62, ..contents() },
            Contents { max_mapnr: Pfn::new(1 << 50), ..contents() },
        ] {
            assert!(matches!(KdumpLayout::new(&contents), Err(Error::FieldOverflow { .. })));
        }
    }
}
