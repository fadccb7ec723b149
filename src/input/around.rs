//! Reading on after bytes that cannot be read.

use std::io;
use std::ops::Range;

use crate::input::ReadAt;

/// Where bytes are in the input, and at which address their pieces are counted from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) address: u64,
}

/// Fills `buf` from `place` on, and goes on behind what cannot be read.
///
/// A read that fails is tried again up to the next multiple of `piece` bytes of the address, so
/// that a bad sector or a page that /proc/vmcore cannot map costs that piece alone. Each piece
/// that is lost is passed to `lost` as its addresses, with the reason; its bytes are undefined.
pub(crate) fn read_around_errors(
    input: &dyn ReadAt,
    buf: &mut [u8],
    place: Place,
    piece: u64,
    lost: &mut dyn FnMut(Range<u64>, io::Error),
) {
    let mut done = 0;
    let mut careful = false;
    let mut why = None;
    while done < buf.len() {
        let here = place.address + done as u64;
        let to_piece_end = usize::try_from(piece - here % piece).unwrap_or(usize::MAX);
        let piece_end = done.saturating_add(to_piece_end).min(buf.len());
        let end = if careful { piece_end } else { buf.len() };
        let part = buf.get_mut(done..end).unwrap_or_default();
        let error = match input.read_at(part, place.offset + done as u64) {
            // A stream that failed says so once and has ended from then on.
            Ok(0) => why.take().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                done += n;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if !careful => {
                careful = true;
                why = Some(error);
                continue;
            }
            Err(error) => error,
        };
        lost(here..place.address + piece_end as u64, error);
        done = piece_end;
    }
}
