//! Opening the input: what kind of file it is.

use std::fs::{File, FileType};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::error::{Error, Result, UnsupportedKind};
use crate::input::containers::{self, Source};
use crate::input::mapped::MappedInput;
use crate::input::spool::SpoolDir;
use crate::input::{FileInput, Input, RandomInput};

/// Whether `path` is a pipe or the like, which only [`from_reader`] can read.
pub(super) fn is_pipe(path: &Path) -> bool {
    let seeks = |kind: FileType| kind.is_file() || kind.is_block_device() || kind.is_dir();
    path.metadata().is_ok_and(|metadata| !seeks(metadata.file_type()))
}

/// Whether `path` is /proc/kcore, by whatever name: an ELF core whose memory changes while it is read.
fn is_kcore(path: &Path) -> bool {
    let kcore = Path::new("/proc/kcore");
    path == kcore || path.canonicalize().is_ok_and(|path| path == kcore)
}

/// [`Input::open`].
pub(super) fn open(path: &Path, spool_dir: SpoolDir) -> Result<Input> {
    let name = || path.display().to_string();
    let mut file = File::open(path).map_err(Error::read(name()))?;
    let kind = file.metadata().map_err(Error::read(name()))?.file_type();
    if kind.is_dir() {
        return Err(Error::Unsupported(UnsupportedKind::Folder));
    }
    if is_pipe(path) {
        return from_reader(Box::new(file), spool_dir);
    }
    // The metadata of a block device has no size, but its end can be sought.
    let size = file.seek(SeekFrom::End(0)).map_err(Error::read(name()))?;
    file.rewind().map_err(Error::read(name()))?;
    if size == 0 && kind.is_file() {
        // Empty, or one of the files in /proc whose size is not known before they are read.
        return from_reader(Box::new(file), spool_dir);
    }
    if is_kcore(path) {
        return Ok(Input::live(FileInput::new(file, size)));
    }
    let input = if MappedInput::suits(&file) {
        RandomInput::from(MappedInput::new(file, size).map_err(Error::read(name()))?)
    } else {
        RandomInput::from(FileInput::new(file, size))
    };
    unpacked(input, spool_dir)
}

/// [`Input::unpacked`].
pub(super) fn unpacked(bytes: RandomInput, spool_dir: SpoolDir) -> Result<Input> {
    containers::open(Source::Random(bytes), spool_dir)
}

/// [`Input::from_reader`].
pub(super) fn from_reader(reader: Box<dyn Read + Send>, spool_dir: SpoolDir) -> Result<Input> {
    containers::open(Source::stream(reader), spool_dir)
}
