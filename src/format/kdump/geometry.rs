//! Where the headers of a kdump-compressed file place its bitmaps and descriptors.

use crate::format::FormatError;
use crate::format::kdump::{DiskDumpHeader, KdumpSubHeader};
use crate::pages::{FileOffset, FileRange, PageSize, Pfn, PfnRange, Span};

/// Where the parts of a file are, and which pages it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Geometry {
    /// The size of a page, and of a block.
    pub page_size: PageSize,
    /// One past the highest pfn.
    pub max_mapnr: Pfn,
    /// The pages that the file covers: all, or its part of a split set. Those that are in the 2nd
    /// bitmap have their descriptors in this file.
    pub pfns: PfnRange,
    /// The 1st bitmap, without its padding.
    pub bitmap1: FileRange,
    /// The 2nd bitmap, without its padding; the 1st again in a file with only one.
    pub bitmap2: FileRange,
    /// Where the descriptors start.
    pub descriptors: FileOffset,
}

impl Geometry {
    /// Derives the geometry from the headers.
    ///
    /// There are two bitmaps if `bitmap_blocks` has room for two, each padded to a block. This is
    /// crash's rule.
    ///
    /// # Errors
    /// [`FormatError::BlockSize`]; [`FormatError::MaxMapnr`] if the bitmaps are too small for
    /// `max_mapnr`, or if that is 0; [`FormatError::SplitRange`].
    pub fn of(main: &DiskDumpHeader, sub: &KdumpSubHeader) -> Result<Self, FormatError> {
        let page_size = PageSize::new(main.block_size.into());
        let page_size = page_size.ok_or(FormatError::BlockSize(main.block_size))?;
        let max_mapnr = match sub.max_mapnr_64 {
            0 => u64::from(main.max_mapnr),
            pages => pages,
        };
        // Offsets are less than 2^18 * 2^33, and bits than 2^18 * 2^35: nothing here overflows.
        let block_size = page_size.bytes();
        let bitmap1 = FileOffset::new(block_size * (1 + u64::from(main.sub_hdr_size)));
        let blocks = main.bitmap_blocks;
        let blocks_bytes = block_size * u64::from(blocks);
        let bits = 8 * blocks_bytes;
        if max_mapnr == 0 || max_mapnr > bits {
            return Err(FormatError::MaxMapnr { max_mapnr, bits, blocks });
        }
        let has_two = u64::from(blocks) / 2 >= bitmap_blocks_each(max_mapnr, page_size);
        let bitmap2 = if has_two { bitmap1 + blocks_bytes / 2 } else { bitmap1 };
        let bytes = max_mapnr.div_ceil(8);
        let pfns = if sub.split == 0 {
            0..max_mapnr
        } else {
            sub.start_pfn_64.min(max_mapnr)..sub.end_pfn_64.min(max_mapnr)
        };
        if pfns.start > pfns.end {
            return Err(FormatError::SplitRange { start: pfns.start, end: pfns.end });
        }
        Ok(Geometry {
            page_size,
            max_mapnr: Pfn::new(max_mapnr),
            pfns: pfns.into(),
            bitmap1: Span::of(bitmap1, bytes),
            bitmap2: Span::of(bitmap2, bytes),
            descriptors: bitmap1 + blocks_bytes,
        })
    }
}

/// Blocks of each bitmap: one bit for each page, padded to a block.
pub(crate) fn bitmap_blocks_each(max_mapnr: u64, page_size: PageSize) -> u64 {
    max_mapnr.div_ceil(8 * page_size.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(
        bitmap_blocks: u32,
        max_mapnr: u64,
        sub: &KdumpSubHeader,
    ) -> Result<Geometry, FormatError> {
        let main = DiskDumpHeader {
            block_size: 4096,
            sub_hdr_size: 2,
            bitmap_blocks,
            ..DiskDumpHeader::default()
        };
        Geometry::of(&main, &KdumpSubHeader { max_mapnr_64: max_mapnr, ..sub.clone() })
    }

    #[test]
    fn there_are_two_bitmaps_if_the_blocks_have_room_for_two() {
        let whole = KdumpSubHeader::default();
        let two = geometry(4, 32769, &whole).unwrap();
        assert_eq!((two.bitmap1, two.bitmap2), ((12288..16385).into(), (20480..24577).into()));
        assert_eq!((two.descriptors, two.pfns), (28672.into(), (0..32769).into()));
        let one = geometry(3, 65536, &whole).unwrap();
        assert_eq!((one.bitmap1, one.bitmap2), ((12288..20480).into(), (12288..20480).into()));
        assert_eq!(one.descriptors, 24576);
    }

    #[test]
    fn a_file_of_a_split_set_has_the_descriptors_of_its_pfns() {
        let part = KdumpSubHeader {
            split: 1,
            start_pfn_64: 64,
            end_pfn_64: 1 << 40,
            ..KdumpSubHeader::default()
        };
        assert_eq!(geometry(4, 1000, &part).unwrap().pfns, 64..1000);
        let back = KdumpSubHeader { end_pfn_64: 3, ..part };
        let why = geometry(4, 1000, &back).unwrap_err();
        assert_eq!(why.to_string(), "start_pfn 0x40 is after end_pfn 0x3");
    }

    #[test]
    fn pages_without_a_bit_are_refused() {
        let whole = KdumpSubHeader::default();
        let why = geometry(2, 65537, &whole).unwrap_err();
        assert_eq!(
            why.to_string(),
            "max_mapnr 0x10001, but the bitmaps have 0x10000 bits in 2 blocks"
        );
        assert!(geometry(2, 0, &whole).is_err());
    }
}
