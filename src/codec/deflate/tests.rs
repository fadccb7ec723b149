//! Streams as a whole, through a decoder that shares no code with the encoder.
#![expect(clippy::cast_possible_truncation, reason = "random bytes are cut from words")]
use super::Zlib;
use proptest::prelude::*;

/// The classes of bytes that `generate` knows.
const CLASSES: u32 = 9;

/// Pseudo-random numbers (Marsaglia's xorshift).
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Bytes of one class.
fn generate(class: u32, len: usize, seed: u64) -> Vec<u8> {
    let mut random = Xorshift(seed | 1);
    let mut out = Vec::with_capacity(len + 300);
    while out.len() < len {
        let r = random.next() >> 8;
        match class {
            0 => out.push(r as u8),
            1 => out.extend(std::iter::repeat_n((r >> 16) as u8, (r % 300) as usize)),
            2 => {
                let period = 1 + seed as usize % 64;
                let from = out.len().checked_sub(period);
                out.push(from.map_or(r as u8, |from| out[from]));
            }
            3 => out.extend((0xffff_8880_0000_0000 | r & 0x3fff_ffc0).to_le_bytes()),
            4 => out.extend(
                &b"static int page_ops->release(struct folio *folio); return"[(r % 40) as usize..]
                    [..1 + (r >> 20) as usize % 16],
            ),
            5 => out.push(out.len() as u8),
            6 => {
                // Frequencies as Fibonacci's numbers: the deepest of trees.
                out.push(r.trailing_ones() as u8 + (r >> 40 & 1) as u8);
            }
            7 => out.extend((r % 300).to_le_bytes()),
            _ => {
                let inner = generate(r as u32 % 8, 1 + (r >> 8) as usize % 200, r);
                out.extend(inner);
            }
        }
    }
    out.truncate(len);
    out
}

/// Decodes a stream of exactly these bytes.
fn decode(stream: &[u8], len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    let mut z = flate2::Decompress::new(true);
    let status = z.decompress(stream, &mut out, flate2::FlushDecompress::Finish).unwrap();
    assert_eq!(status, flate2::Status::StreamEnd);
    assert_eq!((z.total_in(), z.total_out()), (stream.len() as u64, len as u64));
    out
}

/// Compresses with room to spare, checks the stream and returns it.
fn round_trip(zlib: &mut Zlib, input: &[u8]) -> Vec<u8> {
    let mut out = vec![0xaa; input.len() + input.len() / 1000 + 64];
    let len = zlib.compress(input, &mut out).unwrap();
    // Whole words are written, of which the last may reach beyond the end.
    assert!(out[len..].iter().skip(8).all(|&byte| byte == 0xaa));
    out.truncate(len);
    assert!(decode(&out, input.len()) == input);
    out
}

#[test]
fn tiny_streams_are_as_worked_out_by_hand() {
    let mut zlib = Zlib::default();
    // A fixed block (1, then 01) with its end (0000000) alone.
    assert_eq!(round_trip(&mut zlib, b""), [0x78, 0x01, 0x03, 0x00, 0, 0, 0, 1]);
    // 'a' is 0x30 + 0x61 = 10010001, first bit first.
    assert_eq!(round_trip(&mut zlib, b"a"), [0x78, 0x01, 0x4b, 0x04, 0x00, 0, 0x62, 0, 0x62]);
    // Literal 0 (00110000), length 19 (symbol 269: 0001101, extra 00), distance 1 (00000).
    let zeros = [0x78, 0x01, 0x63, 0xc0, 0x02, 0x00, 0, 20, 0, 1];
    assert_eq!(round_trip(&mut zlib, &[0; 20]), zeros);
}

#[test]
fn blocks_that_gain_nothing_are_stored() {
    let input = generate(0, 40000, 1);
    let out = round_trip(&mut Zlib::default(), &input);
    // Two blocks of 32768 and 7232 bytes.
    assert_eq!(out[2..7], [0, 0x00, 0x80, 0xff, 0x7f]);
    assert_eq!(out[7 + 32768..][..5], [1, 0x40, 0x1c, 0xbf, 0xe3]);
    assert_eq!(out.len(), 2 + 2 * 5 + 40000 + 4);
}

#[test]
fn all_classes_survive_at_all_lengths() {
    let mut zlib = Zlib::default();
    for class in 0..CLASSES {
        for len in (0..300).chain((300..5000).step_by(271)) {
            round_trip(&mut zlib, &generate(class, len, (len as u64) << 8 | 0x55));
        }
        for period in 0..64 {
            round_trip(&mut zlib, &generate(class, 4096, period));
        }
    }
}

#[test]
fn pages_of_all_sizes_survive() {
    let mut zlib = Zlib::default();
    for class in 0..CLASSES {
        for len in [4096, 8192, 16384, 32768, 65535, 65536, 65537, 98304, 262_144, 1 << 20] {
            round_trip(&mut zlib, &generate(class, len, 0x1234_5678 + len as u64));
        }
    }
}

#[test]
fn output_depends_on_the_input_alone() {
    let mut used = Zlib::default();
    for seed in 0..200 {
        let page = generate(8, 4096 - seed as usize % 9, seed * 977 + 5);
        assert!(round_trip(&mut used, &page) == round_trip(&mut Zlib::default(), &page));
    }
}

#[test]
fn too_short_an_output_is_refused() {
    let mut zlib = Zlib::default();
    for (class, len) in (0..CLASSES).flat_map(|class| [0, 1, 9, 100, 600].map(|len| (class, len))) {
        let input = generate(class, len, 77);
        let whole = round_trip(&mut zlib, &input);
        for room in 0..whole.len() + 20 {
            let mut out = vec![0; room];
            match zlib.compress(&input, &mut out) {
                Some(len) => assert!(out[..len] == whole),
                None => assert!(room < whole.len()),
            }
        }
    }
}

#[test]
fn incompressible_pages_are_refused() {
    let mut zlib = Zlib::default();
    for seed in 0..100 {
        assert_eq!(zlib.compress(&generate(0, 4096, seed * 7919 + 3), &mut [0; 4095]), None);
    }
}

proptest! {
    #[test]
    fn any_bytes_survive(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
        round_trip(&mut Zlib::default(), &bytes);
    }

    #[test]
    fn any_mixture_survives(seed in any::<u64>(), class in 0..CLASSES, len in 0usize..5000) {
        round_trip(&mut Zlib::default(), &generate(class, len, seed));
    }
}
