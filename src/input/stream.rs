//! A pipe or a compressed file as an input: read once, front to back.
//!
//! The output wants pages in pfn order, a core may hold them in another: /proc/vmcore has the
//! kernel's text first, wherever it lies. What the pass goes by before its turn is spooled into
//! an unlinked temporary file, at its own offset in a file full of holes; all else flows through.
//! So every core converts from a pipe to the same bytes as from a file, and one that is in order,
//! as QEMU writes them, needs no disk at all. (Refusing cores out of order would refuse all those
//! that a capture kernel sends.)

use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::input::{FileInput, InputFailure, ReadAt};

/// Bytes from the start that stay in memory: headers and the usual notes.
const HEAD_BYTES: usize = 1 << 20;

/// Bytes that are skipped or spooled at a time.
const SKIP_BYTES: usize = 256 << 10;

/// An input that can only be read forward.
pub struct StreamInput {
    state: Mutex<State>,
}

struct State {
    reader: Box<dyn Read + Send>,
    position: u64,
    ended: bool,
    /// Why, if it was not simply the end.
    failure: Option<InputFailure>,
    head: Vec<u8>,
    keep: Keep,
    spool: Option<File>,
    spool_dir: PathBuf,
    /// Where the spool could take no more, and why: what it lacks from there on is lost, but the
    /// stream goes on.
    spool_end: Option<(u64, InputFailure)>,
}

/// What of the bytes that pass is put aside.
enum Keep {
    /// Everything: the headers do not say yet what will be wanted.
    All,
    /// Sorted ranges that are wanted after the pass has gone by them.
    Ranges(Vec<Range<u64>>),
}

impl StreamInput {
    /// Reads from `reader`; what must be spooled goes to a nameless file in `spool_dir`.
    #[must_use]
    pub fn new(reader: Box<dyn Read + Send>, spool_dir: PathBuf) -> Self {
        StreamInput {
            state: Mutex::new(State {
                reader,
                position: 0,
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

    /// Announces all reads that will follow, in their order: only bytes that are read again or
    /// after the pass has gone by them are kept from now on.
    pub(crate) fn expect_reads(&self, reads: impl Iterator<Item = Range<u64>>) {
        self.state().keep = Keep::Ranges(wanted_late(reads));
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

    /// Why the stream ended, if it was not simply the end.
    pub(crate) fn failure(&self) -> Option<InputFailure> {
        self.state().failure.clone()
    }

    /// Puts the whole stream into a file, or what came before it failed: then says why it did.
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
        Ok((FileInput::new(file, state.position), state.failure))
    }
}

/// For offsets in the order that was announced, by one thread at a time.
impl ReadAt for StreamInput {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
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
        state.ended.then_some(state.position)
    }
}

impl State {
    /// Reads the next bytes of the pass; 0 at the end.
    fn pass(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let n = match self.reader.read(buf) {
            Ok(n) => n,
            Err(error) => {
                // A pipe or decoder that failed does not recover, and what comes after the gap
                // could not be placed: the stream ends here. EINTR alone is no failure.
                if error.kind() != io::ErrorKind::Interrupted {
                    self.ended = true;
                    self.failure = Some(InputFailure::new(&error));
                }
                return Err(error);
            }
        };
        self.ended = n == 0;
        self.put_aside(buf.get(..n).unwrap_or_default());
        self.position += n as u64;
        Ok(n)
    }

    /// Passes over some of the bytes before `offset`; false at the end.
    fn skip_towards(&mut self, offset: u64) -> io::Result<bool> {
        let mut buf = [0; SKIP_BYTES];
        let bytes = usize::try_from(offset - self.position).unwrap_or(SKIP_BYTES).min(SKIP_BYTES);
        Ok(self.pass(buf.get_mut(..bytes).unwrap_or_default())? > 0)
    }

    /// Puts aside what is wanted again of the bytes at the current position.
    fn put_aside(&mut self, bytes: &[u8]) {
        let all = [0..u64::MAX];
        let in_head =
            self.position == self.head.len() as u64 && self.head.len() + bytes.len() <= HEAD_BYTES;
        let ranges = match &self.keep {
            Keep::All if in_head => {
                self.head.extend_from_slice(bytes);
                return;
            }
            Keep::All => &all[..],
            Keep::Ranges(ranges) => ranges,
        };
        let (start, end) = (self.position, self.position + bytes.len() as u64);
        let first = ranges.partition_point(|range| range.end <= start);
        for range in ranges.iter().skip(first).take_while(|range| range.start < end) {
            let (from, to) = (range.start.max(start), range.end.min(end));
            let part = usize::try_from(from - start)
                .ok()
                .zip(usize::try_from(to - start).ok())
                .and_then(|(from, to)| bytes.get(from..to))
                .unwrap_or_default();
            if self.spool_end.is_some() {
                return;
            }
            let spooled = match &mut self.spool {
                Some(file) => file.write_all_at(part, from),
                none => nameless(&self.spool_dir)
                    .and_then(|file| none.insert(file).write_all_at(part, from)),
            };
            if let Err(error) = spooled {
                let dir = self.spool_dir.display();
                let why =
                    format!("it came too early in the input, and {dir} could not hold it: {error}");
                self.spool_end =
                    Some((from, InputFailure::new(&io::Error::new(error.kind(), why))));
            }
        }
    }

    /// Reads what was put aside before the current position.
    fn reread(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = usize::try_from(self.position - offset).unwrap_or(usize::MAX).min(buf.len());
        let buf = buf.get_mut(..bytes).unwrap_or_default();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(mut kept) = self.head.get(start..).filter(|kept| !kept.is_empty()) {
            return kept.read(buf);
        }
        let end = match &self.spool_end {
            Some((end, failure)) if *end <= offset => return Err(failure.to_io()),
            Some((end, _)) => *end,
            None => u64::MAX,
        };
        let bytes = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buf.len());
        match &self.spool {
            Some(file) => file.read_at(buf.get_mut(..bytes).unwrap_or_default(), offset),
            None => Err(io::Error::other("a pipe cannot be read backwards")),
        }
    }
}

/// A file without a name. The memory of a kernel is in it: its own user's alone, whatever the umask.
fn nameless(folder: &Path) -> io::Result<File> {
    let file = tempfile::tempfile_in(folder)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// The ranges that a forward pass has gone by when their turn comes, sorted and merged.
fn wanted_late(reads: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut passed = 0;
    let mut late: Vec<Range<u64>> = Vec::new();
    for read in reads {
        if read.start < passed {
            late.push(read.start..read.end.min(passed));
        }
        passed = passed.max(read.end);
    }
    late.sort_by_key(|range| range.start);
    late.dedup_by(|next, last| {
        let joins = next.start <= last.end;
        if joins {
            last.end = last.end.max(next.end);
        }
        joins
    });
    late
}

#[cfg(test)]
mod tests {
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
    fn only_what_is_gone_by_before_its_turn_is_wanted_late() {
        let order = [100..200, 300..400, 0..50, 150..250, 20..60, 400..500];
        assert_eq!(wanted_late(order.into_iter()), [0..60, 150..250]);
        let forward = [0..10, 10..20, 30..40];
        assert_eq!(wanted_late(forward.into_iter()), []);
    }

    #[test]
    fn a_pass_serves_every_announced_read_whatever_their_order() {
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
        input.expect_reads(order.clone().into_iter());
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
        input.expect_reads(order.clone().into_iter());
        for range in order {
            assert!(read(&input, range).iter().all(|&byte| byte == 3));
        }
    }

    #[test]
    fn what_the_spool_cannot_hold_is_lost_and_nothing_else() {
        let input = StreamInput::new(
            Box::new(io::repeat(3).take(1_000_000)),
            PathBuf::from("/nonexistent"),
        );
        let order = [500_000..600_000, 0..100, 300_000..400_000, 700_000..1_000_000];
        input.expect_reads(order.into_iter());
        assert_eq!(read(&input, 500_000..600_000), [3; 100_000]);
        let error = read_full(&input, &mut [0; 100], 0).unwrap_err();
        assert!(error.to_string().contains("/nonexistent could not hold it"), "{error}");
        assert!(read_full(&input, &mut [0; 100], 300_000).is_err());
        assert_eq!(read(&input, 700_000..1_000_000), [3; 300_000]);
    }
}
