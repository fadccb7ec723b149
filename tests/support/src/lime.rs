//! Builds LiME and AVML images, written from LiME's documentation and AVML's `src/image.rs`. Snappy's
//! frames are those of the crate snap, which AVML uses.

use std::io::Write;

use snap::write::FrameEncoder;

/// The header of a range of `len` bytes.
fn header(magic: &[u8; 4], version: u8, start: u64, len: usize) -> Vec<u8> {
    let last = start + len as u64 - 1;
    let mut header = magic.to_vec();
    header.extend([version, 0, 0, 0]);
    header.extend(start.to_le_bytes());
    header.extend(last.to_le_bytes());
    header.extend([0; 8]);
    header
}

/// A range of memory as it is.
#[must_use]
pub fn lime_range(start: u64, memory: &[u8]) -> Vec<u8> {
    [header(b"EMiL", 1, start, memory.len()).as_slice(), memory].concat()
}

/// A range of memory that is compressed in chunks of `chunk` bytes, of which AVML makes 64 KiB each.
///
/// # Panics
/// If memory cannot be compressed.
#[must_use]
#[expect(clippy::unwrap_used, reason = "writing to memory cannot fail")]
pub fn avml_range(start: u64, memory: &[u8], chunk: usize) -> Vec<u8> {
    let mut encoder = FrameEncoder::new(Vec::new());
    for chunk in memory.chunks(chunk) {
        encoder.write_all(chunk).unwrap();
        encoder.flush().unwrap();
    }
    let stream = encoder.into_inner().unwrap();
    let length = (stream.len() as u64).to_le_bytes();
    [header(b"AVML", 2, start, memory.len()).as_slice(), &stream, &length].concat()
}
