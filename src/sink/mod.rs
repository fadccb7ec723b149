//! Where the file goes: one that can seek, or a flattened stream; and how it gets its name.
//!
//! | sink | over | of a kdump file |
//! |---|---|---|
//! | [`file`](mod@file) | a file or block device of the system | plain |
//! | [`seek`] | anything that is `Write + Seek`, memory too | plain |
//! | [`flattened`] | any `Write`: a pipe, a socket | flattened |
//! | [`ordered`] | any `Write` | none: ELF cores alone |
//!
//! A plain kdump file cannot go to a mere `Write`: descriptors, which tell where each page's data is, and
//! the 2nd bitmap come before the data in the file, and are known when all of it has been compressed.

pub mod file;
pub mod flattened;
pub mod ordered;
pub mod seek;

use std::io;
use std::ops::Range;

/// Bytes of zeros that are written at a time, at most.
const ZEROS: u64 = 64 << 10;

/// Writes zeros to `range`, piece by piece.
fn write_zeros(
    range: Range<u64>,
    mut write: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let most = ZEROS.min(range.end.saturating_sub(range.start));
    let zeros = vec![0; usize::try_from(most).unwrap_or_default()];
    let mut at = range.start;
    while at < range.end {
        let bytes = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(zeros.len());
        write(at, zeros.get(..bytes).unwrap_or_default())?;
        at += bytes as u64;
    }
    Ok(())
}

/// Takes bytes by their offset in the output file. No byte is written twice, but those of the
/// main header.
pub trait Sink: Send {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// What the operating system says; the bytes may be there in part.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Sees to it that `count` bytes from `offset` on read as 0.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    fn write_zeros_at(&mut self, offset: u64, count: u64) -> io::Result<()> {
        write_zeros(offset..offset.saturating_add(count), |at, zeros| self.write_at(at, zeros))
    }

    /// Sees to it that a later write of `range` does not fail for want of space, where it can.
    ///
    /// # Errors
    /// When there is not that much space.
    fn reserve(&mut self, range: Range<u64>) -> io::Result<()> {
        let _ = range;
        Ok(())
    }

    /// The same for the end of the output, when it can only be written in order: `bytes` of it
    /// must still fit when nothing else does.
    ///
    /// # Errors
    /// When there is not that much space.
    fn reserve_end(&mut self, bytes: u64) -> io::Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// Sees to it that `range`, which was never written and nobody reads, has no old bytes.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    fn clear(&mut self, range: Range<u64>) -> io::Result<()> {
        let _ = range;
        Ok(())
    }

    /// Sees to it that `range`, which will be written, reads as 0 until it is: what an older output
    /// left there on a device must not be taken for this one's, should it break off.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    fn wipe(&mut self, range: Range<u64>) -> io::Result<()> {
        let _ = range;
        Ok(())
    }

    /// Fills `buf` with what was written from `offset` on.
    ///
    /// # Errors
    /// When the output cannot be read, or not so far.
    fn read_back(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let _ = (offset, buf);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether bytes can be written again: an early header that says "incomplete" can be made
    /// good at the end.
    fn can_rewrite(&self) -> bool {
        false
    }

    /// Ends the output, which stands for a file of `size` bytes; returns its own size.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    fn finish(&mut self, size: u64) -> io::Result<u64>;
}

/// Writes nothing: for a dry run.
#[derive(Debug, Default)]
pub struct NullSink;

impl Sink for NullSink {
    fn write_at(&mut self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn write_zeros_at(&mut self, _offset: u64, _count: u64) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, size: u64) -> io::Result<u64> {
        Ok(size)
    }
}
