//! LiME and AVML images: walks the headers of the ranges.
//!
//! `stream` walks what AVML compressed, and `decoded` reads it. The length after each stream proves
//! where it ends: so the walk finds the next range after a damaged one, and no chunk is taken for
//! memory of another address because a bit of a header or of another chunk is wrong.

mod decoded;
mod stream;

use crate::dump::elf::MAX_PROGRAM_HEADERS;
use crate::dump::image::{Image, ImageRange};
use crate::error::{Error, Result};
use crate::format::ImageKind;
use crate::format::avml::{LENGTH_BYTES, MAX_CHUNK_MEMORY, ends_stream};
use crate::format::lime::{AVML_MAGIC, HEADER_BYTES, MAGIC, RangeHeader};
use crate::input::{RandomInput, ReadAt, read_full, read_part};
use crate::pages::{FileOffset, PhysRange, Position, Span};
use decoded::{Pieces, Source};
use stream::{Chunk, Stop, Stream};

/// Bytes that are searched at first; then twice as many each time, for the next header may be near.
const FIRST_WINDOW_BYTES: usize = 1 << 12;

/// Maximum bytes that are searched at a time.
const MAX_WINDOW_BYTES: usize = 1 << 20;

/// Reads the headers of all ranges.
///
/// # Errors
/// [`Error::Damaged`] if the first header is none; [`Error::Read`] if one cannot be read.
pub(super) fn read(input: RandomInput) -> Result<Image> {
    let size = FileOffset::new(input.size().unwrap_or_default());
    let mut walk = Walk {
        input: &*input,
        size,
        ranges: Vec::new(),
        lost: Vec::new(),
        pieces: Pieces::default(),
        warnings: Vec::new(),
        faults: Vec::new(),
        walked_again: 0,
    };
    let mut at = FileOffset::ZERO;
    while at < size {
        let Some(next) = walk.range(at)? else { break };
        at = next;
    }
    let Walk { mut ranges, lost, pieces, warnings, faults, .. } = walk;
    let (kind, bytes) = match pieces.plain() {
        Some(offsets) => {
            ranges.iter_mut().zip(offsets).for_each(|(range, offset)| range.offset = offset);
            (ImageKind::Lime, input)
        }
        None => (ImageKind::Avml, decoded::memory(input, pieces)),
    };
    // Nothing has the bytes of these; any other range with the same addresses has precedence.
    let end = FileOffset::new(bytes.size().unwrap_or_default());
    ranges.extend(lost.into_iter().map(|addresses| ImageRange { addresses, offset: end }));
    let image = Image::new(kind, bytes, ranges);
    let lacks_zeros = kind == ImageKind::Avml;
    Ok(Image { file_bytes: size.get(), lacks_zeros, warnings, faults, ..image })
}

/// What was found up to some header.
struct Walk<'a> {
    input: &'a dyn ReadAt,
    size: FileOffset,
    /// The ranges; their offsets are those of the pieces.
    ranges: Vec<ImageRange>,
    /// Addresses whose bytes cannot be found.
    lost: Vec<PhysRange>,
    pieces: Pieces,
    warnings: Vec<String>,
    faults: Vec<String>,
    /// Bytes that were walked as chunks of a damaged stream, and are walked again from a header in them.
    walked_again: u64,
}

impl Walk<'_> {
    /// Reads the range whose header is at `at`; returns where the next may be.
    fn range(&mut self, at: FileOffset) -> Result<Option<FileOffset>> {
        let mut header = [0; HEADER_BYTES];
        let n = read_full(self.input, &mut header, at.get());
        if n.map_err(Error::read("a LiME header"))? < HEADER_BYTES {
            self.faults.push(format!("the image is cut off in the header at offset {at:#x}"));
            return Ok(None);
        }
        let damaged =
            |why| Error::Damaged { what: "LiME header".to_owned(), offset: at.get(), why };
        let data = at + HEADER_BYTES as u64;
        let RangeHeader { addresses, is_compressed } = match RangeHeader::decode(&header) {
            Ok(header) => header,
            // Ranges that can be found are worth more than an error.
            Err(why) => {
                let is_avml = header.starts_with(&AVML_MAGIC) || self.pieces.plain().is_none();
                let next = if is_avml { self.header_after(data) } else { None };
                if self.ranges.is_empty() && next.is_none() {
                    return Err(damaged(why));
                }
                let loss = if next.is_some() { "its range" } else { "the rest" };
                let fault = format!("LiME header at offset {at:#x}: {why}: {loss} is not read");
                self.faults.push(fault);
                return Ok(next);
            }
        };
        if (self.ranges.len() + self.lost.len()) as u64 >= u64::from(MAX_PROGRAM_HEADERS) {
            return Err(damaged(format!("more than {MAX_PROGRAM_HEADERS} ranges")));
        }
        if is_compressed {
            return Ok(self.compressed(at, addresses));
        }
        let end = data.saturating_add(addresses.len());
        self.start_range(addresses);
        self.pieces.push(Source::Plain(data), end.min(self.size) - data);
        if end > self.size {
            let (size, end) = (self.size.get(), end.get());
            self.faults.push(format!("the image is cut off: {size} of {end} bytes are there"));
        }
        Ok(Some(end))
    }

    /// Begins a range, whose pieces follow.
    fn start_range(&mut self, addresses: PhysRange) {
        let offset = FileOffset::new(self.pieces.bytes());
        self.ranges.push(ImageRange { addresses, offset });
    }

    /// Walks the stream of the range whose header is at `at`; returns where the next header may be.
    fn compressed(&mut self, at: FileOffset, addresses: PhysRange) -> Option<FileOffset> {
        let start = at + HEADER_BYTES as u64;
        let Stream { mut chunks, memory, end, stop } = Stream::walk(self.input, start, self.size);
        let after = end.saturating_add(LENGTH_BYTES as u64);
        let is_whole = memory == addresses.len();
        let (damage, next) = match stop {
            Stop::Length if is_whole => (None, Some(after)),
            // Either address may be the wrong one.
            Stop::Length => {
                self.faults.push(format!(
                    "AVML header at offset {at:#x}: a range of {} bytes, whose chunks have {memory}: it is not read",
                    addresses.len()
                ));
                return Some(after);
            }
            Stop::Damage(_) if is_whole && self.may_be_header(after) => {
                self.warnings.push(format!("the length of the stream before {after:#x} is wrong"));
                (None, Some(after))
            }
            Stop::Damage(why) => (Some(why), self.header_after(start)),
            Stop::CutOff => match self.header_after(start) {
                None => (None, None),
                next => (Some("a chunk that ends after its stream".to_owned()), next),
            },
        };
        if damage.is_some() {
            self.walked_again += next.map_or(0, |next| end.get().saturating_sub(next.get()));
            // It may have moved the memory of what comes after it. All chunks before it are full.
            let full = chunks.iter().take_while(|chunk| chunk.memory == MAX_CHUNK_MEMORY).count();
            chunks.truncate(full);
        }
        self.add(addresses, &chunks);
        let why = damage.or_else(|| next.is_none().then(|| "the image is cut off".to_owned()));
        self.faults.extend(why.map(|why| {
            let bytes: u64 = chunks.iter().map(|chunk| chunk.memory).sum();
            let all = addresses.len();
            format!("AVML range at offset {at:#x}: {why}: {bytes} of {all} bytes are read")
        }));
        if let Some(at) = next.filter(|_| self.walked_again > self.size.get()) {
            self.faults.push(format!("too many damaged streams: from {at:#x} on, nothing is read"));
            return None;
        }
        next
    }

    /// Adds the memory of chunks, which are the start of a range or all of it.
    fn add(&mut self, addresses: PhysRange, chunks: &[Chunk]) {
        let found = chunks.iter().map(|chunk| chunk.memory).sum::<u64>().min(addresses.len());
        let end = addresses.start.saturating_add(found);
        // A range without bytes has no piece.
        if !chunks.is_empty() {
            self.start_range(Span::new(addresses.start, end));
        }
        chunks.iter().for_each(|chunk| self.pieces.push(Source::Chunk(chunk.bytes), chunk.memory));
        self.lost.extend(Some(Span::new(end, addresses.end)).filter(|lost| !lost.is_empty()));
    }

    /// Whether a header, or the end of the image, is at `at`.
    fn may_be_header(&self, at: FileOffset) -> bool {
        let mut header = [0; HEADER_BYTES];
        let n = read_full(self.input, &mut header, at.get()).unwrap_or(0);
        at == self.size || (n == HEADER_BYTES && RangeHeader::decode(&header).is_ok())
    }

    /// The header, or end of the image, after the stream that begins at `start` and cannot be walked.
    /// The length of the stream is in front of it.
    fn header_after(&self, start: FileOffset) -> Option<FileOffset> {
        let mut window = Vec::new();
        let mut at = start;
        loop {
            window.resize((2 * window.len()).clamp(FIRST_WINDOW_BYTES, MAX_WINDOW_BYTES), 0);
            let bytes = read_part(self.input, &mut window, at.get()).ok()?;
            let ends = |index: &usize| {
                let (_, rest) = bytes.split_at(*index);
                let end = at + *index as u64;
                let after = rest.get(LENGTH_BYTES..).unwrap_or_default();
                let is_followed = after.starts_with(&MAGIC)
                    || after.starts_with(&AVML_MAGIC)
                    || end + LENGTH_BYTES as u64 == self.size;
                is_followed && ends_stream(rest, end - start)
            };
            if let Some(index) = (0..bytes.len()).find(ends) {
                return Some(at + (index + LENGTH_BYTES) as u64);
            }
            // What lies across two windows is looked at again.
            let read = bytes.len();
            if read < window.len() {
                return None;
            }
            at += (read - LENGTH_BYTES - MAGIC.len()) as u64;
        }
    }
}
