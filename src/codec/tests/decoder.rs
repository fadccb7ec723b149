//! What the decoder accepts and refuses, in the words that a user reads.

use zstd::zstd_safe;

use super::{page, *};

/// A page of 4096 zeros as each codec's own library stores it: zlib 1.2.13, liblzo2 2.10,
/// libsnappy 1.1.9, libzstd 1.5.4.
const ZEROS: [(Codec, &[u8]); 5] = [
    (Codec::Zlib, ZLIB_ZEROS),
    (Codec::Lzo, LZO_ZEROS),
    (Codec::Snappy, SNAPPY_ZEROS),
    (Codec::Zstd, ZSTD_ZEROS),
    (Codec::Raw, &[0; 4096]),
];

fn decode_page(codec: Codec, stored: &[u8], size: usize) -> Result<Vec<u8>, String> {
    let mut page = vec![0xee; size];
    let result = Decoder::new().unwrap().decode(codec, stored, &mut page);
    result.map(|()| page).map_err(|damage| damage.to_string())
}

fn refusal(codec: Codec, stored: &[u8], size: usize) -> String {
    decode_page(codec, stored, size).unwrap_err()
}

fn stored(codec: Codec, page: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(codec, None, page.len()).unwrap();
    let mut out = vec![0; encoder.room()];
    let stored = encoder.encode(page, &mut out);
    assert_eq!(stored.flags, codec.flag());
    out.truncate(stored.size as usize);
    out
}

#[test]
fn one_bit_identifies_a_codec() {
    let of_bits = [0, 1, 2, 4, 0x20].map(Codec::from_flags);
    let [none, zlib, lzo, snappy, zstd] =
        [Codec::Raw, Codec::Zlib, Codec::Lzo, Codec::Snappy, Codec::Zstd].map(Some);
    assert_eq!(of_bits, [none, zlib, lzo, snappy, zstd]);
    for flags in [3, 5, 6, 8, 0x10, 0x21, 0x40, 1 << 31, u32::MAX] {
        assert_eq!(Codec::from_flags(flags), None, "{flags:#x}");
    }
}

#[test]
fn pages_compressed_by_other_libraries_decode() {
    for (codec, stored) in ZEROS {
        assert_eq!(decode_page(codec, stored, 4096).unwrap(), [0; 4096], "{codec:?}");
    }
}

#[test]
fn one_decoder_decodes_pages_of_every_codec_and_size() {
    let mut decoder = Decoder::new().unwrap();
    for size in [4096, 8192, 16384, 65536, 262_144] {
        let mut decoded = vec![0xee; size];
        for codec in Codec::ALL {
            let mut encoder = Encoder::new(codec, None, size).unwrap();
            let mut out = vec![0; encoder.room()];
            for class in 0..5 {
                let page = page(class, size);
                let stored = encoder.encode(&page, &mut out);
                let bytes = &out[..stored.size as usize];
                let codec = Codec::from_flags(stored.flags).unwrap();
                decoder.decode(codec, bytes, &mut decoded).unwrap();
                assert_eq!(decoded, page, "{codec:?} {size} {class}");
                // A damaged page does not affect the next.
                decoder.decode(codec, &bytes[1..], &mut decoded).unwrap_err();
            }
        }
    }
}

#[test]
fn a_page_must_be_filled_exactly() {
    for (codec, short, long) in [
        (Codec::Zlib, "zlib: 4096 bytes, a page has 4097", "zlib: more bytes than a page's 4095"),
        (Codec::Lzo, "lzo: 4096 bytes, a page has 4097", "lzo: more bytes than a page's 4095"),
        (
            Codec::Snappy,
            "snappy: 4096 bytes, a page has 4097",
            "snappy: 4096 bytes, a page has 4095",
        ),
        (Codec::Zstd, "zstd: 4096 bytes, a page has 4097", "zstd: more bytes than a page's 4095"),
        (Codec::Raw, "raw: 4096 bytes, a page has 4097", "raw: 4096 bytes, a page has 4095"),
    ] {
        let (_, stored) = ZEROS.into_iter().find(|zeros| zeros.0 == codec).unwrap();
        assert_eq!(refusal(codec, stored, 4097), short);
        assert_eq!(refusal(codec, stored, 4095), long);
    }
}

#[test]
fn a_page_cut_at_any_length_is_refused() {
    for codec in Codec::ALL {
        let whole = if codec == Codec::Raw { page(2, 4096) } else { stored(codec, &page(2, 4096)) };
        for len in 0..whole.len() {
            let damage = refusal(codec, &whole[..len], 4096);
            let name = if codec == Codec::Raw { "raw: " } else { codec.name() };
            assert!(damage.starts_with(name), "{damage}");
        }
    }
}

#[test]
fn zlib_alone_ignores_bytes_after_the_stream_as_its_own_library_does() {
    for (codec, refused) in [
        (Codec::Zlib, None),
        (Codec::Lzo, Some("lzo: 1 bytes after the end of the stream")),
        (Codec::Snappy, Some("snappy: the stream ends too early")),
        (Codec::Zstd, Some("zstd: Src size is incorrect")),
        (Codec::Raw, Some("raw: 4097 bytes, a page has 4096")),
    ] {
        let (_, stored) = ZEROS.into_iter().find(|zeros| zeros.0 == codec).unwrap();
        let page = decode_page(codec, &[stored, &[0]].concat(), 4096);
        assert_eq!(page.err().as_deref(), refused);
    }
}

#[test]
fn zlib_is_checked_at_both_ends() {
    let refused = "zlib: truncated, invalid, or not the data of its checksum";
    let (_, zeros) = ZEROS[0];
    let last = zeros.len() - 1;
    // CINFO above 7, not CM 8, FCHECK, FDICT, and each byte of the Adler-32.
    for (at, byte) in [(0, 0x88), (0, 0x79), (1, zeros[1] ^ 1), (last, 2), (last - 3, 1)] {
        let mut stored = zeros.to_vec();
        assert_ne!(stored[at], byte);
        stored[at] = byte;
        assert_eq!(refusal(Codec::Zlib, &stored, 4096), refused, "{at}");
    }
    let dictionary = [&[0x78, 0xbb, 0, 0, 0, 1], &zeros[2..]].concat();
    assert_eq!(refusal(Codec::Zlib, &dictionary, 4096), refused);
}

#[test]
fn snappy_trusts_no_size() {
    // 2^32 - 1, as five bytes of seven bits, then nothing or what a page of zeros has.
    let announced = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let refused = "snappy: 4294967295 bytes, a page has 4096";
    assert_eq!(refusal(Codec::Snappy, &announced, 4096), refused);
    let zeros = [&announced, &SNAPPY_ZEROS[2..]].concat();
    assert_eq!(refusal(Codec::Snappy, &zeros, 4096), refused);
    // It claims 4096 bytes and has 1; then a match of 1 byte starts 5 back.
    let short = "snappy: 1 bytes, a page has 4096";
    assert_eq!(refusal(Codec::Snappy, &[0x80, 0x20, 0, 7], 4096), short);
    let reach = "snappy: a match starts 5 bytes back, after 1 bytes";
    assert_eq!(refusal(Codec::Snappy, &[0x80, 0x20, 0, 7, 1, 5], 4096), reach);
}

/// A zstd frame of 4096 zeros that does not say its size and claims a window of 2 KiB to 2 TiB.
fn zstd_frame(window: u8) -> Vec<u8> {
    // The magic number, no flags, the window; a last block (1) that repeats (1 << 1) one byte.
    let block = u32::to_le_bytes(1 | 1 << 1 | 4096 << 3);
    [&[0x28, 0xb5, 0x2f, 0xfd, 0, window], &block[..3], &[0]].concat()
}

#[test]
fn zstd_needs_no_size_and_allocates_no_window() {
    let mut decoder = Decoder::new().unwrap();
    let before = decoder.zstd.sizeof();
    let mut page = [0xee; 4096];
    // The greatest window that zstd accepts on a 64-bit machine is 2^(10 + 21), 2 GiB.
    for window in [1 << 3, 10 << 3, 17 << 3, 21 << 3] {
        decoder.decode(Codec::Zstd, &zstd_frame(window), &mut page).unwrap();
        assert_eq!(page, [0; 4096]);
        page.fill(0xee);
    }
    let beyond = decoder.decode(Codec::Zstd, &zstd_frame(31 << 3), &mut page).unwrap_err();
    assert_eq!(beyond.to_string(), "zstd: Frame requires too much memory for decoding");
    assert_eq!(decoder.zstd.sizeof(), before);
}

#[test]
fn zstd_pages_may_have_several_frames_and_skippable_ones() {
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2];
    let frame = zstd_frame(8);
    let both = [&skippable[..], &frame, &skippable, &frame].concat();
    assert_eq!(decode_page(Codec::Zstd, &both, 8192).unwrap(), [0; 8192]);
    assert_eq!(refusal(Codec::Zstd, &both, 4096), "zstd: more bytes than a page's 4096");
    assert_eq!(refusal(Codec::Zstd, &skippable, 4096), "zstd: 0 bytes, a page has 4096");
}

#[test]
fn a_zstd_checksum_is_checked() {
    let mut zstd = zstd::bulk::Compressor::new(1).unwrap();
    zstd.set_parameter(zstd_safe::CParameter::ChecksumFlag(true)).unwrap();
    let mut stored = zstd.compress(&page(2, 4096)).unwrap();
    assert_eq!(decode_page(Codec::Zstd, &stored, 4096).unwrap(), page(2, 4096));
    *stored.last_mut().unwrap() ^= 1;
    assert!(refusal(Codec::Zstd, &stored, 4096).contains("checksum"));
}

const ZLIB_ZEROS: &[u8] = &[
    0x78, 1, 0xed, 0xd0, 1, 0x0d, 0, 0, 0, 0xc2, 0xa0, 0xf7, 0x4f, 0x6d, 0x0f, 7, 0x11, 0x28, 0x0c,
    0x18, 0x30, 0x60, 0xc0, 0x80, 1, 3, 6, 0x0c, 0x18, 0x30, 0x60, 0xc0, 0x80, 0x81, 0xf7, 0x81, 1,
    0x10, 0, 0, 1,
];

// lzo1x_999_compress.
const LZO_ZEROS: &[u8] = &[
    0x12, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0xe6, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0xe5, 0, 0, 0x11, 0,
    0,
];

const SNAPPY_ZEROS: &[u8] = &[
    0x80, 0x20, 0, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe,
    1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe,
    1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe,
    1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe,
    1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe,
    1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe,
    1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe,
    1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe, 1, 0, 0xfe,
    1, 0, 0xfa, 1, 0,
];

const ZSTD_ZEROS: &[u8] =
    &[0x28, 0xb5, 0x2f, 0xfd, 0x60, 0, 0x0f, 0x4d, 0, 0, 0x10, 0, 0, 1, 0, 0xfb, 0xf7, 1, 0x16];
