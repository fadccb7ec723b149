//! Writes the sequences of a block as code words.

use super::bits::BitWriter;
use super::matcher::{Sequence, Window};
use super::tables::{
    DISTANCE_EXTRA, DISTANCE_MASK, DISTANCES, END, LENGTH_EXTRA, LENGTH_MASK, LITERALS,
};

/// Maximum bits of a code word for a literal or length. RFC 1951 allows 15; with 12, four literals,
/// or a literal and a match, fit between two flushes.
pub(super) const LITERAL_LIMIT: usize = 12;
/// Maximum bits of a code word for a distance. A literal (12 bits), a length (12 and 5 extra bits)
/// and a distance (14 and 13 extra bits) then take 56.
pub(super) const DISTANCE_LIMIT: usize = 14;
const _: () = assert!(4 * LITERAL_LIMIT <= BitWriter::ROOM);
const _: () = assert!(2 * LITERAL_LIMIT + 5 + DISTANCE_LIMIT + 13 <= BitWriter::ROOM);

/// Masks that keep or drop the third and the fourth literal, indexed by the number of literals.
static KEEP: [[u32; 2]; 8] = [[0, 0], [0, 0], [0, 0], [!0, 0], [!0, !0], [0, 0], [0, 0], [0, 0]];

/// Reads four bytes of the window from `at` on.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "the mask and the padding keep it in bounds")]
fn four(window: &Window, at: usize) -> [usize; 4] {
    let at = at & 0xffff;
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&window[at..at + 4]);
    bytes.map(usize::from)
}

/// Writes the sequences, the first of which starts at `pos` in the window, and the end symbol.
///
/// The writer is passed by value so that it stays in registers. The processor cannot predict the
/// length of a run, so the literals after a short run are masked out rather than branched around.
#[expect(clippy::indexing_slicing, reason = "bytes and masked symbols are in bounds")]
pub(super) fn emit<'a>(
    mut w: BitWriter<'a>,
    (window, sequences): (&Window, &[Sequence]),
    mut pos: usize,
    literals: &[u32; LITERALS],
    distances: &[u32; DISTANCES],
) -> BitWriter<'a> {
    let (Some((last, sequences)), Some(lengths)) =
        (sequences.split_last(), literals.last_chunk::<32>())
    else {
        return w;
    };
    for sequence in sequences {
        let mut run = usize::from(sequence.run);
        while run > 4 {
            w = four_literals(w, four(window, pos), [!0; 2], literals);
            pos = pos.wrapping_add(4);
            run = run.wrapping_sub(4);
        }
        if run > 1 {
            w = four_literals(w, four(window, pos), KEEP[run & 7], literals);
            pos = pos.wrapping_add(run);
            run = 0;
        }
        // One literal or none.
        let keep = if run > 0 { !0 } else { 0 };
        w.put_word(literals[usize::from(window[pos & 0xffff])] & keep);
        let symbol = usize::from(sequence.length_symbol & 31);
        w.put_word(lengths[symbol]);
        w.put(u32::from(sequence.length & LENGTH_MASK[symbol]), u32::from(LENGTH_EXTRA[symbol]));
        let symbol = usize::from(sequence.distance_symbol & 31);
        w.put_word(distances[symbol]);
        let extra = u32::from(DISTANCE_EXTRA[symbol]);
        w.put(u32::from(sequence.distance & DISTANCE_MASK[symbol]), extra);
        w.flush();
        pos = pos.wrapping_add(run).wrapping_add(usize::from(sequence.length)).wrapping_add(3);
    }
    let mut run = usize::from(last.run);
    while run > 3 {
        w = four_literals(w, four(window, pos), [!0; 2], literals);
        pos = pos.wrapping_add(4);
        run = run.wrapping_sub(4);
    }
    for &byte in four(window, pos).get(..run).unwrap_or_default() {
        w.put_word(literals[byte]);
    }
    w.put_word(literals[END]);
    w.flush();
    w
}

/// Writes two literals, and each of the next two whose mask in `keep` is all ones.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "bytes are below 256")]
fn four_literals<'a>(
    mut w: BitWriter<'a>,
    bytes: [usize; 4],
    keep: [u32; 2],
    literals: &[u32; LITERALS],
) -> BitWriter<'a> {
    let bytes = bytes.map(|byte| byte & 0xff);
    w.put_word(literals[bytes[0]]);
    w.put_word(literals[bytes[1]]);
    w.put_word(literals[bytes[2]] & keep[0]);
    w.put_word(literals[bytes[3]] & keep[1]);
    w.flush();
    w
}
