//! The dump in a zip archive: a window of the file if it is stored, else a stream.
//!
//! The directory of an archive is at its end, so one from a pipe is stored first, and one that is cut
//! off has none. The crate `zip` reads it. Data are inflated here: the crate lends a reader as long as
//! the archive lives.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flate2::Crc;
use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::archive::{Contents, FIRST_BYTES, is_dump, two_dumps};
use super::source::Source;
use super::window::{Extent, Window};
use crate::error::{Error, Result};
use crate::input::spool::SpoolDir;
use crate::input::stream::StreamInput;
use crate::input::{Compression, RandomInput};
use crate::pages::{FileOffset, Position, Span};

/// What messages call it.
const KIND: &str = "zip";

/// Bytes of an entry that say whether it is a dump, unless they say that it is compressed.
const TELLING_BYTES: u64 = 512;

/// Whether a file that begins so is a zip archive, perhaps an empty one.
pub(super) fn is_zip(first: &[u8]) -> bool {
    first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06")
}

/// The dump in an archive, and its name.
///
/// # Errors
/// [`Error::NotRecognised`] if there is none, or if there are two, or if it is encrypted;
/// [`Error::Read`] if the archive is damaged or cannot be read; [`Error::Spool`].
pub(super) fn open(source: Source, spool_dir: &SpoolDir) -> Result<(Source, String)> {
    let archive = match source {
        Source::Random(archive) => archive,
        Source::Stream { reader, size } => {
            let stream = StreamInput::new(reader, Vec::new(), size, spool_dir.clone());
            stream.store(None, &AtomicBool::new(false), &mut |_| ())?
        }
    };
    let failure = archive.failure.clone();
    open_stored(archive).map_err(|error| error.or_failure(failure.map(|why| why.to_io())))
}

fn cannot_read(error: impl std::fmt::Display) -> Error {
    let error = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    Error::read("the zip archive")(error)
}

fn open_stored(archive: RandomInput) -> Result<(Source, String)> {
    let archive = Arc::new(archive);
    let bytes = archive.size().unwrap_or(0);
    let at = At { archive: Arc::clone(&archive), position: 0, size: bytes };
    let mut directory = ZipArchive::new(at).map_err(cannot_read)?;
    let mut contents = Contents::default();
    let mut found: Option<Entry> = None;
    let mut refused = None;
    let mut data_bytes = 0_u64;
    for index in 0..directory.len() {
        let file = directory.by_index_raw(index).map_err(cannot_read)?;
        if !file.is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(file.name_raw()).into_owned();
        contents.add(&name);
        data_bytes = data_bytes.saturating_add(file.compressed_size().max(1));
        if data_bytes > bytes {
            // A bomb says that they all have the same data, and there is no end of looking at them.
            return Err(cannot_read("its entries overlap"));
        }
        let start = FileOffset::new(file.data_start().unwrap_or(bytes));
        let data = Span::new(start, start.saturating_add(file.compressed_size()));
        let entry = match file.compression() {
            _ if file.encrypted() => {
                refused = refused.or(Some(format!("{name} in the zip archive is encrypted")));
                continue;
            }
            CompressionMethod::Stored => Entry { name, data, deflated: None },
            CompressionMethod::Deflated => {
                Entry { name, data, deflated: Some((file.size(), file.crc32())) }
            }
            method => {
                let why = format!("{name} in the zip archive is compressed by {method}");
                refused = refused.or(Some(why));
                continue;
            }
        };
        if !entry.is_dump(&archive) {
            continue;
        }
        if let Some(first) = &found {
            return Err(Error::NotRecognised(two_dumps(KIND, &first.name, &entry.name)));
        }
        found = Some(entry);
    }
    match (found, refused) {
        (Some(entry), _) => Ok((entry.source(&archive), entry.name)),
        (None, Some(why)) => Err(Error::NotRecognised(why)),
        (None, None) => Err(contents.no_dump(KIND)),
    }
}

/// A file in an archive.
struct Entry {
    name: String,
    /// Its bytes in the archive.
    data: Span<FileOffset>,
    /// Size and checksum of what they are inflated to, if they are deflated.
    deflated: Option<(u64, u32)>,
}

impl Entry {
    fn source(&self, archive: &Arc<RandomInput>) -> Source {
        let range = Span::of(FileOffset::ZERO, self.data.len());
        let whole = Extent { range, source: self.data.start };
        let extents = Some(whole).into_iter().filter(|extent| !extent.range.is_empty());
        let window = Window::new(Arc::clone(archive), extents.collect(), self.data.len());
        let stored = Source::Random(archive.with_bytes(window));
        let Some((size, crc)) = self.deflated else { return stored };
        let decoder = DeflateDecoder::new(stored.into_reader());
        let reader = Box::new(Inflated { decoder, size, crc, summed: Crc::new(), done: 0 });
        Source::Stream { reader, size: Some(size) }
    }

    fn is_dump(&self, archive: &Arc<RandomInput>) -> bool {
        let mut reader = self.source(archive).into_reader();
        let mut first = Vec::new();
        // What cannot be read is no dump.
        let _ = reader.by_ref().take(TELLING_BYTES).read_to_end(&mut first);
        if Compression::of(&first).is_some() {
            let _ = reader.take(FIRST_BYTES).read_to_end(&mut first);
        }
        is_dump(&first)
    }
}

/// What an entry is inflated to, checked at its end.
struct Inflated<R> {
    decoder: R,
    size: u64,
    crc: u32,
    summed: Crc,
    done: u64,
}

impl<R: Read> Read for Inflated<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.decoder.read(buf)?;
        let (bytes, _) = buf.split_at(n);
        self.summed.update(bytes);
        self.done += n as u64;
        let is_right = self.done == self.size && self.summed.sum() == self.crc;
        if n == 0 && !buf.is_empty() && !is_right {
            let why = "its checksum or size in the zip archive is wrong";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Ok(n)
    }
}

/// An archive for the crate `zip`, which reads whole records: a buffer would be filled for each.
struct At {
    archive: Arc<RandomInput>,
    position: u64,
    size: u64,
}

impl Read for At {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.archive.read_at(buf, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for At {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => self.size.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
