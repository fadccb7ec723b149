//! A pipe or a compressed file as an input: what has passed can be read again.
//!
//! Whoever reads at random, such as the search for the kernel's log, gets every byte: what passes on
//! the way is spooled into a file without a name, each byte at its own offset. So an input is
//! unpacked as far as it is needed.
//!
//! Whoever reads every page once announces the order. The output wants pages in pfn order; a core may
//! store them in another. /proc/vmcore starts with the kernel's text, wherever in memory that is.
//! From then on only bytes that pass before their turn are spooled; all others flow through. So
//! every core converts from a pipe to the same bytes as from a file, and a core in pfn order, as QEMU
//! writes it, needs no disk at all. (Refusing cores out of order was rejected: it would refuse
//! everything that a capture kernel sends.)

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};
use crate::input::spool::{SpoolDir, SpoolFile};
use crate::input::{Container, InputFailure, RandomInput, ReadAt};
use crate::pages::ranges::{merge, within};
use crate::pages::{FileOffset, FileRange, Position, Span, at_most, in_memory};
use crate::progress::{Progress, Stage};

/// Bytes from the start that stay in memory: the headers and, usually, the notes. A stream that has no
/// more needs no spool.
pub(crate) const HEAD_BYTES: usize = 1 << 20;

/// Bytes that are skipped or spooled at a time.
const SKIP_BYTES: usize = 256 << 10;

/// An input that can only be read forward.
pub struct StreamInput {
    /// What the bytes are in, the outermost first: `reader` takes them out of it.
    pub(super) containers: Vec<Container>,
    /// How many bytes there are, as far as the compressed file says.
    stated_size: Option<u64>,
    state: Mutex<State>,
}

struct State {
    reader: Box<dyn Read + Send>,
    is_packed: bool,
    /// The offset of the next byte of `reader`.
    position: FileOffset,
    ended: bool,
    /// Why it ended, if that was not simply the end.
    failure: Option<InputFailure>,
    head: Vec<u8>,
    keep: Keep,
    spool: Option<SpoolFile>,
    spool_dir: SpoolDir,
    /// Where the spool could take no more, and why. Bytes that it should hold from there on are
    /// lost, but the stream goes on.
    spool_end: Option<(FileOffset, InputFailure)>,
}

/// Which of the passing bytes are kept.
enum Keep {
    /// All: any may be read again.
    All,
    /// All before an offset; from there on sorted, disjoint ranges that are read after the stream has
    /// passed them.
    Announced { all_before: FileOffset, ranges: Vec<FileRange> },
}

impl StreamInput {
    /// Reads from `reader`, which takes bytes out of `containers`; spools in `spool_dir`. There are
    /// `stated_size` bytes, if that is known.
    pub(super) fn new(
        reader: Box<dyn Read + Send>,
        containers: Vec<Container>,
        stated_size: Option<u64>,
        spool_dir: SpoolDir,
    ) -> Self {
        StreamInput {
            stated_size,
            state: Mutex::new(State {
                reader,
                is_packed: !containers.is_empty(),
                position: FileOffset::ZERO,
                ended: false,
                failure: None,
                head: Vec::new(),
                keep: Keep::All,
                spool: None,
                spool_dir,
                spool_end: None,
            }),
            containers,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces all reads that will follow, in their order. From now on the stream keeps only the
    /// bytes that are read again or after it has passed them.
    pub(crate) fn expect_reads(&self, reads: impl Iterator<Item = FileRange>) {
        let mut state = self.state();
        let late = read_after_passing(reads);
        let passed = Span::new(FileOffset::ZERO, state.position);
        let (all_before, ranges) = match &state.keep {
            Keep::All => (state.position, late),
            // What has passed without being kept is gone.
            Keep::Announced { all_before, ranges } => {
                let kept = late.iter().flat_map(|late| within(ranges, late.intersection(passed)));
                let coming =
                    late.iter().map(|late| Span::new(late.start.max(passed.end), late.end));
                (*all_before, merge(kept.chain(coming.filter(|late| !late.is_empty())).collect()))
            }
        };
        state.keep = Keep::Announced { all_before, ranges };
    }

    /// Ensures that all bytes which pass can be kept, of which there are `bytes` if that is known.
    ///
    /// # Errors
    /// [`Error::Spool`] if they cannot, [`Error::Read`] if some have passed.
    pub(crate) fn prepare_spool(&self, bytes: Option<u64>) -> Result<()> {
        let mut state = self.state();
        if matches!(state.keep, Keep::Announced { all_before, .. } if all_before < state.position) {
            let why = "it can only be read forward, and some of it has passed";
            return Err(Error::read("the input")(io::Error::other(why)));
        }
        state.keep = Keep::All;
        state.fill_head();
        if !state.ended && state.spool_end.is_none() {
            let made = state.spool_dir.check_for_all(bytes).and_then(|()| match state.spool {
                Some(_) => Ok(()),
                None => state.spool_dir.file().map(|file| state.spool = Some(file)),
            });
            if let Err(error) = made {
                state.spool_end = Some((state.position, InputFailure::new(&error)));
            }
        }
        state.spool_error().map_or(Ok(()), Err)
    }

    /// Why the spool cannot hold what has passed, if it cannot.
    pub(crate) fn spool_error(&self) -> Option<Error> {
        self.state().spool_error()
    }

    /// Reads the rest of the stream.
    ///
    /// # Errors
    /// What is wrong with the rest or, by a checksum at the end, with the whole.
    pub(crate) fn read_to_end(&self) -> io::Result<()> {
        let mut state = self.state();
        let mut buf = vec![0; SKIP_BYTES];
        loop {
            match state.pass(&mut buf) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
    }

    /// Why the stream ended, if that was not simply the end.
    pub(crate) fn failure(&self) -> Option<InputFailure> {
        self.state().failure.clone()
    }

    /// Bytes that the spool takes.
    pub(crate) fn spooled_bytes(&self) -> u64 {
        self.state().spool.as_ref().map_or(0, SpoolFile::written)
    }

    /// Stores the stream, which promises to have `promised` bytes: all of it, or the part before it
    /// failed and the reason.
    ///
    /// # Errors
    /// As [`prepare_spool`](Self::prepare_spool).
    pub(crate) fn store(
        &self,
        promised: Option<u64>,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<RandomInput> {
        // What is packed may consist of several parts, of which the first states its own size.
        let bytes = self.stated_size.max(promised);
        self.prepare_spool(bytes)?;
        let mut state = self.state();
        let mut buf = vec![0; SKIP_BYTES];
        while !state.ended && state.spool_end.is_none() {
            // A failure ends the stream, and is in the state.
            let _ = state.pass(&mut buf);
            if cancel.load(Ordering::Relaxed) && !state.ended {
                state.end(&io::Error::new(io::ErrorKind::Interrupted, "interrupted"));
            }
            let (done, total) = (state.position.get(), bytes.unwrap_or(0));
            progress(Progress { stage: Stage::Unpacking, done, total });
        }
        state.stored()
    }
}

/// Any thread may read at any offset, until reads are announced; then one thread at a time, in that
/// order.
impl ReadAt for StreamInput {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = FileOffset::new(offset);
        let mut state = self.state();
        while state.position < offset {
            if !state.skip_towards(offset)? {
                return Ok(0);
            }
        }
        if state.position > offset { state.reread(buf, offset) } else { state.pass(buf) }
    }

    fn size(&self) -> Option<u64> {
        let state = self.state();
        state.ended.then_some(state.position.get())
    }
}

impl State {
    /// Reads the next bytes of the stream; 0 at the end.
    fn pass(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let n = match self.reader.read(buf) {
            Ok(n) => n,
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.end(&error);
                }
                return Err(error);
            }
        };
        self.ended = n == 0;
        let (bytes, _) = buf.split_at(n);
        self.keep_wanted(bytes);
        self.position += n as u64;
        Ok(n)
    }

    /// Ends the stream: a pipe or decoder that failed does not recover, and bytes after the gap would
    /// have no known offset.
    fn end(&mut self, why: &io::Error) {
        self.ended = true;
        self.failure = Some(InputFailure::new(why));
    }

    /// Passes some of the bytes before `offset`; false at the end.
    fn skip_towards(&mut self, offset: FileOffset) -> io::Result<bool> {
        let mut buf = [0; SKIP_BYTES];
        let (part, _) = buf.split_at_mut(at_most(offset - self.position, SKIP_BYTES));
        Ok(self.pass(part)? > 0)
    }

    /// Reads on until the head is full, or the stream ends.
    fn fill_head(&mut self) {
        let mut buf = vec![0; SKIP_BYTES];
        while !self.ended
            && self.position.get() == self.head.len() as u64
            && self.head.len() < HEAD_BYTES
        {
            let (part, _) = buf.split_at_mut(SKIP_BYTES.min(HEAD_BYTES - self.head.len()));
            // A failure ends the stream.
            let _ = self.pass(part);
        }
    }

    /// Keeps those of the bytes at the current position that will be read again.
    #[expect(clippy::indexing_slicing, reason = "a part of the passing bytes has its indices")]
    fn keep_wanted(&mut self, bytes: &[u8]) {
        let passing = Span::of(self.position, bytes.len() as u64);
        let in_head = self.position.get() == self.head.len() as u64
            && self.head.len() + bytes.len() <= HEAD_BYTES;
        let all = [FileRange::ALL];
        let ranges = match &self.keep {
            Keep::All if in_head => {
                self.head.extend_from_slice(bytes);
                return;
            }
            Keep::All => &all[..],
            Keep::Announced { ranges, .. } => &ranges[..],
        };
        for part in within(ranges, passing) {
            if self.spool_end.is_some() {
                return;
            }
            let from = in_memory(part.start - passing.start);
            let to = in_memory(part.end - passing.start);
            let spool = match &mut self.spool {
                Some(spool) => Ok(spool),
                none => self.spool_dir.file().map(|spool| none.insert(spool)),
            };
            let bytes = &bytes[from..to];
            if let Err(error) = spool.and_then(|spool| spool.write(bytes, part.start.get())) {
                self.spool_end = Some((part.start, InputFailure::new(&error)));
            }
        }
    }

    fn spool_error(&self) -> Option<Error> {
        let (_, failure) = self.spool_end.as_ref()?;
        Some(self.cannot_spool(failure.to_io()))
    }

    fn cannot_spool(&self, source: io::Error) -> Error {
        Error::Spool { is_packed: self.is_packed, dir: self.spool_dir.path().to_owned(), source }
    }

    /// Reads bytes that were kept, before the current position.
    fn reread(&self, buf: &mut [u8], offset: FileOffset) -> io::Result<usize> {
        if offset.get() < self.head.len() as u64 {
            let (_, mut kept) = self.head.split_at(in_memory(offset.get()));
            return kept.read(buf);
        }
        let kept = match &self.keep {
            Keep::All => Span::new(FileOffset::ZERO, self.position),
            Keep::Announced { all_before, .. } if offset < *all_before => {
                Span::new(FileOffset::ZERO, *all_before)
            }
            Keep::Announced { ranges, .. } => {
                ranges.iter().find(|range| range.contains(offset)).copied().unwrap_or_default()
            }
        };
        let end = match &self.spool_end {
            Some((end, failure)) if *end <= offset => {
                let dir = self.spool_dir.path().display();
                let why = format!("it has passed, and {dir} could not hold it: {failure}");
                return Err(io::Error::new(failure.kind(), why));
            }
            Some((end, _)) => kept.end.min(*end),
            None => kept.end,
        };
        match &self.spool {
            Some(spool) if kept.contains(offset) => {
                let left = end.min(self.position) - offset;
                let (buf, _) = buf.split_at_mut(at_most(left, buf.len()));
                spool.read_at(buf, offset.get())
            }
            _ => Err(io::Error::other("it can only be read forward, and has passed")),
        }
    }

    /// The stream that has ended, as an input to be read at random.
    fn stored(&mut self) -> Result<RandomInput> {
        if let Some(error) = self.spool_error() {
            return Err(error);
        }
        let Some(spool) = &mut self.spool else {
            return Ok(RandomInput::stored(self.head.clone(), self.failure.clone(), 0));
        };
        let file = spool.write(&self.head, 0).and_then(|()| spool.to_input());
        let written = spool.written();
        match file {
            Ok(file) => Ok(RandomInput::stored(file, self.failure.clone(), written)),
            Err(error) => Err(self.cannot_spool(error)),
        }
    }
}

/// The bytes that a forward pass has passed when their turn comes, sorted and merged.
fn read_after_passing(reads: impl Iterator<Item = FileRange>) -> Vec<FileRange> {
    let mut passed = FileOffset::ZERO;
    let mut late = Vec::new();
    for read in reads {
        if read.start < passed {
            late.push(Span::new(read.start, read.end.min(passed)));
        }
        passed = passed.max(read.end);
    }
    merge(late)
}

#[cfg(test)]
mod tests;
