//! Walks from entry to entry of a tar archive: headers, long names, pax records.

use std::io;

use tar::{EntryType, Header, PaxExtensions};

use super::sparse::{self, PaxSparse};
use crate::input::containers::archive::FIRST_BYTES;
use crate::input::containers::window::Extent;
use crate::pages::{FileOffset, Position, Span, in_memory};

/// The size of a header, and what the data of each entry is padded to.
pub(super) const BLOCK_BYTES: usize = 512;

/// Maximum bytes of a long name or of pax records.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// The bytes of an archive, read forward.
pub(super) trait Blocks {
    /// Fills `buf`; returns less than its length only at the end of the archive.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// The offset of the next byte in the archive.
    fn position(&self) -> FileOffset;
}

/// An entry of an archive.
pub(super) struct Entry {
    pub(super) name: String,
    /// Whether it is a file, not a folder or a link.
    pub(super) is_file: bool,
    /// Its bytes; what is in none of them is a hole.
    pub(super) extents: Vec<Extent>,
    /// The size of the file, with its holes.
    pub(super) size: u64,
    /// The end of its data and their padding in the archive.
    pub(super) end: FileOffset,
}

impl Entry {
    /// How many bytes at its start say whether it is a dump. There are no more than the archive has
    /// in one piece: a hole may be of any size.
    pub(super) fn telling_bytes(&self) -> u64 {
        let first = self.extents.first().filter(|first| first.range.start == FileOffset::ZERO);
        first.map_or(0, |first| first.range.len().min(FIRST_BYTES))
    }
}

/// What records before a header say of its entry.
#[derive(Default)]
struct Records {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: PaxSparse,
}

/// A header at `at` that is not what it should be.
pub(super) fn damaged(at: FileOffset, why: impl std::fmt::Display) -> io::Error {
    let why = format!("header at offset {at:#x}: {why}");
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Reads the headers of the next entry; `None` at the end of the archive, also if it is cut off there.
/// `blocks` is then at the entry's data.
pub(super) fn next_entry(blocks: &mut dyn Blocks) -> io::Result<Option<Entry>> {
    let mut records = Records::default();
    loop {
        let at = blocks.position();
        let Some(block) = next_block(blocks)? else { return Ok(None) };
        if block == [0; BLOCK_BYTES] {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block);
        if header.cksum()? != checksum(&block) {
            return Err(damaged(at, "its checksum is wrong"));
        }
        let stored = header.entry_size().map_err(|why| damaged(at, why))?;
        match header.entry_type() {
            EntryType::GNULongName => match text(blocks, stored, at)? {
                Some(name) => records.name = Some(name),
                None => return Ok(None),
            },
            EntryType::XHeader => match text(blocks, stored, at)? {
                Some(text) => records.read(&text),
                None => return Ok(None),
            },
            EntryType::GNULongLink | EntryType::XGlobalHeader => {
                if text(blocks, stored, at)?.is_none() {
                    return Ok(None);
                }
            }
            _ => return entry(blocks, header, records, at),
        }
    }
}

/// The sum of all bytes of a header, those of the checksum itself taken as spaces.
fn checksum(block: &[u8; BLOCK_BYTES]) -> u32 {
    let bytes = block.iter().enumerate();
    bytes.map(|(at, byte)| u32::from(if (148..156).contains(&at) { b' ' } else { *byte })).sum()
}

/// The next block; `None` at the end of the archive.
pub(super) fn next_block(blocks: &mut dyn Blocks) -> io::Result<Option<[u8; BLOCK_BYTES]>> {
    let mut block = [0; BLOCK_BYTES];
    let read = blocks.read(&mut block)?;
    Ok((read == BLOCK_BYTES).then_some(block))
}

/// The data of an entry that describes the next one; `None` if the archive ends in them.
fn text(blocks: &mut dyn Blocks, bytes: u64, at: FileOffset) -> io::Result<Option<Vec<u8>>> {
    if bytes > MAX_TEXT_BYTES {
        return Err(damaged(at, format!("{bytes} bytes that describe the next entry")));
    }
    let mut text = vec![0; in_memory(bytes.next_multiple_of(BLOCK_BYTES as u64))];
    let is_whole = blocks.read(&mut text)? == text.len();
    text.truncate(in_memory(bytes));
    Ok(is_whole.then_some(text))
}

impl Records {
    fn read(&mut self, text: &[u8]) {
        for record in PaxExtensions::new(text).flatten() {
            let Ok(key) = record.key() else { continue };
            match key {
                // That of a sparse file is made up.
                "path" if self.name.is_some() => {}
                "path" | "GNU.sparse.name" => self.name = Some(record.value_bytes().to_vec()),
                "size" => self.size = record.value().ok().and_then(|size| size.parse().ok()),
                key => self.sparse.read(key, record.value_bytes()),
            }
        }
    }
}

fn entry(
    blocks: &mut dyn Blocks,
    header: &Header,
    records: Records,
    at: FileOffset,
) -> io::Result<Option<Entry>> {
    let kind = header.entry_type();
    let stored = match records.size {
        Some(size) => size,
        None => header.entry_size().map_err(|why| damaged(at, why))?,
    };
    let is_gnu_sparse = kind == EntryType::GNUSparse;
    let after_header = blocks.position();
    let map = if is_gnu_sparse {
        Some(sparse::of_header(blocks, header, at)?)
    } else {
        records.sparse.map(blocks, at)?
    };
    let data = blocks.position();
    // A map at the start of the data counts as data; GNU's own, as headers.
    let of_map = if is_gnu_sparse { 0 } else { data - after_header };
    let bytes = stored
        .checked_sub(of_map)
        .filter(|bytes| i64::try_from(data.get().saturating_add(*bytes)).is_ok())
        .ok_or_else(|| damaged(at, format!("{stored} bytes of data")))?;
    let end = data.saturating_add(bytes.next_multiple_of(BLOCK_BYTES as u64));
    let whole = Extent { range: Span::of(FileOffset::ZERO, bytes), source: data };
    let (extents, size) = match map {
        None if bytes == 0 => (Vec::new(), 0),
        None => (vec![whole], bytes),
        Some(map) => (map.extents(whole).map_err(|why| damaged(at, why))?, map.size),
    };
    let name = records.name.unwrap_or_else(|| header.path_bytes().into_owned());
    let name = String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned();
    let is_file = is_gnu_sparse || matches!(kind, EntryType::Regular | EntryType::Continuous);
    Ok(Some(Entry { name, is_file, extents, size, end }))
}
