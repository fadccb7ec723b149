mod decoder;

use super::*;
use crate::error::Error;
use std::io::Read;

fn page(class: u32, size: usize) -> Vec<u8> {
    let mut state = 1 + class;
    let mut random = || {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        (state >> 24) as u8
    };
    (0..size)
        .map(|i| match class {
            0 => 0,
            1 => random(),
            2 => b"the quick brown fox "[i % 20],
            3 => ((i / 8) as u8).wrapping_mul((i % 8 == 0).into()),
            _ => random() & 3,
        })
        .collect()
}

fn decode(codec: Codec, stored: &[u8], size: usize) -> Vec<u8> {
    let mut page = Vec::new();
    match codec {
        Codec::Zlib => {
            flate2::read::ZlibDecoder::new(stored).read_to_end(&mut page).unwrap();
        }
        Codec::Lzo => page = ::lzo::decompress(stored, size).unwrap(),
        Codec::Snappy => page = snap::raw::Decoder::new().decompress_vec(stored).unwrap(),
        Codec::Zstd => page = zstd::bulk::decompress(stored, size).unwrap(),
        Codec::Raw => panic!("stored raw"),
    }
    page
}

#[test]
fn every_codec_stores_pages_that_decode_to_the_same_or_stores_them_raw() {
    for codec in Codec::ALL {
        for size in [4096, 8192, 16384, 65536, 262_144] {
            let mut encoder = Encoder::new(codec, None, size).unwrap();
            let mut out = vec![0xee; encoder.room()];
            for class in 0..5 {
                let page = page(class, size);
                let stored = encoder.encode(&page, &mut out);
                let bytes = &out[..stored.size as usize];
                if stored.flags == 0 {
                    assert_eq!(bytes, page, "{codec:?} {size} {class}");
                } else {
                    assert_eq!(stored.flags, codec.flag());
                    assert!(bytes.len() < size);
                    assert_eq!(decode(codec, bytes, size), page, "{codec:?} {size} {class}");
                }
                let incompressible = class == 1 || codec == Codec::Raw;
                assert_eq!(stored.flags == 0, incompressible, "{codec:?} {size} {class}");
            }
        }
    }
}

#[test]
fn stored_bytes_depend_on_the_page_alone() {
    for codec in Codec::ALL {
        let mut used = Encoder::new(codec, None, 4096).unwrap();
        let mut out = vec![0; used.room()];
        for before in 0..5 {
            used.encode(&page(before, 4096), &mut out);
            let again = used.encode(&page(2, 4096), &mut out);
            let mut fresh_out = vec![0; out.len()];
            let fresh =
                Encoder::new(codec, None, 4096).unwrap().encode(&page(2, 4096), &mut fresh_out);
            assert_eq!(again, fresh);
            assert_eq!(out[..again.size as usize], fresh_out[..fresh.size as usize]);
        }
    }
}

#[test]
fn levels_are_those_of_the_codec() {
    let refused = |codec, level| match Encoder::new(codec, Some(level), 4096) {
        Err(Error::Codec { codec, why }) => format!("{codec}: {why}"),
        _ => panic!("level {level} was accepted"),
    };
    assert_eq!(refused(Codec::Zlib, 0), "zlib: level 0 is not in 1..=12");
    assert_eq!(refused(Codec::Zstd, 23), "zstd: level 23 is not in -7..=22");
    assert_eq!(refused(Codec::Lzo, 1), "lzo: has no levels");
    for (codec, levels) in [(Codec::Zlib, 1..=12), (Codec::Zstd, -7..=22)] {
        for level in levels {
            let mut encoder = Encoder::new(codec, Some(level), 4096).unwrap();
            let mut out = vec![0; encoder.room()];
            let stored = encoder.encode(&page(2, 4096), &mut out);
            assert_eq!(decode(codec, &out[..stored.size as usize], 4096), page(2, 4096));
        }
    }
}
