//! Reads the headers of one kdump file, and checks what they say about where its parts are.

use crate::dump::kdump::bytes::FileBytes;
use crate::error::{Error, Result};
use crate::format::kdump::{
    DUMP_DH_COMPRESSED_INCOMPLETE, DiskDumpHeader, Geometry, KDUMP_SIGNATURE, KdumpSubHeader,
    PAGE_DESC_BYTES, essential_parts,
};
use crate::format::wire::StructLayout;
use crate::input::{FlattenedStats, read_full};
use crate::pages::page_set::{BLOCK_BYTES, PageSet};
use crate::pages::{FileOffset, FileRange, MAX_PFN, PageSize, Pfn, PfnRange, Position, at_most};

/// Memory that a bitmap may always take, however small the file: enough for 2 TiB of 4 KiB pages.
const MIN_BITMAP_MEMORY: u64 = 64 << 20;

/// Maximum bytes of a bitmap that are read at a time.
const WINDOW_BYTES: usize = 1 << 20;

/// One kdump file.
pub(crate) struct KdumpFile {
    /// The file; if it is flattened, the file that it represents.
    pub(crate) input: FileBytes,
    /// Facts about its flattened stream, if it is flattened.
    pub flattened: Option<FlattenedStats>,
    /// The main header.
    pub header: DiskDumpHeader,
    /// The sub header; fields that its version lacks are 0.
    pub sub_header: KdumpSubHeader,
    /// How the headers are laid out.
    pub layout: StructLayout,
    /// The size of a block.
    pub block_size: PageSize,
    /// One past the highest block, `max_mapnr`. Blocks have numbers as pages have, and mostly are
    /// pages.
    pub blocks_end: Pfn,
    /// The blocks whose descriptors the file has: all, unless it belongs to a split set.
    pub blocks: PfnRange,
    /// The 1st bitmap.
    pub bitmap1: FileRange,
    /// The 2nd bitmap; the same range as the 1st in a file that has only one bitmap.
    pub bitmap2: FileRange,
    /// Offset of the page descriptors.
    pub descriptors: FileOffset,
    /// The rank of the block that the first descriptor describes: the number of kept blocks before it.
    pub(super) first_rank: u64,
    /// What is wrong with the file, although it can be read.
    pub(crate) damage: Vec<String>,
    /// Whether the file is a stream that ended early.
    pub(crate) is_cut: bool,
}

impl KdumpFile {
    /// Reads the headers of a kdump file, flattened or not.
    ///
    /// # Errors
    /// [`Error::NotRecognised`], [`Error::Unsupported`], [`Error::Damaged`], [`Error::CutFlattened`],
    /// [`Error::Read`].
    pub(super) fn open(input: FileBytes) -> Result<Self> {
        let failure = input.stream_failure();
        let broke_off = failure.is_some();
        let mut damage: Vec<String> =
            failure.into_iter().map(|why| format!("the input is damaged: {why}")).collect();
        let (early_end, flat) = (input.early_end(), input.stats());
        damage.extend(flat.as_ref().and_then(|flat| flat.cut_off.clone()));
        Self::read(input, flat, broke_off, damage).map_err(|error| early_end.explain(error))
    }

    fn read(
        input: FileBytes,
        flat: Option<FlattenedStats>,
        broke_off: bool,
        damage: Vec<String>,
    ) -> Result<Self> {
        let is_cut = broke_off || flat.as_ref().is_some_and(|flat| flat.cut_off.is_some());
        let mut bytes = [0; DiskDumpHeader::MAX_BYTES];
        let n = input.read_arrived(&mut bytes, FileOffset::ZERO);
        let (bytes, _) = bytes.split_at(n.map_err(Error::read("the main header"))?);
        if !bytes.starts_with(KDUMP_SIGNATURE) {
            let what = match flat {
                Some(_) if input.size() == Some(0) => "a flattened file without data,",
                Some(_) => "a flattened file, but not of",
                None => "not",
            };
            return Err(Error::NotRecognised(format!("{what} a kdump-compressed file")));
        }
        let damaged = |what: &str, offset: u64, why: String| Error::Damaged {
            what: what.to_owned(),
            offset,
            why,
        };
        let (header, layout) = DiskDumpHeader::decode(bytes)
            .map_err(|why| damaged("main header", 0, why.to_string()))?;
        let block_size = u64::from(header.block_size);
        let size = PageSize::new(block_size).ok_or_else(|| {
            damaged("main header", 0, format!("block_size {block_size} is no page size"))
        })?;
        let (sub_header, layout) = if header.header_version >= 1 {
            let mut bytes = [0; KdumpSubHeader::MAX_BYTES];
            let n = input.read_arrived(&mut bytes, FileOffset::new(block_size));
            let (bytes, _) = bytes.split_at(n.map_err(Error::read("the sub header"))?);
            KdumpSubHeader::decode(bytes, &header, layout)
        } else {
            KdumpSubHeader::decode(&[], &header, layout)
        };
        let geometry = Geometry::of(&header, &sub_header)
            .map_err(|why| damaged("sub header", block_size, why.to_string()))?;
        let parts = essential_parts(&header, layout, &geometry);
        if let Some((name, range)) = parts.into_iter().find(|(_, range)| input.lacks(*range)) {
            return Err(damaged(name, range.start.get(), "it did not arrive whole".to_owned()));
        }
        let Geometry { max_mapnr, pfns, bitmap1, bitmap2, descriptors, .. } = geometry;
        if max_mapnr > MAX_PFN {
            let why = format!("max_mapnr is {max_mapnr:#x}; the maximum is {MAX_PFN:#x}");
            return Err(damaged("sub header", block_size, why));
        }
        Ok(KdumpFile {
            input,
            flattened: flat,
            header,
            sub_header,
            layout,
            block_size: size,
            blocks_end: max_mapnr,
            blocks: pfns,
            bitmap1,
            bitmap2,
            descriptors,
            first_rank: 0,
            damage,
            is_cut,
        })
    }

    /// Reads one of the two bitmaps. Of a stream that broke off, the 2nd bitmap has the pages up to the
    /// first byte that is missing: after it, the place of a page's descriptor is unknown.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the file ends within the bitmap, or is too small for it; [`Error::Read`].
    pub(crate) fn read_bitmap(&self, place: FileRange) -> Result<PageSet> {
        let name = if place == self.bitmap1 { "1st bitmap" } else { "2nd bitmap" };
        let place = self.input.arrived(place);
        let mut set = PageSet::default();
        let mut held = 0;
        let mut window = Vec::new();
        let mut at = place.start;
        while at < place.end {
            // A flattened file of a few bytes may claim a huge bitmap by leaving gaps between records.
            // Gaps take no memory there, so they must take no time here.
            let zeros = self.input.zeros_until(at).min(place.end).checked_sub(at).unwrap_or(0);
            if zeros >= BLOCK_BYTES as u64 {
                set.push_zeros(zeros / BLOCK_BYTES as u64);
                at += zeros - zeros % BLOCK_BYTES as u64;
                continue;
            }
            let block_end = at + BLOCK_BYTES as u64;
            let gap_follows = self.input.zeros_until(block_end) > block_end;
            let most = if gap_follows { BLOCK_BYTES } else { WINDOW_BYTES };
            let bytes = at_most(place.end - at, most);
            window.resize(bytes, 0);
            let n = read_full(&*self.input, &mut window, at.get()).map_err(Error::read(name))?;
            if n < bytes {
                return Err(Error::Damaged {
                    what: name.to_owned(),
                    offset: place.start.get(),
                    why: self.cut_before(place, at + n as u64),
                });
            }
            held += set.push(&window);
            at += bytes as u64;
            self.check_memory(name, place.start, held)?;
        }
        set.truncate(self.blocks_end);
        Ok(set)
    }

    /// Where the file was cut off, if its bytes after `read`, in `place`, are missing.
    fn cut_before(&self, place: FileRange, read: FileOffset) -> String {
        let end = self.input.size().map_or(read, FileOffset::new).min(read);
        let where_it_is = if end < place.start { "before" } else { "within" };
        format!("the file is cut off {where_it_is} it, at {end:#x}")
    }

    /// Limits the memory of a bitmap to a multiple of the file's size. A file that is flattened, or was
    /// compressed as a whole, could otherwise claim a bitmap a thousand times its size.
    fn check_memory(&self, name: &str, offset: FileOffset, held: u64) -> Result<()> {
        let bytes =
            self.flattened.as_ref().map(|flat| flat.bytes).or(self.input.size()).unwrap_or(0);
        let most = bytes.saturating_mul(4).max(MIN_BITMAP_MEMORY);
        if held <= most {
            return Ok(());
        }
        Err(Error::Damaged {
            what: name.to_owned(),
            offset: offset.get(),
            why: format!("it is too large for a file of {bytes} bytes"),
        })
    }

    /// Whether the header says that pages were not written, although they should have been; or whether
    /// a stream broke off, whose header was to say it.
    pub(crate) fn is_marked_incomplete(&self) -> bool {
        self.header.status & DUMP_DH_COMPRESSED_INCOMPLETE != 0 || self.input.is_broken_stream()
    }

    /// A warning if the file ends within its `count` descriptors. A stream that broke off has another
    /// one.
    pub(super) fn check_descriptors(&self, count: u64) -> Option<String> {
        if self.input.is_broken_stream() {
            return None;
        }
        let end = self.descriptors.saturating_add(count.saturating_mul(PAGE_DESC_BYTES as u64));
        let bytes = self.input.size().filter(|&bytes| bytes < end.get())?;
        Some(format!(
            "the file ends at {bytes:#x}, within its {count} page descriptors, which end at {end:#x}"
        ))
    }

    /// Offset of the descriptor of the block with this rank.
    pub(super) fn descriptor_of(&self, rank: u64) -> FileOffset {
        let index = rank.saturating_sub(self.first_rank);
        self.descriptors.saturating_add(index.saturating_mul(PAGE_DESC_BYTES as u64))
    }

    /// Whether both files may belong to one split set: then only their page ranges differ.
    pub(super) fn is_of_the_set_of(&self, other: &KdumpFile) -> bool {
        let same_sub = |file: &KdumpFile| KdumpSubHeader {
            split: 0,
            start_pfn: 0,
            end_pfn: 0,
            start_pfn_64: 0,
            end_pfn_64: 0,
            offset_eraseinfo: 0,
            size_eraseinfo: 0,
            ..file.sub_header.clone()
        };
        let complete = |file: &KdumpFile| DiskDumpHeader {
            status: file.header.status & !DUMP_DH_COMPRESSED_INCOMPLETE,
            ..file.header.clone()
        };
        complete(self) == complete(other)
            && self.layout == other.layout
            && same_sub(self) == same_sub(other)
    }
}
