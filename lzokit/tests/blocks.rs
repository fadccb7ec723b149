//! The public API: blocks of any bytes, streams of other encoders, damaged streams.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use lzokit::{CompressError, DecompressError, Encoder, decompress_into, max_compressed_len};
use proptest::prelude::*;
use proptest::sample::Index;

fn compress(block: &[u8]) -> Vec<u8> {
    let mut stream = vec![0; max_compressed_len(block.len())];
    let len = Encoder::new().compress_into(block, &mut stream).unwrap();
    stream.truncate(len);
    stream
}

/// Decompresses to at most `size` bytes. The result must not depend on what the output held, and
/// nothing outside of the output may be written.
fn decompress(stream: &[u8], size: usize) -> Result<Vec<u8>, DecompressError> {
    const MARGIN: usize = 64;
    let [with_zeros, with_ones] = [0, 0xff].map(|fill| {
        let mut around = vec![fill; MARGIN + size + MARGIN];
        let result = decompress_into(stream, &mut around[MARGIN..MARGIN + size]);
        let margins = around[..MARGIN].iter().chain(&around[MARGIN + size..]);
        assert!(margins.into_iter().all(|&byte| byte == fill), "written outside of the output");
        result.map(|len| around[MARGIN..MARGIN + len].to_vec())
    });
    assert_eq!(with_zeros, with_ones, "the result depends on what the output held");
    with_zeros
}

#[test]
fn streams_of_liblzo2_decompress() {
    let streams =
        [(TEXT_1, TEXT), (TEXT_999, TEXT), (ZEROS_1, &[0; 4096]), (ZEROS_999, &[0; 4096])];
    for (stream, block) in streams {
        assert_eq!(decompress(stream, block.len()), Ok(block.to_vec()));
        assert_eq!(decompress(stream, block.len() + 100), Ok(block.to_vec()));
        assert_eq!(lzo::decompress(stream, block.len()), Ok(block.to_vec()));
    }
}

#[test]
fn a_stream_cut_at_any_length_is_refused() {
    let own = compress(TEXT);
    for stream in [TEXT_1, TEXT_999, ZEROS_1, ZEROS_999, &own] {
        for len in 0..stream.len() {
            let error = decompress(&stream[..len], 5000).unwrap_err();
            assert!(
                matches!(error, DecompressError::UnexpectedEnd { offset } if offset <= len),
                "{len} bytes: {error}"
            );
        }
    }
}

#[test]
fn an_output_of_any_smaller_size_is_refused() {
    for (stream, size) in [(TEXT_1, TEXT.len()), (TEXT_999, TEXT.len()), (ZEROS_999, 4096)] {
        for capacity in 0..size {
            let error = decompress(stream, capacity).unwrap_err();
            assert!(
                matches!(error, DecompressError::OutputTooSmall { capacity: c, .. } if c == capacity),
                "{capacity} bytes: {error}"
            );
        }
    }
}

#[test]
fn a_stream_of_lzo_rle_is_refused() {
    // 17 and the version, 1, at the start, then 4 literals and the end.
    let stream = [0x11, 1, 21, b'a', b'b', b'c', b'd', 0x11, 0, 0];
    let error = DecompressError::InvalidDistance { offset: 0, distance: 17728, available: 0 };
    assert_eq!(decompress(&stream, 100), Err(error));
}

#[test]
fn errors_say_what_and_where() {
    let message = |stream: &[u8], size| decompress(stream, size).unwrap_err().to_string();
    assert_eq!(message(&[], 9), "instruction at offset 0: the stream ends too early");
    assert_eq!(
        message(&[18, b'a', 0x21, 1, 0], 3),
        "instruction at offset 2: the output has only 3 bytes"
    );
    assert_eq!(
        message(&[18, b'a', 0x44, 0], 9),
        "instruction at offset 2: a match starts 2 bytes back, after 1 bytes of output"
    );
    let trailing = decompress(&[0x11, 0, 0, 7, 8], 9).unwrap_err();
    assert_eq!(trailing.to_string(), "2 bytes after the end of the stream at offset 3");
    assert_eq!(trailing.offset(), 3);
    let error = Encoder::new().compress_into(b"abcd", &mut [0; 7]).unwrap_err();
    assert_eq!(error, CompressError::OutputTooSmall { needed: 8, capacity: 7 });
    assert_eq!(error.to_string(), "the stream has 8 bytes, the output has room for 7");
}

#[test]
fn an_encoder_can_be_sent_to_another_thread() {
    let mut encoder = Encoder::default();
    let thread = std::thread::spawn(move || encoder.compress_into(b"", &mut [0; 3]));
    assert_eq!(thread.join().unwrap(), Ok(3));
}

/// Pieces that repeat themselves and each other, as memory does.
fn block() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => (any::<u8>(), 1..300_usize).prop_map(|(byte, len)| vec![byte; len]),
        2 => (prop::collection::vec(any::<u8>(), 1..40), 1..30_usize)
            .prop_map(|(bytes, times)| bytes.repeat(times)),
        2 => prop::collection::vec(0xffff_8880_0000_0000..0xffff_8880_0000_4000_u64, 1..40)
            .prop_map(|words| words.into_iter().flat_map(u64::to_le_bytes).collect()),
        1 => prop::collection::vec(any::<u8>(), 1..100),
    ];
    let pieces = prop::collection::vec(piece, 1..40);
    let sizes = prop_oneof![4 => 0..5000_usize, 1 => 45_000..55_000_usize, 1 => 0..140_000_usize];
    (pieces, prop::collection::vec(any::<Index>(), 100), sizes).prop_map(|(pieces, order, size)| {
        let pieces = order.iter().cycle().map(|index| &pieces[index.index(pieces.len())]);
        pieces.flatten().copied().take(size).collect()
    })
}

/// Replaces, flips, inserts, removes or cuts off bytes of a stream.
fn damage(stream: &mut Vec<u8>, kind: u8, at: Index, byte: u8) {
    let len = stream.len();
    match kind {
        0 => stream.insert(at.index(len + 1), byte),
        _ if len == 0 => {}
        1 => stream[at.index(len)] = byte,
        2 => stream[at.index(len)] ^= 1 << (byte & 7),
        3 => drop(stream.remove(at.index(len))),
        _ => stream.truncate(at.index(len)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_block_comes_back(block in block()) {
        let stream = compress(&block);
        prop_assert_eq!(decompress(&stream, block.len()), Ok(block.clone()));
        prop_assert_eq!(lzo::decompress(&stream, block.len()), Ok(block.clone()));
        // It fits its own length and nothing shorter.
        let mut exact = vec![0; stream.len()];
        prop_assert_eq!(Encoder::new().compress_into(&block, &mut exact), Ok(stream.len()));
        prop_assert_eq!(&exact, &stream);
        let too_small = Encoder::new().compress_into(&block, &mut exact[1..]);
        prop_assert!(too_small.is_err());
    }

    #[test]
    fn a_used_encoder_writes_what_a_new_one_does(blocks in prop::collection::vec(block(), 1..4)) {
        let mut encoder = Encoder::new();
        for block in &blocks {
            let mut stream = vec![0xee; max_compressed_len(block.len())];
            let len = encoder.compress_into(block, &mut stream).unwrap();
            prop_assert_eq!(&stream[..len], compress(block));
        }
    }

    #[test]
    fn a_damaged_stream_decompresses_as_in_the_lzo_crate_or_not_at_all(
        block in block(),
        faults in prop::collection::vec((0..5_u8, any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut stream = compress(&block);
        for (kind, at, byte) in faults {
            damage(&mut stream, kind, at, byte);
        }
        let size = block.len() + 10;
        // The lzo crate refuses an end marker of another length than 3, liblzo2 and we do not.
        if let Ok(theirs) = lzo::decompress(&stream, size) {
            prop_assert_eq!(decompress(&stream, size), Ok(theirs));
        } else {
            let _any = decompress(&stream, size);
        }
    }

    #[test]
    fn any_bytes_decompress_or_are_refused(
        stream in prop::collection::vec(any::<u8>(), 0..400),
        size in 0..2000_usize,
    ) {
        if let Err(error) = decompress(&stream, size) {
            prop_assert!(error.offset() <= stream.len());
        }
    }
}

const TEXT: &[u8] = b"The quick brown fox jumps over the lazy dog; \
    the lazy dog sleeps, and the quick brown fox jumps again. ";

// What lzo1x_1_compress and lzo1x_999_compress of liblzo2 2.10 write for TEXT and for 4096 zeros.

const TEXT_1: &[u8] = &[
    0, 0x1a, 0x54, 0x68, 0x65, 0x20, 0x71, 0x75, 0x69, 0x63, 0x6b, 0x20, 0x62, 0x72, 0x6f, 0x77,
    0x6e, 0x20, 0x66, 0x6f, 0x78, 0x20, 0x6a, 0x75, 0x6d, 0x70, 0x73, 0x20, 0x6f, 0x76, 0x65, 0x72,
    0x20, 0x74, 0x68, 0x65, 0x20, 0x6c, 0x61, 0x7a, 0x79, 0x20, 0x64, 0x6f, 0x67, 0x3b, 0x2b, 0x34,
    0, 9, 0x20, 0x73, 0x6c, 0x65, 0x65, 0x70, 0x73, 0x2c, 0x20, 0x61, 0x6e, 0x64, 0x81, 3, 0x71,
    0x2a, 0x14, 1, 0x0d, 0x6f, 0x78, 0x20, 0x6a, 0x75, 0x6d, 0x70, 0x73, 0x20, 0x61, 0x67, 0x61,
    0x69, 0x6e, 0x2e, 0x20, 0x11, 0, 0,
];

const TEXT_999: &[u8] = &[
    0x31, 0x54, 0x68, 0x65, 0x20, 0x71, 0x75, 0x69, 0x63, 0x6b, 0x20, 0x62, 0x72, 0x6f, 0x77, 0x6e,
    0x20, 0x66, 0x6f, 0x78, 0x20, 0x6a, 0x75, 0x6d, 0x70, 0x73, 0x20, 0x6f, 0x76, 0x65, 0x72, 0x20,
    0x74, 0x58, 3, 6, 0x6c, 0x61, 0x7a, 0x79, 0x20, 0x64, 0x6f, 0x67, 0x3b, 0x2b, 0x34, 0, 9, 0x20,
    0x73, 0x6c, 0x65, 0x65, 0x70, 0x73, 0x2c, 0x20, 0x61, 0x6e, 0x64, 0x80, 3, 0x34, 0x14, 1, 4,
    0x61, 0x67, 0x61, 0x69, 0x6e, 0x2e, 0x20, 0x11, 0, 0,
];

const ZEROS_1: &[u8] = &[
    2, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xda, 0x10, 0, 0x0c, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0, 0,
];

const ZEROS_999: &[u8] = &[
    0x12, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0xe6, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0xe5, 0, 0, 0x11, 0,
    0,
];
