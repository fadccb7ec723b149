//! Sparse files in a tar archive: a map of the parts that have data, in one of four forms.
//!
//! | form | where the map is |
//! |---|---|
//! | GNU (`tar -S`) | in the header and in blocks after it |
//! | pax 0.0 | pairs of `GNU.sparse.offset` and `GNU.sparse.numbytes` in the pax records |
//! | pax 0.1 | `GNU.sparse.map` in the pax records: numbers with commas |
//! | pax 1.0 (`tar -S --format=posix`) | decimal lines before the data, padded to a block |
//!
//! Source: the manual of GNU tar, "Storing Sparse Files".

use std::io;

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::entries::{BLOCK_BYTES, Blocks, damaged, next_block};
use crate::input::containers::window::Extent;
use crate::pages::{FileOffset, Position, Span};

/// Maximum digits of a number in a map.
const MAX_DIGITS: usize = 20;

/// Maximum parts of a map: a file that packs well may have any number of them.
const MAX_PARTS: usize = 1 << 20;

/// The parts of a sparse file that have data.
pub(super) struct SparseMap {
    /// Offset in the file and size.
    parts: Vec<(u64, u64)>,
    /// The size of the file with its holes.
    pub(super) size: u64,
}

impl SparseMap {
    /// Where the bytes of each part are in the archive, whose data are `stored`.
    ///
    /// # Errors
    /// Why the map is impossible.
    pub(super) fn extents(&self, stored: Extent) -> Result<Vec<Extent>, &'static str> {
        let mut extents = Vec::new();
        let (mut at, mut taken) = (0, 0_u64);
        for &(offset, bytes) in &self.parts {
            let end = offset.checked_add(bytes).filter(|end| *end <= self.size);
            let end =
                end.filter(|_| offset >= at).ok_or("the map of a sparse file is impossible")?;
            let source = stored.source.saturating_add(taken);
            taken = taken
                .checked_add(bytes)
                .filter(|taken| *taken <= stored.range.len())
                .ok_or("the map of a sparse file has more bytes than the file")?;
            if bytes > 0 {
                extents.push(Extent { range: Span::of(FileOffset::new(offset), bytes), source });
            }
            at = end;
        }
        Ok(extents)
    }
}

/// The map of a sparse file of GNU's form, of which `header` has the start.
pub(super) fn of_header(
    blocks: &mut dyn Blocks,
    header: &Header,
    at: FileOffset,
) -> io::Result<SparseMap> {
    let gnu = header.as_gnu().ok_or_else(|| damaged(at, "a sparse file without GNU's header"))?;
    let size = gnu.real_size().map_err(|why| damaged(at, why))?;
    let mut map = SparseMap { parts: Vec::new(), size };
    map.add(&gnu.sparse, at)?;
    let mut is_extended = gnu.is_extended();
    while is_extended {
        let at = blocks.position();
        let mut more = GnuExtSparseHeader::new();
        // The data of an archive that ends here is missing as well.
        let Some(block) = next_block(blocks)? else { break };
        more.as_mut_bytes().copy_from_slice(&block);
        map.add(more.sparse(), at)?;
        is_extended = more.is_extended();
    }
    Ok(map)
}

impl SparseMap {
    fn add(&mut self, parts: &[GnuSparseHeader], at: FileOffset) -> io::Result<()> {
        for part in parts.iter().filter(|part| !part.is_empty()) {
            let offset = part.offset().map_err(|why| damaged(at, why))?;
            let bytes = part.length().map_err(|why| damaged(at, why))?;
            if self.parts.len() == MAX_PARTS {
                return Err(too_many_parts(at));
            }
            self.parts.push((offset, bytes));
        }
        Ok(())
    }
}

/// What pax records say of a sparse file.
#[derive(Default)]
pub(super) struct PaxSparse {
    /// Whether the map is before the data.
    is_in_data: bool,
    size: Option<u64>,
    /// The numbers of a map in the records.
    numbers: Vec<u64>,
    is_malformed: bool,
}

impl PaxSparse {
    /// Reads a record.
    pub(super) fn read(&mut self, key: &str, value: &[u8]) {
        let numbers = value.split(|byte| *byte == b',').map(number);
        match key {
            "GNU.sparse.major" => self.is_in_data = value != b"0",
            "GNU.sparse.size" | "GNU.sparse.realsize" => self.size = number(value),
            "GNU.sparse.offset" | "GNU.sparse.numbytes" | "GNU.sparse.map" => {
                for number in numbers {
                    let number = number.filter(|_| self.numbers.len() < 2 * MAX_PARTS);
                    self.is_malformed |= number.is_none();
                    self.numbers.extend(number);
                }
            }
            _ => {}
        }
    }

    /// The map, if it is a sparse file. Reads it from `blocks`, if that is where it is.
    pub(super) fn map(
        mut self,
        blocks: &mut dyn Blocks,
        at: FileOffset,
    ) -> io::Result<Option<SparseMap>> {
        let Some(size) = self.size else { return Ok(None) };
        if self.is_in_data {
            self.numbers = numbers_in_data(blocks, at)?;
        }
        let pairs = self.numbers.chunks(2).map(|pair| match pair {
            [offset, bytes] => Some((*offset, *bytes)),
            _ => None,
        });
        let parts = pairs.collect::<Option<_>>().filter(|_| !self.is_malformed);
        let parts = parts.ok_or_else(|| damaged(at, "the map of a sparse file is malformed"))?;
        Ok(Some(SparseMap { parts, size }))
    }
}

fn too_many_parts(at: FileOffset) -> io::Error {
    damaged(at, format!("the map of a sparse file has more than {MAX_PARTS} parts"))
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The numbers of a map before the data: how many parts there are, then offset and size of each.
fn numbers_in_data(blocks: &mut dyn Blocks, at: FileOffset) -> io::Result<Vec<u64>> {
    let malformed = || damaged(at, "the map of a sparse file is malformed");
    let (mut numbers, mut digits) = (Vec::new(), Vec::with_capacity(MAX_DIGITS));
    let mut count = None;
    // The data of an archive that ends here is missing as well.
    while let Some(block) = next_block(blocks)? {
        for byte in block {
            if byte != b'\n' {
                digits.push(byte);
                if digits.len() > MAX_DIGITS {
                    return Err(malformed());
                }
                continue;
            }
            let number = number(&digits).ok_or_else(malformed)?;
            digits.clear();
            match count {
                None if number > MAX_PARTS as u64 => return Err(too_many_parts(at)),
                None => count = Some(2 * number),
                Some(_) => numbers.push(number),
            }
            if count == Some(numbers.len() as u64) {
                return Ok(numbers);
            }
        }
    }
    numbers.truncate(numbers.len() - numbers.len() % 2);
    Ok(numbers)
}

const _: () = assert!(size_of::<GnuExtSparseHeader>() == BLOCK_BYTES);
