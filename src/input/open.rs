//! Opening the input: what kind of file it is, and whether it is compressed as a whole.

use std::fs::{File, FileType};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::error::{Error, Result, UnsupportedKind};
use crate::input::mapped::MappedInput;
use crate::input::spool::SpoolDir;
use crate::input::stream::StreamInput;
use crate::input::{FileInput, Input, read_part};

/// Bytes that identify the kind of a file: those of the largest header of a zstd frame (RFC 8878),
/// which may have the unpacked size.
const MAGIC_BYTES: usize = 18;

/// Bytes of a compressed file that are read at a time.
const COMPRESSED_BUFFER: usize = 256 << 10;

/// zstd windows up to 2 GiB are accepted (`zstd --long=31`): their memory is the file's choice.
const ZSTD_WINDOW_LOG_MAX: u32 = 31;

/// How a whole file is compressed that is decompressed while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// gzip (.gz).
    Gzip,
    /// zstd (.zst).
    Zstd,
}

fn compression(magic: &[u8]) -> Option<Compression> {
    // RFC 8878: a frame, or the skippable frame that pzstd starts with.
    let is_skippable = matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    if is_skippable || magic.starts_with(b"\x28\xb5\x2f\xfd") {
        Some(Compression::Zstd)
    } else if magic.starts_with(b"\x1f\x8b") {
        // RFC 1952.
        Some(Compression::Gzip)
    } else {
        None
    }
}

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
    if is_kcore(path) {
        return Err(Error::Unsupported(UnsupportedKind::Kcore));
    }
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
    let clone = file.try_clone().map_err(Error::read(name()))?;
    let input = if MappedInput::suits(&clone) {
        Input::from(MappedInput::new(clone, size).map_err(Error::read(name()))?)
    } else {
        Input::from(FileInput::new(clone, size))
    };
    let mut magic = [0; MAGIC_BYTES];
    let magic = read_part(&*input, &mut magic, 0).map_err(Error::read(name()))?;
    match compression(magic) {
        None => Ok(input),
        Some(_) => stream(magic, Box::new(file), spool_dir),
    }
}

/// [`Input::from_reader`].
pub(super) fn from_reader(mut reader: Box<dyn Read + Send>, spool_dir: SpoolDir) -> Result<Input> {
    let mut magic = Vec::new();
    let mut limited = reader.by_ref().take(MAGIC_BYTES as u64);
    limited.read_to_end(&mut magic).map_err(Error::read("the input's first bytes"))?;
    stream(&magic.clone(), Box::new(Cursor::new(magic).chain(reader)), spool_dir)
}

/// `magic` are the first bytes of `reader`.
fn stream(magic: &[u8], reader: Box<dyn Read + Send>, spool_dir: SpoolDir) -> Result<Input> {
    let buffered = |reader| BufReader::with_capacity(COMPRESSED_BUFFER, reader);
    let compression = compression(magic);
    let (reader, stated_size): (Box<dyn Read + Send>, _) = match compression {
        None => (reader, None),
        // The size at the end of a .gz is that of its last member, modulo 4 GiB.
        Some(Compression::Gzip) => {
            (Box::new(flate2::bufread::MultiGzDecoder::new(buffered(reader))), None)
        }
        Some(Compression::Zstd) => {
            let decoder = zstd_decoder(buffered(reader)).map_err(Error::read("zstd"))?;
            let size = zstd::zstd_safe::get_frame_content_size(magic).ok().flatten();
            // That of a skippable frame is 0.
            (Box::new(decoder), size.filter(|&size| size > 0))
        }
    };
    Ok(Input::Stream(StreamInput::new(reader, compression, stated_size, spool_dir)))
}

fn zstd_decoder(reader: BufReader<Box<dyn Read + Send>>) -> io::Result<impl Read + Send + 'static> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_identify_the_compression() {
        assert_eq!(compression(b"\x7fELF"), None);
        assert_eq!(compression(b""), None);
        assert_eq!(compression(b"\x1f\x8b\x08"), Some(Compression::Gzip));
        assert_eq!(compression(b"\x28\xb5\x2f\xfd"), Some(Compression::Zstd));
        assert_eq!(compression(b"\x50\x2a\x4d\x18"), Some(Compression::Zstd), "a skippable frame");
    }
}
