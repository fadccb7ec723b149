//! Reading at an offset: the one door to the input's bytes, and where tests inject faults.

pub mod flattened;
mod mapped;
pub mod open;
pub mod stream;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that can be read by their offset.
pub trait ReadAt: Send + Sync {
    /// Reads some bytes at `offset` into `buf`, like pread(2): 0 means the end.
    ///
    /// # Errors
    /// What the operating system says; a later read elsewhere may still succeed.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Bytes in all, once that is known: of a sequential input when it has ended.
    fn size(&self) -> Option<u64>;

    /// Whether offsets must be asked for in one forward pass, by one thread at a time.
    fn is_sequential(&self) -> bool {
        false
    }

    /// Announces the reads that will follow, in their order; nothing else is read afterwards.
    ///
    /// A sequential input keeps what is wanted again or too late.
    ///
    /// # Errors
    /// When what must be kept cannot be.
    fn expect_reads(&self, reads: &mut dyn Iterator<Item = Range<u64>>) -> io::Result<()> {
        let _ = reads;
        Ok(())
    }

    /// Reads what is left of a sequential input, whose last bytes may vouch for all before them:
    /// .gz and .zst end with a checksum.
    ///
    /// # Errors
    /// What is wrong with the rest, or by it with the whole.
    fn read_to_end(&self) -> io::Result<()> {
        Ok(())
    }

    /// What a sequential input failed of, if that was its end: it is not what its headers promise.
    fn broke_off(&self) -> Option<io::Error> {
        None
    }

    /// Puts all of a sequential input into a file that can be read at random; `None` if it can be
    /// already. Nothing is read from this input afterwards.
    ///
    /// # Errors
    /// When the file cannot be made or written.
    fn spool(&self) -> io::Result<Option<FileInput>> {
        Ok(None)
    }

    /// Up to where all bytes from `offset` on are known to be 0 without a look at them; `offset`
    /// itself where that is not known.
    fn zeros_until(&self, offset: u64) -> u64 {
        offset
    }

    /// Whether some bytes of a range were never written, though they read as 0: a flattened file
    /// leaves out padding, but no page is padding.
    fn has_gap(&self, range: &Range<u64>) -> bool {
        let _ = range;
        false
    }

    /// Hints that bytes from `offset` on are read next.
    fn read_ahead(&self, offset: u64) {
        let _ = offset;
    }
}

/// Fills `buf` from `offset` on as far as the input goes; returns the bytes read.
///
/// # Errors
/// The first error that is not EINTR.
pub fn read_full(input: &dyn ReadAt, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match input.read_at(rest, offset.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Reads what there is of `bytes` at `offset`.
fn read_bytes_at(bytes: &[u8], buf: &mut [u8], offset: u64) -> usize {
    let rest = usize::try_from(offset).ok().and_then(|start| bytes.get(start..));
    let pairs = buf.iter_mut().zip(rest.unwrap_or_default());
    pairs.map(|(byte, from)| *byte = *from).count()
}

/// An input in memory.
impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(read_bytes_at(self, buf, offset))
    }

    fn size(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
}

/// An input that others have as well: opening it again copies nothing.
impl ReadAt for Arc<[u8]> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(read_bytes_at(self, buf, offset))
    }

    fn size(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
}

/// An input that the program has in itself, by `include_bytes!`.
impl ReadAt for &'static [u8] {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(read_bytes_at(self, buf, offset))
    }

    fn size(&self) -> Option<u64> {
        Some(self.len() as u64)
    }
}

/// Where bytes are in the input, and at which address their pieces are counted from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) address: u64,
}

/// Fills `buf` from `place` on, and goes on behind what cannot be read.
///
/// A read that fails is tried again up to the next multiple of `piece` bytes of the address, so
/// that a bad sector or a page that /proc/vmcore cannot map costs that piece alone. Each piece
/// that is lost is passed to `lost` as its addresses, with the reason; its bytes are undefined.
pub(crate) fn read_around_errors(
    input: &dyn ReadAt,
    buf: &mut [u8],
    place: Place,
    piece: u64,
    lost: &mut dyn FnMut(Range<u64>, io::Error),
) {
    let mut done = 0;
    let mut careful = false;
    let mut why = None;
    while done < buf.len() {
        let here = place.address + done as u64;
        let to_piece_end = usize::try_from(piece - here % piece).unwrap_or(usize::MAX);
        let piece_end = done.saturating_add(to_piece_end).min(buf.len());
        let end = if careful { piece_end } else { buf.len() };
        let part = buf.get_mut(done..end).unwrap_or_default();
        let error = match input.read_at(part, place.offset + done as u64) {
            // A stream that failed says so once and has ended from then on.
            Ok(0) => why.take().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                done += n;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if !careful => {
                careful = true;
                why = Some(error);
                continue;
            }
            Err(error) => error,
        };
        lost(here..place.address + piece_end as u64, error);
        done = piece_end;
    }
}

/// A file or block device.
///
/// Read by pread(2): mmap was measured no faster, holds the whole file in the resident set, and
/// ends in SIGBUS on a truncated file. (/proc/vmcore is another matter: `mapped.rs`.)
#[derive(Debug)]
pub struct FileInput {
    file: File,
    size: u64,
    ahead: AtomicU64,
    /// Of a spooled stream: why it is not all, or not right, if it is not.
    broken: Option<(io::ErrorKind, String)>,
}

/// How far reading is announced to the kernel, and by how much a time: it caps a request at the
/// device's largest one, so that a long one would be cut without a word.
const READ_AHEAD_BYTES: u64 = 8 << 20;
const READ_AHEAD_STEP: u64 = 1 << 20;

impl FileInput {
    /// Takes an open file of `size` bytes.
    #[must_use]
    pub fn new(file: File, size: u64) -> Self {
        FileInput { file, size, ahead: AtomicU64::new(0), broken: None }
    }

    /// Takes the `size` bytes of a stream that were put into a file; `broken` is what
    /// [`read_to_end`](ReadAt::read_to_end) of the stream said.
    pub(crate) fn spooled(file: File, size: u64, broken: Option<&io::Error>) -> Self {
        let broken = broken.map(|error| (error.kind(), error.to_string()));
        FileInput { broken, ..FileInput::new(file, size) }
    }
}

impl ReadAt for FileInput {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.size {
            return Ok(0);
        }
        self.file.read_at(buf, offset)
    }

    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn read_to_end(&self) -> io::Result<()> {
        match &self.broken {
            Some((kind, why)) => Err(io::Error::new(*kind, why.as_str())),
            None => Ok(()),
        }
    }

    fn broke_off(&self) -> Option<io::Error> {
        self.broken.as_ref().map(|(kind, why)| io::Error::new(*kind, why.as_str()))
    }

    fn read_ahead(&self, offset: u64) {
        let wanted = offset.saturating_add(READ_AHEAD_BYTES).min(self.size);
        // Announced so far, unless reading has jumped to another part of the file.
        let ahead = self.ahead.load(Ordering::Relaxed);
        let mut ahead = if (offset..=wanted).contains(&ahead) { ahead } else { offset };
        if wanted < ahead.saturating_add(READ_AHEAD_STEP) {
            return;
        }
        while ahead < wanted {
            let step = std::num::NonZeroU64::new(READ_AHEAD_STEP.min(wanted - ahead));
            let advice = rustix::fs::Advice::WillNeed;
            // A hint: a file system that knows none is read without.
            let _ = rustix::fs::fadvise(&self.file, ahead, step, advice);
            ahead += READ_AHEAD_STEP;
        }
        self.ahead.store(ahead, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stutters;

    impl ReadAt for Stutters {
        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
            match offset {
                0 => buf[0] = 7,
                1 if buf.len() > 2 => return Err(io::ErrorKind::Interrupted.into()),
                1..4 => buf[0] = 8,
                4 => return Ok(0),
                _ => return Err(io::ErrorKind::Other.into()),
            }
            Ok(1)
        }

        fn size(&self) -> Option<u64> {
            None
        }
    }

    #[test]
    fn bytes_in_memory_end_where_they_end() {
        let inputs: [Box<dyn ReadAt>; 3] = [
            Box::new(b"abcd".to_vec()),
            Box::new(Arc::<[u8]>::from(*b"abcd")),
            Box::new(b"abcd".as_slice()),
        ];
        for input in inputs {
            let mut buf = *b"....";
            assert_eq!(input.read_at(&mut buf, 2).unwrap(), 2);
            assert_eq!(buf, *b"cd..");
            assert_eq!(input.read_at(&mut buf, 4).unwrap(), 0);
            assert_eq!(input.read_at(&mut buf, u64::MAX).unwrap(), 0);
            assert_eq!(input.size(), Some(4));
        }
    }

    #[test]
    fn short_reads_are_continued_to_the_end() {
        let mut buf = [0; 3];
        assert_eq!(read_full(&Stutters, &mut buf, 0).unwrap(), 3);
        assert_eq!(buf, [7, 8, 8]);
        assert_eq!(read_full(&Stutters, &mut [0; 2], 3).unwrap(), 1);
        assert!(read_full(&Stutters, &mut [0; 2], 9).is_err());
    }
}
