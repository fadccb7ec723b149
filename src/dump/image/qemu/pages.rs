//! Where the pages of a RAM block are in the file.

use crate::format::qemu::RamRecord;

/// What a page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The same byte everywhere.
    Fill(u8),
    /// Bytes of the file, from this offset on.
    File(u64),
}

/// Pages that follow each other in the block, and in the file, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// The number of the first page in the block.
    start: u64,
    /// The offset in the file of the first page, or a byte.
    place: u64,
    pages: u32,
    is_fill: bool,
}

impl Run {
    /// One page.
    pub(super) fn of(page: u64, place: Place) -> Self {
        let (place, is_fill) = match place {
            Place::Fill(byte) => (byte.into(), true),
            Place::File(offset) => (offset, false),
        };
        Run { start: page, place, pages: 1, is_fill }
    }

    fn end(&self) -> u64 {
        self.start + u64::from(self.pages)
    }

    /// What page `page` of the run has.
    fn place(&self, page: u64, stride: u64) -> Place {
        match u8::try_from(self.place) {
            Ok(byte) if self.is_fill => Place::Fill(byte),
            _ => Place::File(self.place + (page - self.start) * stride),
        }
    }

    /// The pages from `page` on, which is at most the end.
    fn from(&self, page: u64, stride: u64) -> Option<Run> {
        let start = page.max(self.start);
        let pages =
            u32::try_from(self.end().checked_sub(start)?).ok().filter(|pages| *pages > 0)?;
        let place =
            if self.is_fill { self.place } else { self.place + (start - self.start) * stride };
        Some(Run { start, place, pages, ..*self })
    }

    /// The pages before `page`.
    fn until(&self, page: u64) -> Option<Run> {
        let pages = page.min(self.end()).checked_sub(self.start).filter(|pages| *pages > 0)?;
        Some(Run { pages: u32::try_from(pages).ok()?, ..*self })
    }

    /// Whether `next` goes on where the run ends.
    fn goes_on(&self, next: &Run, stride: u64) -> bool {
        let distance = if self.is_fill { 0 } else { u64::from(self.pages) * stride };
        self.is_fill == next.is_fill
            && self.end() == next.start
            && self.place.checked_add(distance) == Some(next.place)
            && self.pages.checked_add(next.pages).is_some()
    }
}

fn push(runs: &mut Vec<Run>, run: Run, stride: u64) {
    match runs.last_mut() {
        Some(last) if last.goes_on(&run, stride) => last.pages += run.pages,
        _ => runs.push(run),
    }
}

/// The pages of a block in the order in which they arrive: of the same page twice, the last counts.
///
/// A guest that runs while it is saved sends all pages in order, then those that it wrote to, again
/// in order, and so on. Each such pass is a layer over those before. Layers are merged as soon as an
/// upper one is as large as the one below it, so that each page is moved a few times at most.
#[derive(Debug)]
pub(super) struct ArrivingPages {
    page_bytes: u64,
    stride: u64,
    layers: Vec<Vec<Run>>,
}

impl ArrivingPages {
    /// No pages yet, each of which has `page_bytes` and a header before it.
    pub(super) fn new(page_bytes: u64) -> Self {
        let stride = page_bytes + RamRecord::BYTES as u64;
        ArrivingPages { page_bytes, stride, layers: vec![Vec::new()] }
    }

    /// Adds a page.
    pub(super) fn push(&mut self, page: u64, place: Place) {
        let run = Run::of(page, place);
        match self.layers.last_mut() {
            Some(top) if top.last().is_none_or(|last| last.end() <= page) => {
                push(top, run, self.stride);
            }
            _ => {
                self.merge(|below, above| above.len() >= below.len());
                self.layers.push(vec![run]);
            }
        }
    }

    /// All pages, the last of each.
    pub(super) fn finish(mut self) -> Runs {
        self.merge(|_, _| true);
        let runs = self.layers.pop().unwrap_or_default();
        Runs { page_bytes: self.page_bytes, stride: self.stride, runs }
    }

    fn merge(&mut self, is_due: impl Fn(&[Run], &[Run]) -> bool) {
        while let [.., below, above] = &mut *self.layers {
            if !is_due(below, above) {
                return;
            }
            let merged = overlay(std::mem::take(below), std::mem::take(above), self.stride);
            self.layers.pop();
            self.layers.pop();
            self.layers.push(merged);
        }
    }
}

/// The pages of two layers; of those in both, the upper ones.
fn overlay(below: Vec<Run>, above: Vec<Run>, stride: u64) -> Vec<Run> {
    let mut above = above.into_iter().peekable();
    let mut merged = Vec::new();
    for run in below {
        let mut rest = Some(run);
        while let (Some(run), Some(next)) = (rest, above.peek().copied()) {
            if next.start >= run.end() {
                break;
            }
            if let Some(before) = run.until(next.start) {
                push(&mut merged, before, stride);
            }
            rest = run.from(next.end(), stride);
            // One that covers the rest of this run may go on over the next.
            if rest.is_some() {
                push(&mut merged, next, stride);
                above.next();
            }
        }
        if let Some(run) = rest {
            push(&mut merged, run, stride);
        }
    }
    for run in above {
        push(&mut merged, run, stride);
    }
    merged
}

/// The pages of a block that arrived, in ascending order.
#[derive(Debug)]
pub(super) struct Runs {
    page_bytes: u64,
    stride: u64,
    runs: Vec<Run>,
}

/// The pages of a block that has a place in the file for each of them.
#[derive(Debug)]
pub(super) struct MappedPages {
    /// A bit for each page that is in the file, the lowest bit of a byte first; `None` if the
    /// bitmap was not written, and so all are taken as they are.
    pub(super) bitmap: Option<Vec<u8>>,
    /// The offset of page 0.
    pub(super) offset: u64,
    /// The size of a page.
    pub(super) page_bytes: u64,
    /// The size of the file.
    pub(super) file_bytes: u64,
}

/// The pages of a block.
#[derive(Debug)]
pub(super) enum BlockPages {
    /// In the order of a stream.
    Runs(Runs),
    /// At their places.
    Mapped(MappedPages),
}

/// Pages that follow each other and have the same kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// How many.
    pub(super) pages: u64,
    /// The first one's; `None` if they never arrived.
    pub(super) place: Option<Place>,
    /// The size of a page.
    pub(super) page_bytes: u64,
    /// In the file, how many bytes the pages are apart.
    pub(super) stride: u64,
}

impl BlockPages {
    /// The pages from `page` on that follow each other, but at most `most`, which is not 0.
    pub(super) fn piece(&self, page: u64, most: u64) -> Piece {
        match self {
            BlockPages::Runs(runs) => runs.piece(page, most),
            BlockPages::Mapped(mapped) => mapped.piece(page, most),
        }
    }
}

impl Runs {
    fn piece(&self, page: u64, most: u64) -> Piece {
        let next = self.runs.partition_point(|run| run.end() <= page);
        let Runs { page_bytes, stride, .. } = *self;
        let piece = |pages: u64, place| Piece { pages: pages.min(most), place, page_bytes, stride };
        match self.runs.get(next) {
            Some(run) if run.start <= page => {
                piece(run.end() - page, Some(run.place(page, self.stride)))
            }
            Some(run) => piece(run.start - page, None),
            None => piece(most, None),
        }
    }
}

impl MappedPages {
    fn piece(&self, page: u64, most: u64) -> Piece {
        let page_bytes = self.page_bytes;
        let piece = |pages, place| Piece { pages, place, page_bytes, stride: page_bytes };
        let (is_stored, pages) = self.alike(page, most);
        if !is_stored {
            return piece(pages, Some(Place::Fill(0)));
        }
        let offset = page.checked_mul(page_bytes).and_then(|skip| self.offset.checked_add(skip));
        let left = offset.and_then(|offset| Some((offset, self.file_bytes.checked_sub(offset)?)));
        match left.map(|(offset, left)| (offset, left / page_bytes)) {
            None | Some((_, 0)) => piece(pages, None),
            Some((offset, there)) => piece(pages.min(there), Some(Place::File(offset))),
        }
    }

    /// Whether a page is in the file, and how many from there on are like it, but at most `most`.
    fn alike(&self, page: u64, most: u64) -> (bool, u64) {
        let Some(bitmap) = &self.bitmap else { return (true, most) };
        let is_stored = |page: u64| {
            let byte = usize::try_from(page / 8).ok().and_then(|at| bitmap.get(at));
            byte.map(|byte| byte & (1 << (page % 8)) != 0)
        };
        let Some(first) = is_stored(page) else { return (false, most) };
        let alike = (page..page.saturating_add(most)).take_while(|p| is_stored(*p) == Some(first));
        (first, alike.count() as u64)
    }
}
