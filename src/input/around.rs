//! Reading on after bytes that cannot be read.

use std::io;

use crate::input::ReadAt;
use crate::pages::{FileOffset, Position, Span, in_memory};

/// Fills `buf` with the bytes of the input from `offset` on, and continues after unreadable ones.
///
/// `at` is the position of the first byte in what the caller reads: memory or the file itself. After
/// a failed read, the rest is read in pieces that end at multiples of `piece_bytes` of that
/// position, so that a bad sector, or a page that /proc/vmcore cannot map, costs only its own piece.
/// Passes the positions of each lost piece to `lost`, with the reason; its bytes are undefined.
pub(crate) fn read_around_errors<T: Position>(
    input: &dyn ReadAt,
    buf: &mut [u8],
    offset: FileOffset,
    at: T,
    piece_bytes: u64,
    lost: &mut dyn FnMut(Span<T>, io::Error),
) {
    let mut rest = buf;
    let (mut offset, mut at) = (offset, at);
    let mut in_pieces = false;
    let mut why = None;
    while !rest.is_empty() {
        let left = rest.len() as u64;
        let to_piece_end = (piece_bytes - at.get() % piece_bytes).min(left);
        let wanted = if in_pieces { to_piece_end } else { left };
        let (part, _) = rest.split_at_mut(in_memory(wanted));
        let error = match input.read_at(part, offset.get()) {
            // A stream returns its error only once; reads after that find its end.
            Ok(0) => why.take().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                (_, rest) = rest.split_at_mut(n);
                offset += n as u64;
                at = T::new(at.get() + n as u64);
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if !in_pieces => {
                in_pieces = true;
                why = Some(error);
                continue;
            }
            Err(error) => error,
        };
        lost(Span::of(at, to_piece_end), error);
        (_, rest) = rest.split_at_mut(in_memory(to_piece_end));
        offset += to_piece_end;
        at = T::new(at.get() + to_piece_end);
    }
}
