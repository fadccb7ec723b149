//! makedumpfile's flattened format: a stream of records (file offset, size, bytes).
//!
//! ```text
//! 0     "makedumpfile" NUL*4 | type = 1 BE64 | version = 1 BE64 | zeros up to 4096
//! 4096  offset BE64 | size BE64 | size bytes      any number of times
//!       -1 BE64     | -1 BE64                     the end of the stream
//! ```

use super::image::Image;

/// What a stream begins with.
pub const SIGNATURE: &[u8] = b"makedumpfile\0\0\0\0";

const HEADER_BYTES: u64 = 4096;
/// makedumpfile -R keeps an entry's size in an int.
const MAX_RECORD_BYTES: i64 = (1 << 31) - 1;

/// One record of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where its bytes belong in the file.
    pub target: u64,
    /// How many bytes, at least 1.
    pub size: u64,
    /// Where its bytes lie in the stream.
    pub source: u64,
}

/// Every record of a stream in the order of the stream, from its header to its end mark.
///
/// # Errors
/// A bad header, a size below 1 or from 2 GiB on, a missing end mark, bytes behind it.
pub fn records_in_order(stream: &Image) -> Result<Vec<Record>, String> {
    let header = stream.read(0, HEADER_BYTES)?;
    if !header.starts_with(SIGNATURE) {
        return Err("flattened header: wrong signature".to_owned());
    }
    for (name, at) in [("type", 16), ("version", 24)] {
        let value = be64(&header[at..at + 8]);
        if value != 1 {
            return Err(format!("flattened header: {name} is {value}, not 1"));
        }
    }
    if header[32..].iter().any(|byte| *byte != 0) {
        return Err("flattened header: its tail is not zero".to_owned());
    }

    let mut records = Vec::new();
    let mut at = HEADER_BYTES;
    loop {
        let head = stream.read(at, 16).map_err(|e| format!("flattened: no end mark: {e}"))?;
        let (target, size) = (be64(&head[..8]), be64(&head[8..]));
        at += 16;
        if (target, size) == (-1, -1) {
            break;
        }
        if target < 0 || !(1..=MAX_RECORD_BYTES).contains(&size) {
            return Err(format!(
                "flattened record at {:#x}: offset {target}, size {size}",
                at - 16
            ));
        }
        let record = Record { target: target as u64, size: size as u64, source: at };
        at += record.size;
        if at > stream.len() {
            return Err(format!("flattened record of {size} bytes is cut short, and no end mark"));
        }
        records.push(record);
    }
    if at != stream.len() {
        return Err(format!("{} bytes behind the end mark", stream.len() - at));
    }
    Ok(records)
}

/// The records of a stream, ascending by target.
///
/// # Errors
/// As [`records_in_order`], and two records for the same byte, or none for the first.
pub fn records(stream: &Image) -> Result<Vec<Record>, String> {
    let mut records = records_in_order(stream)?;
    if records.first().is_some_and(|first| first.target != 0) {
        return Err("flattened: the first record is not for offset 0".to_owned());
    }
    records.sort_unstable_by_key(|record| record.target);
    for pair in records.windows(2) {
        if pair[0].target + pair[0].size > pair[1].target {
            return Err(format!("flattened: two records for offset {:#x}", pair[1].target));
        }
    }
    Ok(records)
}

/// Fills `bytes` from the file offset on with what the records have of them; tells how many those
/// are. `records` ascend by target and do not overlap.
///
/// # Errors
/// When the stream cannot be read.
pub fn read(
    stream: &Image,
    records: &[Record],
    offset: u64,
    bytes: &mut [u8],
) -> Result<u64, String> {
    let end = offset + bytes.len() as u64;
    let mut filled = 0;
    let first = records.partition_point(|record| record.target + record.size <= offset);
    for record in &records[first..] {
        let start = record.target.max(offset);
        let stop = (record.target + record.size).min(end);
        if start >= stop {
            break;
        }
        let piece = stream.read(record.source + start - record.target, stop - start)?;
        bytes[(start - offset) as usize..(stop - offset) as usize].copy_from_slice(&piece);
        filled += stop - start;
    }
    Ok(filled)
}

/// The plain file that a stream stands for; bytes of no record are zero, as `makedumpfile -R` has them.
///
/// # Errors
/// As [`records`], and a file too large for memory.
pub fn unflatten(stream: &[u8]) -> Result<Vec<u8>, String> {
    let image = Image::Bytes(stream.to_vec());
    let records = records(&image)?;
    let len = records.last().map_or(0, |last| last.target + last.size);
    if len > 1 << 32 {
        return Err(format!("a plain file of {len} bytes is too large to unflatten in memory"));
    }
    let mut file = vec![0; len as usize];
    for record in records {
        let (from, to, size) =
            (record.source as usize, record.target as usize, record.size as usize);
        file[to..to + size].copy_from_slice(&stream[from..from + size]);
    }
    Ok(file)
}

/// A flattened stream of a file, in ascending records of this many bytes.
#[must_use]
pub fn flatten(file: &[u8], record_bytes: usize) -> Vec<u8> {
    let mut stream = b"makedumpfile\0\0\0\0".to_vec();
    stream.extend(1_u64.to_be_bytes());
    stream.extend(1_u64.to_be_bytes());
    stream.resize(4096, 0);
    for (index, chunk) in file.chunks(record_bytes).enumerate() {
        stream.extend(((index * record_bytes) as u64).to_be_bytes());
        stream.extend((chunk.len() as u64).to_be_bytes());
        stream.extend(chunk);
    }
    stream.extend([0xff; 16]);
    stream
}

fn be64(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |value, byte| (value << 8) | i64::from(*byte))
}
