//! Where bytes of a stream are kept that are read again: a file without a name, full of holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::input::FileInput;
use crate::input::file_system::is_in_memory;
use crate::pages::in_memory;
use crate::pages::zero::is_zero;

/// Blocks of zeros of this size take no space: the block size of most file systems.
const BLOCK_BYTES: u64 = 4096;

/// The folder for the bytes of a stream that are read again.
///
/// They go to a file without a name, readable by its owner alone, which disappears with the process.
/// `into()` makes one of any path: that folder is taken as it is.
#[derive(Debug, Clone)]
pub struct SpoolDir {
    path: PathBuf,
    is_checked: bool,
}

impl SpoolDir {
    /// A folder that nobody chose for this: a whole stream is stored there only on a disk, not in
    /// memory (tmpfs, ramfs), and only if no more is needed than is free, as far as that is known.
    pub fn checked(path: impl Into<PathBuf>) -> Self {
        SpoolDir { path: path.into(), is_checked: true }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a file for some bytes of a stream.
    pub(super) fn file(&self) -> io::Result<SpoolFile> {
        // It holds the memory of a kernel: nobody else may read it at any moment.
        let owner = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let nameless = rustix::fs::open(&self.path, flags, owner).map(File::from);
        // Not all file systems have such files. A name is private as well, and removed at once.
        let nameless = nameless.or_else(|_| tempfile::tempfile_in(&self.path));
        // Without the temporary name that the file has for a moment where it has to have one.
        let file = nameless.map_err(|error| match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => error.kind().into(),
        })?;
        Ok(SpoolFile { file, len: 0, written: 0 })
    }

    /// Checks that a whole stream, of `bytes` if that is known, may be stored here.
    ///
    /// # Errors
    /// Why the folder does not suit.
    pub(super) fn check_for_all(&self, bytes: Option<u64>) -> io::Result<()> {
        if !self.is_checked {
            return Ok(());
        }
        if is_in_memory(&self.path) {
            let why = "the folder is in memory (tmpfs or ramfs)";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let free = rustix::fs::statvfs(&self.path)
            .map(|system| system.f_bavail.saturating_mul(system.f_frsize));
        match (bytes, free) {
            (Some(bytes), Ok(free)) if bytes > free => {
                let (needed, free) = (bytes.div_ceil(1 << 20), free >> 20);
                let why = format!("{free} MiB are free there, and up to {needed} MiB are needed");
                Err(io::Error::new(io::ErrorKind::StorageFull, why))
            }
            // A folder that is not there is found out when the file is made.
            _ => Ok(()),
        }
    }
}

impl<P: Into<PathBuf>> From<P> for SpoolDir {
    fn from(path: P) -> Self {
        SpoolDir { path: path.into(), is_checked: false }
    }
}

/// A file without a name, in which bytes of a stream have their own offsets.
pub(super) struct SpoolFile {
    file: File,
    len: u64,
    /// Bytes that are no holes.
    written: u64,
}

impl SpoolFile {
    /// Writes bytes that were never written before. Blocks of zeros become holes.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let zeros = length_of(rest, at, true);
            let data = length_of(rest.split_at(zeros).1, at + zeros as u64, false);
            let (data, after) = rest.split_at(zeros).1.split_at(data);
            self.file.write_all_at(data, at + zeros as u64)?;
            self.written += data.len() as u64;
            at = end - after.len() as u64;
            rest = after;
        }
        if end > self.len {
            // A hole at the end is a part of the file, too.
            self.file.set_len(end)?;
            self.len = end;
        }
        Ok(())
    }

    /// Reads bytes that were written.
    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    /// Bytes that are no holes.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// The file, to be read at random.
    pub(super) fn to_input(&self) -> io::Result<FileInput> {
        Ok(FileInput::new(self.file.try_clone()?, self.len))
    }
}

/// The length of the blocks, or parts of them, at the start of `bytes` that are all zeros, or all not.
fn length_of(bytes: &[u8], offset: u64, of_zeros: bool) -> usize {
    let to_block = in_memory(offset.next_multiple_of(BLOCK_BYTES) - offset).min(bytes.len());
    let (first, blocks) = bytes.split_at(to_block);
    let blocks = blocks.chunks(in_memory(BLOCK_BYTES));
    let parts = std::iter::once(first).filter(|first| !first.is_empty()).chain(blocks);
    parts.take_while(|part| is_zero(part) == of_zeros).map(<[u8]>::len).sum()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn blocks_of_zeros_are_holes_and_all_bytes_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = vec![0; 2_000_000];
        for at in [0, 8191, 8192, 100_000, 1_000_000] {
            bytes[at] = 7;
        }
        for step in [1000, 4096, 5000, 300_000] {
            let mut spool = SpoolDir::from(folder.path()).file().unwrap();
            for (index, part) in bytes.chunks(step).enumerate() {
                spool.write(part, (index * step) as u64).unwrap();
            }
            let mut read = vec![1; bytes.len() + 1];
            let input = spool.to_input().unwrap();
            assert_eq!(crate::input::read_full(&input, &mut read, 0).unwrap(), bytes.len());
            assert!(read.starts_with(&bytes), "in steps of {step}");
            assert!(spool.written() <= 5 * 4096, "{} in steps of {step}", spool.written());
            assert!(spool.file.metadata().unwrap().blocks() * 512 < 200_000, "no holes here");
            assert_eq!(spool.file.metadata().unwrap().mode() & 0o7777, 0o600);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it has a name");
    }

    #[test]
    fn a_folder_that_nobody_chose_must_have_the_space() {
        let folder = tempfile::tempdir().unwrap();
        let checked = SpoolDir::checked(folder.path());
        let error = checked.check_for_all(Some(u64::MAX)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let said = error.to_string();
        assert!(
            said.ends_with(" MiB are free there, and up to 17592186044416 MiB are needed"),
            "{said}"
        );
        assert!(checked.check_for_all(Some(1)).is_ok() && checked.check_for_all(None).is_ok());
        assert!(SpoolDir::from(folder.path()).check_for_all(Some(u64::MAX)).is_ok());
    }

    #[test]
    fn a_folder_in_memory_must_be_chosen() {
        let shm = Path::new("/dev/shm");
        if !is_in_memory(shm) {
            return;
        }
        let error = SpoolDir::checked(shm).check_for_all(None).unwrap_err();
        assert!(error.to_string().contains("in memory"), "{error}");
        assert!(SpoolDir::checked(shm).file().is_ok(), "some bytes of a stream may be there");
        assert!(SpoolDir::from(shm).check_for_all(None).is_ok());
    }
}
