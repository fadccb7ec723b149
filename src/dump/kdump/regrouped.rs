//! Loads pages of a kdump file whose blocks are larger or smaller than the kernel's pages.

use crate::dump::kdump::Kdump;
use crate::dump::kdump::pages::StoredPages;
use crate::dump::plain_pages::{PlainPages, UnreadablePages};
use crate::dump::reader::{PageDecoder, PageRef};
use crate::dump::{PageError, PageFault};
use crate::error::Result;
use crate::pages::ranges::count;
use crate::pages::{PageSize, Pfn, PfnRange, PhysAddr, PhysRange, Span, in_memory};

/// Maximum bytes of blocks that are loaded at a time.
const LOAD_BYTES: u64 = 1 << 20;

/// The pages of a batch, put together from blocks. Reused for each batch.
pub(crate) struct RegroupedPages {
    plain: PlainPages,
    stored: StoredPages,
    decoder: PageDecoder,
    block: DecodedBlock,
}

impl RegroupedPages {
    /// Empty buffers.
    ///
    /// # Errors
    /// [`crate::Error::Codec`] when a codec cannot start.
    pub(crate) fn new(kdump: &Kdump) -> Result<Self> {
        Ok(RegroupedPages {
            plain: PlainPages::default(),
            stored: StoredPages::default(),
            decoder: PageDecoder::new(kdump.blocks.size)?,
            block: DecodedBlock::new(kdump.blocks.size),
        })
    }

    /// The loaded pages.
    pub(crate) fn plain(&self) -> &PlainPages {
        &self.plain
    }
}

impl Kdump {
    /// Reads and decodes the pages of `runs`, which ascend; all are [kept](Self::kept). Bytes that
    /// are in no block are 0. A page is unreadable if one of its blocks is, or was excluded.
    pub(crate) fn load_regrouped(&self, runs: &[PfnRange], into: &mut RegroupedPages) {
        let blocks = &self.blocks;
        let RegroupedPages { plain, stored, decoder, block } = into;
        let (mut rest, unreadable) = plain.begin(blocks.page_size, count(runs));
        let at_once = (LOAD_BYTES / blocks.size.bytes()).max(1);
        for run in runs {
            let (pages, after) = rest.split_at_mut(blocks.page_size.buffer_len(run.len()));
            rest = after;
            let mut to_load = blocks.blocks_touched(*run);
            // The run before may have ended within the first block.
            if block.number == Some(to_load.start) {
                block.copy_to(*run, blocks.page_size, pages, unreadable);
                to_load.start += 1;
            }
            while !to_load.is_empty() {
                let piece = PfnRange::of(to_load.start, to_load.len().min(at_once));
                to_load.start = piece.end;
                let kept: Vec<_> = blocks.kept.runs_within(piece).collect();
                self.load(&kept, stored);
                let mut loaded = kept.iter().flat_map(Span::iter).enumerate().peekable();
                for number in piece.iter() {
                    match loaded.next_if(|(_, kept)| *kept == number) {
                        Some((index, _)) => block.decode(number, stored.page(index), decoder),
                        None => block.fill(number, blocks.present.contains(number)),
                    }
                    block.copy_to(*run, blocks.page_size, pages, unreadable);
                }
            }
        }
    }
}

/// A decoded block.
struct DecodedBlock {
    size: PageSize,
    /// Its number; `None` before the first block.
    number: Option<Pfn>,
    bytes: Vec<u8>,
    /// Why it could not be decoded, if it could not.
    error: Option<PageError>,
}

impl DecodedBlock {
    fn new(size: PageSize) -> Self {
        DecodedBlock { size, number: None, bytes: vec![0; size.in_memory()], error: None }
    }

    /// Decodes block `number`, stored as `stored`.
    fn decode(
        &mut self,
        number: Pfn,
        stored: Result<PageRef<'_>, &PageError>,
        decoder: &mut PageDecoder,
    ) {
        self.number = Some(number);
        let stored = stored.map_err(Clone::clone);
        let decoded = stored.and_then(|stored| decoder.decode_into(stored, &mut self.bytes));
        self.error = decoded.err();
    }

    /// Becomes block `number`, which the file does not have: excluded if it is RAM, else zeros.
    fn fill(&mut self, number: Pfn, is_ram: bool) {
        self.number = Some(number);
        self.bytes.fill(0);
        self.error = is_ram.then(|| {
            let why = format!("block {number:#x}, a part of the page, was excluded");
            PageError::new(PageFault::Unreadable, None, why)
        });
    }

    /// Copies the bytes that are in the pages `run` into `pages`, the bytes of those.
    fn copy_to(
        &self,
        run: PfnRange,
        page_size: PageSize,
        pages: &mut [u8],
        unreadable: &mut UnreadablePages,
    ) {
        let Some(number) = self.number else { return };
        // Bytes from the start of pfn 0, where block 0 starts as well.
        let address = |unit: Pfn, size: PageSize| PhysAddr::new(unit.get() * size.bytes());
        let bytes_of = |units: PfnRange, size: PageSize| {
            Span::new(address(units.start, size), address(units.end, size))
        };
        let (of_block, of_run) =
            (bytes_of(Span::of(number, 1), self.size), bytes_of(run, page_size));
        let common = of_block.intersection(of_run);
        if let Some(why) = &self.error {
            let first = Pfn::new(common.start.get() / page_size.bytes());
            let end = Pfn::new(common.end.get().div_ceil(page_size.bytes()));
            Span::new(first, end).iter().for_each(|pfn| unreadable.add(pfn, || why.clone()));
            return;
        }
        let part =
            |of: PhysRange| in_memory(common.start - of.start)..in_memory(common.end - of.start);
        if let (Some(to), Some(from)) =
            (pages.get_mut(part(of_run)), self.bytes.get(part(of_block)))
        {
            to.copy_from_slice(from);
        }
    }
}
