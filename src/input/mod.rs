//! Where bytes come from: files, streams, mapped memory, flattened files.
//!
//! [`ReadAt`] is the interface of everything that can be read at an offset; tests inject faults
//! there. [`Input`] is an opened input: a [`ReadAt`] that costs nothing to read at random, or a
//! [stream](stream), which is read forward and stores what is read again in a [spool]. This module undoes what surrounds a dump: the [containers](containers) that it is in, and the
//! records of a [flattened](flattened) one. The meaning of the bytes does not belong here, but in
//! `dump`.

mod around;
mod compression;
mod containers;
mod file;
mod file_system;
pub(crate) mod flattened;
mod lz4;
mod mapped;
mod memory;
mod open;
mod opened;
mod spool;
pub(crate) mod stream;

use std::io;

pub(crate) use around::read_around_errors;
pub use compression::Compression;
pub use containers::Container;
pub use file::FileInput;
pub use flattened::FlattenedInput;
pub(crate) use flattened::FlattenedStats;
pub use opened::Input;
pub(crate) use opened::InputFailure;
pub(crate) use opened::RandomInput;
pub use spool::SpoolDir;

/// Bytes that can be read at an offset.
///
/// Offsets are plain numbers, as in [`FileExt`](std::os::unix::fs::FileExt), which most inputs pass
/// them to.
pub trait ReadAt: Send + Sync {
    /// Reads some bytes at `offset` into `buf` and returns their number, like pread(2): 0 at the
    /// end.
    ///
    /// # Errors
    /// What the operating system says; a later read elsewhere may still succeed.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// The number of bytes; `None` while it is unknown, as of a stream that has not ended.
    fn size(&self) -> Option<u64>;

    /// Hints that the bytes from `offset` on are read next.
    fn read_ahead(&self, offset: u64) {
        let _ = offset;
    }
}

/// Fills `buf` from `offset` on, up to the end of the input; returns the number of bytes read.
///
/// # Errors
/// The first error that is not EINTR.
pub(crate) fn read_full(input: &dyn ReadAt, buf: &mut [u8], offset: u64) -> io::Result<usize> {
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

/// Fills `buf` from `offset` on by `read_piece`, which reads some bytes as [`ReadAt::read_at`] does, but
/// ends where a piece of the input ends. An error after the first piece is left to the next read, which
/// begins there.
///
/// # Errors
/// That of the first piece.
pub(crate) fn read_pieces(
    buf: &mut [u8],
    offset: u64,
    mut read_piece: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match read_piece(rest, offset.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// As [`read_full`], but returns the bytes that were read.
pub(crate) fn read_part<'b>(
    input: &dyn ReadAt,
    buf: &'b mut [u8],
    offset: u64,
) -> io::Result<&'b [u8]> {
    let read = read_full(input, buf, offset)?;
    Ok(buf.split_at(read).0)
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
    fn a_short_read_is_continued_up_to_the_end() {
        let mut buf = [0; 3];
        assert_eq!(read_full(&Stutters, &mut buf, 0).unwrap(), 3);
        assert_eq!(buf, [7, 8, 8]);
        assert_eq!(read_full(&Stutters, &mut [0; 2], 3).unwrap(), 1);
        assert!(read_full(&Stutters, &mut [0; 2], 9).is_err());
    }
}
