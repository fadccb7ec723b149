//! A pipe or a compressed file as an input: read once, front to back.
//!
//! The output wants pages in pfn order; a core may store them in another. /proc/vmcore starts with
//! the kernel's text, wherever in memory that is. Bytes that pass before their turn are spooled into
//! a temporary file without a name, each at its own offset in a file full of holes. All others
//! flow through. So every core converts from a pipe to the same bytes as from a file, and a core in
//! pfn order, as QEMU writes it, needs no disk at all. (Refusing cores out of order was rejected: it
//! would refuse everything that a capture kernel sends.)

use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::input::{Compression, FileInput, InputFailure, ReadAt};
use crate::pages::ranges::{merge, within};
use crate::pages::{FileOffset, FileRange, Position, Span, at_most, in_memory};

/// Bytes from the start that stay in memory: the headers and, usually, the notes.
pub(crate) const HEAD_BYTES: usize = 1 << 20;

/// Bytes that are skipped or spooled at a time.
const SKIP_BYTES: usize = 256 << 10;

/// An input that can only be read forward.
pub struct StreamInput {
    /// How the bytes were compressed before `reader` decompressed them.
    pub(super) compression: Option<Compression>,
    state: Mutex<State>,
}

struct State {
    reader: Box<dyn Read + Send>,
    /// The offset of the next byte of `reader`.
    position: FileOffset,
    ended: bool,
    /// Why it ended, if that was not simply the end.
    failure: Option<InputFailure>,
    head: Vec<u8>,
    keep: Keep,
    spool: Option<File>,
    spool_dir: PathBuf,
    /// Where the spool could take no more, and why. Bytes that it should hold from there on are
    /// lost, but the stream goes on.
    spool_end: Option<(FileOffset, InputFailure)>,
}

/// Which of the passing bytes are kept.
enum Keep {
    /// All: the headers, which say what will be read, have not been read yet.
    All,
    /// Sorted, disjoint ranges that are read after the stream has passed them.
    Ranges(Vec<FileRange>),
}

impl StreamInput {
    /// Reads from `reader`; spools to a file without a name in `spool_dir`.
    #[must_use]
    pub fn new(reader: Box<dyn Read + Send>, spool_dir: PathBuf) -> Self {
        StreamInput {
            compression: None,
            state: Mutex::new(State {
                reader,
                position: FileOffset::ZERO,
                ended: false,
                failure: None,
                head: Vec::new(),
                keep: Keep::All,
                spool: None,
                spool_dir,
                spool_end: None,
            }),
        }
    }
}

impl StreamInput {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces all reads that will follow, in their order. From now on the stream keeps only the
    /// bytes that are read again or after it has passed them.
    pub(crate) fn expect_reads(&self, reads: impl Iterator<Item = FileRange>) {
        self.state().keep = Keep::Ranges(read_after_passing(reads));
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

    /// Puts the stream into a file: all of it, or the part before it failed and the reason.
    ///
    /// # Errors
    /// When the file cannot be made or written.
    pub(crate) fn spool(self) -> io::Result<(FileInput, Option<InputFailure>)> {
        // The failure is in the state.
        let _ = self.read_to_end();
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, failure)) = &state.spool_end {
            return Err(failure.to_io());
        }
        let file = match state.spool {
            Some(file) => file,
            None => nameless(&state.spool_dir)?,
        };
        file.write_all_at(&state.head, 0)?;
        Ok((FileInput::new(file, state.position.get()), state.failure))
    }
}

/// For offsets in the order that was announced, by one thread at a time.
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
                // A pipe or decoder that failed does not recover, and bytes after the gap would
                // have no known offset: the stream ends here. Only EINTR is no failure.
                if error.kind() != io::ErrorKind::Interrupted {
                    self.ended = true;
                    self.failure = Some(InputFailure::new(&error));
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

    /// Passes some of the bytes before `offset`; false at the end.
    fn skip_towards(&mut self, offset: FileOffset) -> io::Result<bool> {
        let mut buf = [0; SKIP_BYTES];
        let (part, _) = buf.split_at_mut(at_most(offset - self.position, SKIP_BYTES));
        Ok(self.pass(part)? > 0)
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
            Keep::Ranges(ranges) => ranges,
        };
        for part in within(ranges, passing) {
            if self.spool_end.is_some() {
                return;
            }
            let from = in_memory(part.start - passing.start);
            let to = in_memory(part.end - passing.start);
            let spooled = match &mut self.spool {
                Some(file) => file.write_all_at(&bytes[from..to], part.start.get()),
                none => nameless(&self.spool_dir).and_then(|file| {
                    none.insert(file).write_all_at(&bytes[from..to], part.start.get())
                }),
            };
            if let Err(error) = spooled {
                let dir = self.spool_dir.display();
                let why =
                    format!("it came too early in the input, and {dir} could not hold it: {error}");
                let failure = InputFailure::new(&io::Error::new(error.kind(), why));
                self.spool_end = Some((part.start, failure));
            }
        }
    }

    /// Reads bytes that were kept, before the current position.
    fn reread(&self, buf: &mut [u8], offset: FileOffset) -> io::Result<usize> {
        let (buf, _) = buf.split_at_mut(at_most(self.position - offset, buf.len()));
        if offset.get() < self.head.len() as u64 {
            let (_, mut kept) = self.head.split_at(in_memory(offset.get()));
            return kept.read(buf);
        }
        let end = match &self.spool_end {
            Some((end, failure)) if *end <= offset => return Err(failure.to_io()),
            Some((end, _)) => *end,
            None => FileOffset::MAX,
        };
        let (buf, _) = buf.split_at_mut(at_most(end - offset, buf.len()));
        match &self.spool {
            Some(file) => file.read_at(buf, offset.get()),
            None => Err(io::Error::other("a pipe cannot be read backwards")),
        }
    }
}

/// A file without a name. It holds the memory of a kernel: only its owner may read it, whatever the
/// umask.
fn nameless(folder: &Path) -> io::Result<File> {
    let file = tempfile::tempfile_in(folder)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
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
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::input::read_full;

    fn stream(bytes: Vec<u8>) -> StreamInput {
        StreamInput::new(Box::new(io::Cursor::new(bytes)), std::env::temp_dir())
    }

    fn read(input: &StreamInput, range: Range<u64>) -> Vec<u8> {
        let mut buf = vec![0; usize::try_from(range.end - range.start).unwrap()];
        let n = read_full(input, &mut buf, range.start).unwrap();
        buf.truncate(n);
        buf
    }

    #[test]
    fn only_bytes_that_pass_before_their_turn_are_kept() {
        let late = |reads: &[Range<u64>]| read_after_passing(reads.iter().cloned().map(Span::from));
        let order = [100..200, 300..400, 0..50, 150..250, 20..60, 400..500];
        assert_eq!(late(&order), [0..60, 150..250]);
        assert_eq!(late(&[0..10, 10..20, 30..40]), [0..0; 0]);
    }

    #[test]
    fn one_pass_serves_all_announced_reads_in_any_order() {
        let bytes: Vec<u8> =
            (0..3_000_000u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[2]).collect();
        let at = |range: &Range<u64>| bytes[range.start as usize..range.end as usize].to_vec();
        let input = stream(bytes.clone());
        assert_eq!(read(&input, 0..64), at(&(0..64)));
        assert_eq!(read(&input, 1_500_000..1_500_100), at(&(1_500_000..1_500_100)));
        assert_eq!(read(&input, 64..2000), at(&(64..2000)), "headers may be read in any order");
        let order = [
            2_000_000..2_400_000,
            1_600_000..1_700_000,
            2_900_000..3_000_000,
            2_300_000..2_950_000,
        ];
        input.expect_reads(order.clone().into_iter().map(Span::from));
        for range in order {
            assert_eq!(read(&input, range.clone()), at(&range), "{range:?}");
        }
        assert_eq!(read(&input, 3_000_000..3_000_010), []);
    }

    #[test]
    fn a_forward_pass_makes_no_spool_file() {
        let input = StreamInput::new(
            Box::new(io::repeat(3).take(4_000_000)),
            PathBuf::from("/nonexistent"),
        );
        assert_eq!(read(&input, 0..64).len(), 64);
        let order = [4096..1_000_000, 2_000_000..4_000_000];
        input.expect_reads(order.clone().into_iter().map(Span::from));
        for range in order {
            assert!(read(&input, range).iter().all(|&byte| byte == 3));
        }
    }

    #[test]
    fn only_bytes_that_the_spool_cannot_hold_are_lost() {
        let input = StreamInput::new(
            Box::new(io::repeat(3).take(1_000_000)),
            PathBuf::from("/nonexistent"),
        );
        let order = [500_000..600_000, 0..100, 300_000..400_000, 700_000..1_000_000];
        input.expect_reads(order.into_iter().map(Span::from));
        assert_eq!(read(&input, 500_000..600_000), [3; 100_000]);
        let error = read_full(&input, &mut [0; 100], 0).unwrap_err();
        assert!(error.to_string().contains("/nonexistent could not hold it"), "{error}");
        assert!(read_full(&input, &mut [0; 100], 300_000).is_err());
        assert_eq!(read(&input, 700_000..1_000_000), [3; 300_000]);
    }
}
