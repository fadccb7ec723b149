//! Every form of instruction at its limits, and that the fast path decodes as the plain one does.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::encode::tests::compress;
use crate::random::Random;

const END: [u8; 3] = [0x11, 0, 0];

/// Decodes `parts` and an end marker into at most `size` bytes.
fn decode(parts: &[&[u8]], size: usize) -> Result<Vec<u8>, DecompressError> {
    decode_exactly(&[parts.concat(), END.to_vec()].concat(), size)
}

fn decode_exactly(stream: &[u8], size: usize) -> Result<Vec<u8>, DecompressError> {
    let mut output = vec![0xee; size];
    let filled = decompress_into(stream, &mut output)?;
    output.truncate(filled);
    Ok(output)
}

/// `len` bytes that do not repeat within 3 KiB.
fn data(len: usize) -> Vec<u8> {
    (0_u16..).flat_map(|n| [0x40 | n.to_be_bytes()[0], n.to_be_bytes()[1]]).take(len).collect()
}

/// The instruction for `data` of 274 to 528 bytes at the start of a stream, and `data`.
fn run(data: &[u8]) -> Vec<u8> {
    let rest = u8::try_from(data.len() - 18 - 255).unwrap();
    [&[0, 0, rest], data].concat()
}

#[test]
fn the_first_byte_can_be_a_run_of_1_to_238() {
    assert_eq!(decode(&[], 9).unwrap(), b"");
    assert_eq!(decode(&[&[18], b"a"], 9).unwrap(), b"a");
    assert_eq!(decode(&[&[20], b"abc"], 9).unwrap(), b"abc");
    assert_eq!(decode(&[&[21], b"abcd"], 9).unwrap(), b"abcd");
    let data = data(238);
    assert_eq!(decode(&[&[255], &data], 238).unwrap(), data);
}

#[test]
fn runs_of_4_and_more() {
    let data = data(18 + 255 + 255);
    for (instruction, len) in [
        (&[1][..], 4),
        (&[15], 18),
        (&[0, 1], 19),
        (&[0, 255], 18 + 255),
        (&[0, 0, 1], 18 + 255 + 1),
        (&[0, 0, 255], 18 + 255 + 255),
    ] {
        let output = decode(&[instruction, &data[..len]], len);
        assert_eq!(output.unwrap(), data[..len], "{instruction:?}");
    }
}

#[test]
fn two_bytes_after_one_to_three_literals() {
    // 0000_DDSS, D: distance - 1 = H << 2 | D.
    assert_eq!(decode(&[&[18], b"a", &[0b0000_0000, 0]], 9).unwrap(), b"aaa");
    assert_eq!(decode(&[&[20], b"abc", &[0b0000_1000, 0]], 9).unwrap(), b"abcab");
    // Its own literals are few again: another of the same form, one back.
    let twice = decode(&[&[20], b"abc", &[0b0000_0101, 0], b"X", &[0, 0]], 9);
    assert_eq!(twice.unwrap(), b"abcbcXXX");
    // With none of its own, a run comes next.
    let then_run = decode(&[&[19], b"ab", &[0b0000_0100, 0], &[1], b"wxyz"], 9);
    assert_eq!(then_run.unwrap(), b"ababwxyz");
    // The greatest distance is 1024: 255 << 2 | 3. Of 500 bytes, the last is repeated
    // 33 + 255 + 237 = 525 times, and a literal follows.
    let data = data(500);
    let parts: [&[u8]; 4] = [&run(&data), &[0x20, 0, 237, 1, 0], b"x", &[0b0000_1100, 255]];
    let far = decode(&parts, 2000).unwrap();
    assert_eq!(far[1024..], [data[499], b'x', data[2], data[3]]);
}

#[test]
fn three_bytes_after_a_run() {
    // The least distance is 2049, the greatest 3072.
    let data = data(3072);
    let run = [&[0][..], &[0; 11], &[249], &data].concat();
    assert_eq!(18 + 11 * 255 + 249, 3072);
    let near = decode(&[&run, &[0b0000_0000, 0]], 4096).unwrap();
    assert_eq!(near[3072..], data[3072 - 2049..][..3]);
    let far = decode(&[&run, &[0b0000_1101, 255], b"!"], 4096).unwrap();
    assert_eq!(far[3072..], [&data[..3], b"!"].concat());
    // The same bytes after a match are a run, after few literals a near match.
    let match_first = decode(&[&run, &[0x21, 0, 0], &[1, 5, 6, 7, 8]], 4096).unwrap();
    assert_eq!(match_first[3075..], [5, 6, 7, 8]);
}

#[test]
fn near_matches_of_3_to_8() {
    // LLLD_DDSS: length - 1, distance - 1 = H << 3 | D.
    let head: &[u8] = &[25, b'a', b'b', b'c', b'd', b'e', b'f', b'g', b'h'];
    assert_eq!(decode(&[head, &[0b0101_1100, 0]], 99).unwrap(), b"abcdefghabc");
    assert_eq!(decode(&[head, &[0b1111_1111, 0], b"XYZ"], 99).unwrap(), b"abcdefghabcdefghXYZ");
    assert_eq!(decode(&[head, &[0b1110_0000, 0]], 99).unwrap(), b"abcdefghhhhhhhhh");
    let data = data(2048);
    let run = [&[0][..], &[0; 7], &[245], &data].concat();
    let far = decode(&[&run, &[0b0101_1100, 255]], 2051).unwrap();
    assert_eq!(far[2048..], data[..3]);
}

#[test]
fn middle_matches_of_any_length() {
    // 001L_LLLL: length - 2, distance - 1 and literals in two bytes, the low one first.
    let head: &[u8] = &[20, b'a', b'b', b'c'];
    assert_eq!(decode(&[head, &[0x21, 2 << 2, 0]], 99).unwrap(), b"abcabc");
    assert_eq!(decode(&[head, &[0x21, 2 << 2 | 2, 0], b"XY"], 99).unwrap(), b"abcabcXY");
    assert_eq!(decode(&[head, &[0x3f, 0, 0]], 99).unwrap(), [b"ab", &[b'c'; 34][..]].concat());
    assert_eq!(decode(&[head, &[0x20, 1, 0, 0]], 99).unwrap(), [b"ab", &[b'c'; 35][..]].concat());
    let long = decode(&[head, &[0x20, 0, 0, 7, 1 << 2, 0]], 999).unwrap();
    assert_eq!(long, [b"abc", b"bc".repeat(275).get(..2 + 31 + 510 + 7).unwrap()].concat());
}

/// Instructions for 40033 bytes: 528 of data, and the last of them again and again.
fn far_head() -> Vec<u8> {
    let mut head = run(&data(528));
    // 33 + 255 * 154 + 202 = 39505 bytes from 1 back.
    head.extend([&[0x20][..], &[0; 154], &[202, 0, 0]].concat());
    head
}

#[test]
fn far_matches_of_any_length() {
    let (data, filled) = (data(528), 528 + 39505);
    // 40033 = 16384 + 16384 + 7265, 7265 << 2 = 0x7184.
    for (instruction, length) in [
        (&[0x19, 0x84, 0x71][..], 3),
        (&[0x1f, 0x84, 0x71], 9),
        (&[0x18, 1, 0x84, 0x71], 10),
        (&[0x18, 0, 200, 0x84, 0x71], 9 + 255 + 200),
    ] {
        let output = decode(&[&far_head(), instruction], 65536).unwrap();
        assert_eq!(output[filled..], data[..length], "{instruction:?}");
    }
    // 16384 + 1 is the least, 49151 the greatest distance.
    let least = decode(&[&far_head(), &[0x11, 1 << 2 | 1, 0], b"x"], 65536).unwrap();
    assert_eq!(least[filled..], [data[527], data[527], data[527], b'x']);
    let greatest: &[u8] = &[0x19, 0xfc, 0xff];
    let offset = far_head().len();
    let error = DecompressError::InvalidDistance { offset, distance: 49151, available: filled };
    assert_eq!(decode(&[&far_head(), greatest], 65536), Err(error));
    // 49151 - 40033 = 33 + 255 * 35 + 160.
    let more = [&[0x20][..], &[0; 35], &[160, 0, 0]].concat();
    let output = decode(&[&far_head(), &more, greatest], 65536).unwrap();
    assert_eq!(output[49151..], data[..3]);
}

#[test]
fn the_end_may_have_any_length_and_literals() {
    for end in
        [&[0x11, 0, 0][..], &[0x17, 0, 0], &[0x11, 3, 0], &[0x10, 9, 0, 0], &[0x10, 0, 1, 2, 0]]
    {
        assert_eq!(decode_exactly(&[&[18, b'a'], end].concat(), 1).unwrap(), b"a", "{end:?}");
    }
}

#[test]
fn no_match_starts_before_the_output() {
    let invalid = |offset, distance, available| {
        Err(DecompressError::InvalidDistance { offset, distance, available })
    };
    assert_eq!(decode(&[&[18], b"a", &[0x44, 0]], 9), invalid(2, 2, 1));
    assert_eq!(decode(&[&[18], b"a", &[0x21, 4, 0]], 9), invalid(2, 2, 1));
    assert_eq!(decode(&[&[0x11, 4, 0]], 9), invalid(0, 16385, 0));
    assert_eq!(decode(&[&[18], b"a", &[4, 0]], 9), invalid(2, 2, 1));
    assert_eq!(decode(&[&[21], b"abcd", &[0, 0]], 9), invalid(5, 2049, 4));
    let extended: [&[u8]; 3] = [&[29], b"abcdefghijkl", &[0x20, 1, 0xac, 4]];
    assert_eq!(decode(&extended, 99), invalid(13, 300, 12));
}

#[test]
fn nothing_is_written_beyond_the_output() {
    let too_small = |offset, capacity| Err(DecompressError::OutputTooSmall { offset, capacity });
    assert_eq!(decode(&[&[21], b"abcd"], 3), too_small(0, 3));
    assert_eq!(decode(&[&[20], b"abc", &[0x21, 0, 0]], 5), too_small(4, 5));
    assert_eq!(decode(&[&[20], b"abc", &[0x21, 1, 0], b"x"], 6), too_small(4, 6));
    assert_eq!(decode(&[&[20], b"abc", &[0x20, 0, 0, 0, 1, 0, 0]], 300), too_small(4, 300));
    assert_eq!(decode(&[&[20], b"abc", &[0x21, 1, 0], b"x"], 7).unwrap(), b"abccccx");
}

#[test]
fn a_stream_cut_anywhere_is_refused_and_so_is_one_byte_more() {
    let instructions = [
        &[20, b'a', b'b', b'c'][..],
        &[8, 0],
        &[1, b'w', b'x', b'y', b'z'],
        &[0x21, 3, 0, b'1', b'2', b'3'],
        &[0x20, 0, 9, 6, 0, b'4', b'5'],
        &[0b0110_0001, 0, b'x'],
        &[0x21, 0, 0],
        &END,
    ];
    let stream = instructions.concat();
    let whole = decode_exactly(&stream, 4096).unwrap();
    assert!(whole.len() > 255);
    let mut offset = 0;
    for instruction in instructions {
        for len in offset..offset + instruction.len() {
            let cut = decode_exactly(&stream[..len], 4096);
            assert_eq!(cut, Err(DecompressError::UnexpectedEnd { offset }), "{len} bytes");
        }
        offset += instruction.len();
    }
    assert_eq!(offset, stream.len());
    let more = [stream, vec![0]].concat();
    let trailing = DecompressError::TrailingBytes { offset, count: 1 };
    assert_eq!(decode_exactly(&more, 4096), Err(trailing));
    for size in 0..whole.len() {
        let error = decode_exactly(&more, size).unwrap_err();
        assert!(
            matches!(error, DecompressError::OutputTooSmall { capacity, .. } if capacity == size),
            "{size} bytes: {error}"
        );
    }
}

/// Decodes without the fast path.
fn step_by_step(stream: &[u8], output: &mut [u8]) -> Result<usize, DecompressError> {
    let mut decoder = Decoder::new(stream, output);
    decoder.first_literals()?;
    while decoder.step()? {}
    decoder.finish()
}

#[test]
fn the_fast_path_decodes_as_the_plain_one_does() {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let (mut whole, mut damaged, mut shortcuts) = (0, 0, 0);
    for round in 0..10_000 {
        let size = [4096, 4096, 4096, 40_000][round % 4];
        let mut stream = if round % 3 == 0 {
            instructions(&mut random)
        } else {
            compress(&random.data(round % 7, size))
        };
        for _ in 0..round % 5 {
            let at = random.below(stream.len());
            match random.below(4) {
                0 => stream[at] = random.byte(),
                1 => stream[at] ^= 1 << random.below(8),
                2 => stream.insert(at, random.byte()),
                _ => stream.truncate(at.max(1)),
            }
        }
        let mut output = vec![0; size];
        let mut start = Decoder::new(&stream, &mut output);
        if start.first_literals().is_ok() {
            let first = start.done;
            shortcuts += usize::from(advance(&stream, &mut output, first).at > first.at);
        }
        let (mut quick, mut plain) = (vec![0xaa; size], vec![0x55; size]);
        let result = decompress_into(&stream, &mut quick);
        assert_eq!(result, step_by_step(&stream, &mut plain), "{stream:02x?}");
        if let Ok(filled) = result {
            assert_eq!(quick[..filled], plain[..filled], "{stream:02x?}");
            whole += 1;
        } else {
            damaged += 1;
        }
    }
    assert!(whole > 2000 && damaged > 5000 && shortcuts > 3000, "{whole} {damaged} {shortcuts}");
}

/// A stream of instructions of every form, most of them valid.
fn instructions(random: &mut Random) -> Vec<u8> {
    let mut stream = Vec::new();
    let literals = |random: &mut Random, stream: &mut Vec<u8>, count: usize| {
        stream.extend((0..count).map(|_| random.byte()));
    };
    let first = random.below(238);
    stream.push(18 + u8::try_from(first).unwrap());
    literals(random, &mut stream, first + 1);
    for _ in 0..random.below(60) {
        let few = random.below(4) * random.below(2);
        let distance = random.below(30) * [1, 4][random.below(2)];
        let [few_byte, distance_byte] = [few, distance].map(|n| u8::try_from(n).unwrap());
        let length = u8::try_from(1 + random.below(31)).unwrap();
        match random.below(8) {
            0 => {
                stream.push(length & 15);
                let count = if length & 15 == 0 { 16 } else { usize::from(length & 15) };
                stream.extend((length & 15 == 0).then_some(1));
                literals(random, &mut stream, 3 + count);
                continue;
            }
            1 => stream.extend([few_byte | distance_byte << 2 & 12, 0]),
            2 => stream.extend([0x20, length, distance_byte << 2 | few_byte, 0]),
            3 => stream.extend([0x10 | length & 15, random.byte() & 0xfc | few_byte, 0]),
            4 | 5 => stream.extend([0x20 | length, distance_byte << 2 | few_byte, 0]),
            _ => stream.extend([
                0x40 | length << 5 | distance_byte << 2 & 28 | few_byte,
                distance_byte >> 3,
            ]),
        }
        literals(random, &mut stream, few);
    }
    stream.extend(END);
    stream
}

#[test]
fn nothing_is_read_after_the_end_marker() {
    let offset = far_head().len() + END.len();
    let stream = [far_head(), END.to_vec(), vec![0x41; 40]].concat();
    let trailing = DecompressError::TrailingBytes { offset, count: 40 };
    assert_eq!(decode_exactly(&stream, 65536), Err(trailing));
}
