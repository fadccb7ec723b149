//! Walks the chunks of one stream of AVML, without decoding them.

use crate::format::avml::{
    CHUNK_HEAD_BYTES, ChunkHead, LENGTH_BYTES, STREAM_IDENTIFIER, ends_stream,
};
use crate::input::{ReadAt, read_full};
use crate::pages::{FileOffset, FileRange, Span};

/// The chunks of a stream, as far as they could be walked.
pub(super) struct Stream {
    /// The chunks that have memory.
    pub chunks: Vec<Chunk>,
    /// The bytes of their memory.
    pub memory: u64,
    /// Where the last one ends.
    pub end: FileOffset,
    /// Why the walk ended.
    pub stop: Stop,
}

/// A chunk that has memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    /// Where it is in the image.
    pub bytes: FileRange,
    /// The bytes of its memory.
    pub memory: u64,
}

/// Why the walk through a stream ended.
pub(super) enum Stop {
    /// Its length follows.
    Length,
    /// The image ends.
    CutOff,
    /// What follows is neither a chunk nor the length, or cannot be read.
    Damage(String),
}

impl Stream {
    /// Walks the stream that begins at `start` in an image of `size` bytes.
    pub(super) fn walk(input: &dyn ReadAt, start: FileOffset, size: FileOffset) -> Stream {
        let mut stream = Stream { chunks: Vec::new(), memory: 0, end: start, stop: Stop::Length };
        loop {
            if let Err(stop) = stream.step(input, start, size) {
                return Stream { stop, ..stream };
            }
        }
    }

    /// Walks one chunk.
    fn step(
        &mut self,
        input: &dyn ReadAt,
        start: FileOffset,
        size: FileOffset,
    ) -> Result<(), Stop> {
        let at = self.end;
        let damage = |why: String| Stop::Damage(format!("at offset {at:#x}, {why}"));
        let mut head = [0; CHUNK_HEAD_BYTES];
        let n = read_full(input, &mut head, at.get()).map_err(|why| damage(why.to_string()))?;
        if n >= LENGTH_BYTES && ends_stream(&head, at - start) {
            return Err(Stop::Length);
        }
        let left = size - at;
        if at == start && head.starts_with(&STREAM_IDENTIFIER) {
            self.end += STREAM_IDENTIFIER.len() as u64;
            return Ok(());
        }
        if left < CHUNK_HEAD_BYTES as u64 {
            return Err(Stop::CutOff);
        }
        if at == start {
            return Err(damage("no stream of AVML".to_owned()));
        }
        let ChunkHead { bytes, memory } = ChunkHead::decode(&head).map_err(damage)?;
        if bytes > left {
            return Err(Stop::CutOff);
        }
        self.chunks.push(Chunk { bytes: Span::of(at, bytes), memory });
        self.memory += memory;
        self.end += bytes;
        Ok(())
    }
}
