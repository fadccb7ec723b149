//! Opening the input: what kind of file it is, and whether it is compressed as a whole.

use std::fs::{File, FileType};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::input::mapped::MappedInput;
use crate::input::stream::StreamInput;
use crate::input::{FileInput, Input, read_full};

/// Bytes that tell the kind of a file.
const MAGIC_BYTES: usize = 16;

/// Bytes of a compressed file that are read at a time.
const COMPRESSED_BUFFER: usize = 256 << 10;

/// zstd windows up to 2 GiB are accepted (`zstd --long=31`): their memory is the file's choice.
const ZSTD_WINDOW_LOG_MAX: u32 = 31;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrapping {
    Plain,
    Gzip,
    Zstd,
}

/// The first bytes of wrappings that we name, but do not unwrap.
const OTHER_WRAPPINGS: [(&[u8], &str); 5] = [
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x89LZO", "lzop"),
    (b"PK\x03\x04", "zip"),
];

fn wrapping(magic: &[u8]) -> Result<Wrapping> {
    // RFC 1952; RFC 8878, frames and the skippable ones that pzstd starts with.
    if magic.starts_with(b"\x1f\x8b") {
        return Ok(Wrapping::Gzip);
    }
    let skippable = matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    if skippable || magic.starts_with(b"\x28\xb5\x2f\xfd") {
        return Ok(Wrapping::Zstd);
    }
    match OTHER_WRAPPINGS.iter().find(|(first, _)| magic.starts_with(first)) {
        Some((_, name)) => Err(Error::NotRecognised(format!(
            "compressed with {name}: pipe it through its decompressor, as in `{name} -dc FILE | kdumpconv - OUTPUT`"
        ))),
        None => Ok(Wrapping::Plain),
    }
}

/// Whether `path` is a pipe or the like: to be read by [`from_reader`].
pub(super) fn is_pipe(path: &Path) -> bool {
    let seeks = |kind: FileType| kind.is_file() || kind.is_block_device() || kind.is_dir();
    path.metadata().is_ok_and(|metadata| !seeks(metadata.file_type()))
}

/// [`Input::open`].
pub(super) fn open(path: &Path, spool_dir: PathBuf) -> Result<Input> {
    let name = || path.display().to_string();
    let mut file = File::open(path).map_err(Error::read(name()))?;
    let kind = file.metadata().map_err(Error::read(name()))?.file_type();
    if kind.is_dir() {
        return Err(Error::NotRecognised(format!("{} is a folder", name())));
    }
    if is_pipe(path) {
        return from_reader(Box::new(file), spool_dir);
    }
    // A block device's metadata has no size; its end can be sought.
    let size = file.seek(SeekFrom::End(0)).map_err(Error::read(name()))?;
    file.rewind().map_err(Error::read(name()))?;
    if size == 0 && kind.is_file() {
        // Empty, or of the kind in /proc that does not tell its size.
        return from_reader(Box::new(file), spool_dir);
    }
    let clone = file.try_clone().map_err(Error::read(name()))?;
    let input = if MappedInput::suits(&clone) {
        Input::from(MappedInput::new(clone, size).map_err(Error::read(name()))?)
    } else {
        Input::from(FileInput::new(clone, size))
    };
    let mut magic = [0; MAGIC_BYTES];
    let n = read_full(&*input, &mut magic, 0).map_err(Error::read(name()))?;
    match wrapping(magic.get(..n).unwrap_or_default())? {
        Wrapping::Plain => Ok(input),
        packed => unwrap(packed, Box::new(file), spool_dir),
    }
}

/// [`Input::from_reader`].
pub(super) fn from_reader(mut reader: Box<dyn Read + Send>, spool_dir: PathBuf) -> Result<Input> {
    let mut magic = Vec::new();
    let mut limited = reader.by_ref().take(MAGIC_BYTES as u64);
    limited.read_to_end(&mut magic).map_err(Error::read("the input's first bytes"))?;
    let packed = wrapping(&magic)?;
    unwrap(packed, Box::new(Cursor::new(magic).chain(reader)), spool_dir)
}

fn unwrap(packed: Wrapping, reader: Box<dyn Read + Send>, spool_dir: PathBuf) -> Result<Input> {
    let buffered = |reader| BufReader::with_capacity(COMPRESSED_BUFFER, reader);
    let reader: Box<dyn Read + Send> = match packed {
        Wrapping::Plain => reader,
        Wrapping::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(reader))),
        Wrapping::Zstd => Box::new(zstd_decoder(buffered(reader)).map_err(Error::read("zstd"))?),
    };
    Ok(Input::Stream(StreamInput::new(reader, spool_dir)))
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
    fn wrappings_are_known_by_their_first_bytes() {
        assert_eq!(wrapping(b"\x7fELF").unwrap(), Wrapping::Plain);
        assert_eq!(wrapping(b"").unwrap(), Wrapping::Plain);
        assert_eq!(wrapping(b"\x1f\x8b\x08").unwrap(), Wrapping::Gzip);
        assert_eq!(wrapping(b"\x28\xb5\x2f\xfd").unwrap(), Wrapping::Zstd);
        assert_eq!(wrapping(b"\x50\x2a\x4d\x18").unwrap(), Wrapping::Zstd, "a skippable frame");
        let xz = wrapping(b"\xfd7zXZ\0\0").unwrap_err().to_string();
        assert!(xz.contains("`xz -dc FILE | kdumpconv - OUTPUT`"), "{xz}");
    }
}
