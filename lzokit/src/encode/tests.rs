//! Streams as literal bytes, and that an independent decoder gives their input back.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::decompress_into;
use crate::random::Random;

pub(crate) fn compress(input: &[u8]) -> Vec<u8> {
    let mut output = vec![0xaa; max_compressed_len(input.len())];
    let len = Encoder::new().compress_into(input, &mut output).unwrap();
    output.truncate(len);
    output
}

fn decompress(stream: &[u8], len: usize) -> Vec<u8> {
    let mut output = vec![0; len];
    let decoded = lzo::decompress_into(stream, &mut output);
    assert_eq!(decoded, Ok(len));
    let mut own = vec![0xee; len];
    assert_eq!(decompress_into(stream, &mut own), Ok(len));
    assert_eq!(own, output);
    output
}

#[test]
fn tiny_inputs_are_literals() {
    // Nothing but the end of the stream: a match at distance 16384.
    assert_eq!(compress(b""), [0x11, 0, 0]);
    // The first byte is the number of literals + 17.
    assert_eq!(compress(b"a"), [18, b'a', 0x11, 0, 0]);
    assert_eq!(compress(b"abcd"), [21, b'a', b'b', b'c', b'd', 0x11, 0, 0]);
    let letters: Vec<u8> = (b'a'..=b'z').collect();
    assert_eq!(compress(&letters), [&[43], letters.as_slice(), &[0x11, 0, 0]].concat());
}

#[test]
fn long_first_run() {
    // 238 literals are the most of the first byte's own form ...
    let data = Random(1).data(0, 239);
    assert_eq!(compress(&data[..238]), [&[255], &data[..238], &[0x11, 0, 0]].concat());
    // ... and 239 take the general one: 18 + 221.
    assert_eq!(compress(&data), [&[0, 221], data.as_slice(), &[0x11, 0, 0]].concat());
    // 274 = 18 + 255 + 1.
    let data = Random(1).data(0, 274);
    assert_eq!(compress(&data), [&[0, 0, 1], data.as_slice(), &[0x11, 0, 0]].concat());
}

#[test]
fn near_match_with_trailing_literals() {
    // "abcde", then eight bytes from 16 back, then three literals, which
    // ride in the low bits of the match: 0b111_111_11, 16 - 1 = 15 =
    // 1 << 3 | 7.
    let mut data = b"abcdefgh01234567abcdefgh".to_vec();
    data.extend((b'A'..=b'Z').collect::<Vec<_>>());
    let mut expected = vec![16 + 17];
    expected.extend(b"abcdefgh01234567");
    expected.extend([0b1111_1100, 1]);
    expected.extend([0, 26 - 18]);
    expected.extend(b'A'..=b'Z');
    expected.extend([0x11, 0, 0]);
    assert_eq!(compress(&data), expected);
}

#[test]
fn run_of_one_byte() {
    // One literal, then a match of 4095 bytes at distance 1: 33 in the
    // instruction, 15 zero bytes of 255 each, 237.
    let mut expected = vec![18, 7, 0x20];
    expected.extend([0; 15]);
    expected.extend([237, 0, 0, 0x11, 0, 0]);
    assert_eq!(compress(&[7; 4096]), expected);
}

#[test]
fn far_match() {
    let mut data: Vec<u8> = (1..=40).collect();
    data.resize(40_000, 0);
    data.extend(1..=80);
    // 41 literals, the last of them a zero, and 39959 zeros at distance
    // 1: 2 + 31 in the instruction, 156 * 255 + 146.
    let mut expected = vec![41 + 17];
    expected.extend(1..=40);
    expected.extend([0, 0x20]);
    expected.extend([0; 156]);
    expected.extend([146, 0, 0]);
    // 40 = 2 + 7 + 31 bytes from a distance of 40000 = 16384 + 16384 +
    // 7232, and 40 = 18 + 22 literals.
    expected.extend([0x18, 31, 0x00, 0x71, 0, 22]);
    expected.extend(41..=80);
    expected.extend([0x11, 0, 0]);
    assert_eq!(compress(&data), expected);
    assert_eq!(decompress(&expected, data.len()), data);
}

#[test]
fn middle_matches() {
    // Ten bytes from a distance of 20: too long for the two-byte
    // instruction. 0x20 | 10 - 2, (20 - 1) << 2 | 3 literals.
    let mut data = b"abcdefghijklmnopqrst".to_vec();
    data.extend(b"abcdefghij123");
    data.extend(b"efghijklmnop");
    data.extend(b'A'..=b'Z');
    let mut expected = vec![20 + 17];
    expected.extend(b"abcdefghijklmnopqrst");
    expected.extend([0x28, 19 << 2 | 3, 0]);
    expected.extend(b"123");
    // Twelve bytes from 29 back, and 26 = 18 + 8 literals.
    expected.extend([0x2a, 28 << 2, 0, 0, 8]);
    expected.extend(b'A'..=b'Z');
    expected.extend([0x11, 0, 0]);
    assert_eq!(compress(&data), expected);
    assert_eq!(decompress(&expected, data.len()), data);
}

#[test]
fn round_trip() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut encoder = Encoder::new();
    let mut lens: Vec<usize> = (0..400).collect();
    lens.extend((0..600).map(|_| random.below(5000)));
    lens.extend([4095, 4096, 4097, 8192, 16384, 49151, 49152, 49153, 65536, 98304, 262_144]);
    for kind in 0..7 {
        for &len in &lens {
            let data = random.data(kind, len);
            let mut output = vec![0; max_compressed_len(len)];
            let written = encoder.compress_into(&data, &mut output).unwrap();
            let stream = &output[..written];
            assert_eq!(decompress(stream, len), data, "kind {kind}, {len} bytes");
            // The blocks before make no difference.
            assert_eq!(stream, compress(&data), "kind {kind}, {len} bytes");
        }
    }
}

#[test]
fn every_output_length() {
    let mut random = Random(3);
    for kind in 0..7 {
        let data = random.data(kind, 300);
        let stream = compress(&data);
        for len in 0..max_compressed_len(data.len()) + 8 {
            let mut output = vec![0; len];
            let written = Encoder::new().compress_into(&data, &mut output);
            if len < stream.len() {
                let (needed, capacity) = (stream.len(), len);
                assert_eq!(written, Err(CompressError::OutputTooSmall { needed, capacity }));
                assert_eq!(output, vec![0; len]);
            } else {
                assert_eq!(written, Ok(stream.len()));
                assert_eq!(output[..stream.len()], stream);
            }
        }
    }
}
