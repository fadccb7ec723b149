//! The memory of an AVML image, decoded chunk by chunk.

use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use snap::read::FrameDecoder;

use crate::format::avml::STREAM_IDENTIFIER;
use crate::input::{InputFailure, RandomInput, ReadAt, read_full};
use crate::pages::{FileOffset, FileRange, at_most, in_memory};

/// Decoded chunks that are kept: 4 MiB. Those at both ends of what several threads read, and those
/// that are read page by page.
const RECENT: usize = 64;

/// Where memory is in an image, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    list: Vec<Piece>,
    bytes: u64,
}

/// A piece of memory.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// The number of bytes before it.
    start: u64,
    source: Source,
}

/// Where the bytes of a piece are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// At this offset, as they are.
    Plain(FileOffset),
    /// In this chunk.
    Chunk(FileRange),
}

impl Pieces {
    /// Adds a piece of `bytes` bytes.
    pub(super) fn push(&mut self, source: Source, bytes: u64) {
        self.list.push(Piece { start: self.bytes, source });
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The bytes of all pieces.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The offsets of all pieces, if none is compressed.
    pub(super) fn plain(&self) -> Option<Vec<FileOffset>> {
        let plain = |piece: &Piece| match piece.source {
            Source::Plain(offset) => Some(offset),
            Source::Chunk(_) => None,
        };
        self.list.iter().map(plain).collect()
    }

    /// The piece that has byte `at`, its index, and one past its last byte.
    fn find(&self, at: u64) -> Option<(usize, Piece, u64)> {
        let index = self.list.partition_point(|piece| piece.start <= at).checked_sub(1)?;
        let end = self.list.get(index + 1).map_or(self.bytes, |next| next.start);
        self.list.get(index).filter(|_| at < end).map(|piece| (index, *piece, end))
    }
}

/// A chunk that is decoded once, by the first thread that needs it.
type RecentChunk = Arc<OnceLock<Result<Vec<u8>, InputFailure>>>;

/// The memory of an image, piece after piece.
struct DecodedMemory {
    image: Arc<RandomInput>,
    pieces: Pieces,
    /// Chunks that were read in part, the last used first.
    recent: Mutex<Vec<(usize, RecentChunk)>>,
    /// Decoders that no thread uses.
    decoders: Mutex<Vec<ChunkDecoder>>,
}

/// The memory of `image` that has these pieces.
pub(super) fn memory(image: RandomInput, pieces: Pieces) -> RandomInput {
    let image = Arc::new(image);
    let (recent, decoders) = (Mutex::default(), Mutex::default());
    image.with_bytes(DecodedMemory { image: Arc::clone(&image), pieces, recent, decoders })
}

impl DecodedMemory {
    /// The chunk that is the piece with this index, if it was recently read in part; else a new one.
    fn recent(&self, index: usize) -> RecentChunk {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent.iter().position(|(other, _)| *other == index);
        let chunk = known.map(|known| recent.remove(known)).unwrap_or_default().1;
        recent.truncate(RECENT - 1);
        recent.insert(0, (index, Arc::clone(&chunk)));
        chunk
    }

    /// Decodes a chunk, whose memory fills `memory` exactly.
    fn decode(&self, chunk: FileRange, memory: &mut [u8]) -> io::Result<()> {
        let named = |error: io::Error| {
            let at = chunk.start;
            io::Error::new(error.kind(), format!("the chunk at offset {at:#x}: {error}"))
        };
        let mut bytes = vec![0; in_memory(chunk.len())];
        if read_full(&**self.image, &mut bytes, chunk.start.get())? < bytes.len() {
            return Err(named(io::ErrorKind::UnexpectedEof.into()));
        }
        let idle = || self.decoders.lock().unwrap_or_else(PoisonError::into_inner);
        let decoder = idle().pop();
        let mut decoder = decoder.map_or_else(ChunkDecoder::new, Ok).map_err(named)?;
        decoder.decode(bytes, memory).map_err(named)?;
        idle().push(decoder);
        Ok(())
    }
}

impl ReadAt for DecodedMemory {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some((index, piece, end)) = self.pieces.find(offset) else { return Ok(0) };
        let skip = offset - piece.start;
        let (buf, _) = buf.split_at_mut(at_most(end - offset, buf.len()));
        let chunk = match piece.source {
            Source::Plain(source) => return self.image.read_at(buf, source.get() + skip),
            Source::Chunk(chunk) => chunk,
        };
        let len = in_memory(end - piece.start);
        if buf.len() == len {
            self.decode(chunk, buf)?;
            return Ok(len);
        }
        let recent = self.recent(index);
        let memory = recent.get_or_init(|| {
            let mut memory = vec![0; len];
            self.decode(chunk, &mut memory).map_err(|error| InputFailure::new(&error))?;
            Ok(memory)
        });
        let memory = memory.as_ref().map_err(InputFailure::to_io)?;
        let (_, rest) = memory.split_at(in_memory(skip));
        let (part, _) = rest.split_at(buf.len());
        buf.copy_from_slice(part);
        Ok(buf.len())
    }

    fn size(&self) -> Option<u64> {
        Some(self.pieces.bytes)
    }

    fn read_ahead(&self, offset: u64) {
        if let Some((_, piece, _)) = self.pieces.find(offset) {
            self.image.read_ahead(match piece.source {
                Source::Plain(source) => source.get() + (offset - piece.start),
                Source::Chunk(chunk) => chunk.start.get(),
            });
        }
    }
}

/// A decoder of streams that is given chunks of any stream, one at a time.
struct ChunkDecoder(FrameDecoder<Cursor<Vec<u8>>>);

impl ChunkDecoder {
    fn new() -> io::Result<Self> {
        let mut decoder = ChunkDecoder(FrameDecoder::new(Cursor::default()));
        decoder.decode(STREAM_IDENTIFIER.to_vec(), &mut [])?;
        Ok(decoder)
    }

    /// Decodes chunks, whose memory fills `memory` exactly.
    fn decode(&mut self, chunks: Vec<u8>, memory: &mut [u8]) -> io::Result<()> {
        let ChunkDecoder(decoder) = self;
        *decoder.get_mut() = Cursor::new(chunks);
        decoder.read_exact(memory)?;
        if decoder.read(&mut [0])? > 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it has more memory than it says",
            ));
        }
        Ok(())
    }
}
