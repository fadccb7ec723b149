//! Where bytes go: a file that can seek, or a stream.
//!
//! | sink | over | of a kdump file |
//! |---|---|---|
//! | [`file`](mod@file) | a file or block device of the system | plain |
//! | [`seek`] | anything that is `Read + Write + Seek`, memory too | plain |
//! | [`flattened`] | any `Write`: a pipe, a socket | flattened |
//! | [`ordered`] | any `Write` | none: ELF cores alone |
//!
//! A plain kdump file cannot go to a mere `Write`: page descriptors, which give the offset of each
//! page's data, and the 2nd bitmap come before the data in the file, and are complete only when
//! all pages are compressed.
//!
//! A sink knows offsets and bytes. What a file consists of belongs in `to_kdump` and `to_elf`; how
//! OUTPUT is opened and gets its name, in `output`.

pub(crate) mod file;
pub(crate) mod flattened;
pub(crate) mod ordered;
pub(crate) mod seek;

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::pages::at_most;

/// Maximum bytes of zeros that are written at a time.
const ZEROS_BYTES: usize = 64 << 10;

/// Writes zeros to `range`, piece by piece.
fn fill_with_zeros(
    range: Range<u64>,
    mut write: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut zeros = Vec::new();
    let mut at = range.start;
    while at < range.end {
        zeros.resize(at_most(range.end - at, ZEROS_BYTES), 0);
        write(at, &zeros)?;
        at += zeros.len() as u64;
    }
    Ok(())
}

/// Space that must not run out before the bytes are written that need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Space {
    /// This range of the file, for an output that can seek.
    Range(Range<u64>),
    /// So many bytes of the file after all others, for an output that is written in order. The
    /// latest number counts: 0 gives the space up.
    End(u64),
}

/// How much an output can hold, as far as that is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// Bytes of a device.
    pub capacity: Option<u64>,
    /// Bytes that are free on the file system of a new file.
    pub free: Option<u64>,
}

/// How a file ends.
#[derive(Debug, Clone, Default)]
pub struct FileEnd<'a> {
    /// Bytes of the file.
    pub size: u64,
    /// A range that was reserved and has stayed unused: nobody reads it.
    pub unused: Range<u64>,
    /// Whether a stream breaks off here, and so must have no end mark.
    pub is_broken: bool,
    /// The bytes that make the file good, if it has such, and their offset.
    pub header: Option<(u64, &'a [u8])>,
}

impl FileEnd<'_> {
    /// The end of a file of `size` bytes, all of which are written.
    #[must_use]
    pub fn at(size: u64) -> Self {
        FileEnd { size, ..FileEnd::default() }
    }

    /// Writes the header, if there is one.
    ///
    /// # Errors
    /// As [`Sink::write_at`].
    pub fn write_header(&self, sink: &mut dyn Sink) -> io::Result<()> {
        self.header.map_or(Ok(()), |(offset, bytes)| sink.write_at(offset, bytes))
    }
}

/// Writes at any place of an output, for several threads at once.
pub trait WriteAt: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// As [`Sink::write_at`].
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
}

/// Takes bytes at their offset in the file; tests inject faults here.
///
/// No byte is written twice, except those of headers, and of the tables of a kdump file that turns out
/// to be incomplete. Offsets are plain numbers, as in
/// [`FileExt`](std::os::unix::fs::FileExt), which most sinks pass them to.
pub trait Sink: Send {
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// What the operating system says; the output may have a part of the bytes.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// What several threads write with at once, in any order, if the output can be written so.
    fn shared(&self) -> Option<Arc<dyn WriteAt>> {
        None
    }

    /// Writes zeros to `range`; in a new file, they may stay a hole.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    fn write_zeros(&mut self, range: Range<u64>) -> io::Result<()> {
        fill_with_zeros(range, |at, zeros| self.write_at(at, zeros))
    }

    /// Discards what an older output left in `range`, which is written later: should this output
    /// break off before, nobody takes the old bytes for its own.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    fn discard_stale(&mut self, range: Range<u64>) -> io::Result<()> {
        let _ = range;
        Ok(())
    }

    /// Makes bytes that were written read as 0, and gives their space back where the output can.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    fn clear(&mut self, range: Range<u64>) -> io::Result<()> {
        fill_with_zeros(range, |at, zeros| self.write_at(at, zeros))
    }

    /// Reserves space, so that writing there later does not fail on a full disk. Does nothing
    /// where the kind of output cannot.
    ///
    /// # Errors
    /// When there is not that much space.
    fn reserve(&mut self, space: Space) -> io::Result<()> {
        let _ = space;
        Ok(())
    }

    /// How much the output can hold.
    fn room(&self) -> Room {
        Room::default()
    }

    /// Whether what is written goes anywhere. If not, nothing of it has to be put in order, and only
    /// sizes count.
    fn keeps_bytes(&self) -> bool {
        true
    }

    /// Fills `buf` with what was written from `offset` on.
    ///
    /// # Errors
    /// When the output cannot be read, or ends before.
    fn read_back(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let _ = (offset, buf);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Waits until all that was written is on disk, if the output is on one.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at): what was written may be lost.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether bytes can be written again: an early header that says "incomplete" can be made
    /// good at the end.
    fn can_rewrite(&self) -> bool {
        false
    }

    /// Ends the output, and writes the header of `end` when nothing else can fail any more;
    /// returns the size of the output. Nothing is written afterwards.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at); the file is not good then.
    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64>;
}

/// Writes nothing: for a dry run.
#[derive(Debug, Default)]
pub struct NullSink;

impl Sink for NullSink {
    fn write_at(&mut self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn write_zeros(&mut self, _range: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    /// As of a plain file, whose size it tells.
    fn can_rewrite(&self) -> bool {
        true
    }

    fn keeps_bytes(&self) -> bool {
        false
    }

    fn clear(&mut self, _range: Range<u64>) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        Ok(end.size)
    }
}
