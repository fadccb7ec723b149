//! The frames of an .lz4 file, one after the other.
//!
//! The crate `lz4_flex` decodes a frame. Where a frame ends it says that there is no more, and it says
//! so, too, where the file ends within a frame.

use std::io::{self, BufRead, Read};

use lz4_flex::frame::FrameDecoder;

/// What a frame begins with (lz4_Frame_format.md), and one of the old format, as in kernels.
const FRAME: &[u8] = b"\x04\x22\x4d\x18";
const LEGACY_FRAME: &[u8] = b"\x02\x21\x4c\x18";

/// Whether a file that begins with `magic` is an .lz4.
pub(super) fn is_lz4(magic: &[u8]) -> bool {
    magic.starts_with(FRAME) || magic.starts_with(LEGACY_FRAME)
}

/// Decodes all frames.
pub(super) struct Lz4Frames<R: BufRead> {
    /// Between two frames.
    rest: Option<R>,
    frame: Option<Frame<R>>,
}

struct Frame<R: BufRead> {
    decoder: FrameDecoder<Watched<R>>,
    /// Whether it ends with the file, without a mark.
    is_legacy: bool,
}

/// Knows whether its end was read.
struct Watched<R> {
    reader: R,
    has_ended: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buf)?;
        self.has_ended |= n == 0 && !buf.is_empty();
        Ok(n)
    }
}

impl<R: BufRead> Lz4Frames<R> {
    pub(super) fn new(reader: R) -> Self {
        Lz4Frames { rest: Some(reader), frame: None }
    }
}

impl<R: BufRead> Read for Lz4Frames<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(mut reader) = self.rest.take() {
                let (is_end, is_legacy) = match reader.fill_buf() {
                    Ok(next) => (next.is_empty(), next.starts_with(LEGACY_FRAME)),
                    Err(error) => {
                        self.rest = Some(reader);
                        return Err(error);
                    }
                };
                if is_end {
                    self.rest = Some(reader);
                    return Ok(0);
                }
                // A new decoder for each: its buffers have the size of one frame's blocks.
                let decoder = FrameDecoder::new(Watched { reader, has_ended: false });
                self.frame = Some(Frame { decoder, is_legacy });
            }
            let Some(frame) = &mut self.frame else { return Ok(0) };
            let n = frame.decoder.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            if frame.decoder.get_ref().has_ended && !frame.is_legacy {
                let why = "the lz4 frame is cut off";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
            }
            self.rest = self.frame.take().map(|frame| frame.decoder.into_inner().reader);
        }
    }
}
