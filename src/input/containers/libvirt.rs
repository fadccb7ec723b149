//! A saved guest of libvirt whose stream is compressed: the header and the description of the guest
//! are skipped. One that is stored as it is stays as it is: it can be read at random.

use std::io::{self, Read};

use crate::error::{Error, Result, UnsupportedKind};
use crate::format::libvirt::{SaveFormat, SaveHeader, UNFINISHED};
use crate::input::containers::Source;

/// The header of a saved guest whose stream is compressed, if a file that begins with `magic` is one.
///
/// # Errors
/// [`Error::Unsupported`] if lzop compressed it.
pub(super) fn header(magic: &[u8]) -> Result<Option<SaveHeader>> {
    // What is wrong with a header, the reader of the image says.
    let header = SaveHeader::decode(magic).and_then(Result::ok);
    match header.map(|header| header.format) {
        Some(SaveFormat::Compressed) => Ok(header),
        Some(SaveFormat::Lzop) => Err(Error::Unsupported(UnsupportedKind::LibvirtLzop)),
        Some(SaveFormat::Raw) | None => Ok(None),
    }
}

/// Why the stream is not complete, if libvirt was still writing the file.
pub(super) fn unfinished(header: SaveHeader) -> Option<io::Error> {
    (!header.is_complete).then(|| io::Error::other(UNFINISHED))
}

/// The stream after the header.
///
/// # Errors
/// [`Error::Read`] if what is before it cannot be read.
pub(super) fn open(source: Source, header: SaveHeader) -> Result<Source> {
    let mut reader = source.into_reader();
    let mut description = reader.by_ref().take(header.stream_offset);
    io::copy(&mut description, &mut io::sink()).map_err(Error::read("libvirt's header"))?;
    Ok(Source::stream(reader))
}
