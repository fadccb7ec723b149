//! Whatever the stored bytes are, a page is decoded whole or not at all.

use kdumpconv::Codec;
use kdumpconv::codec::{Damage, Decoder, Encoder};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Decodes a page of `size` bytes. The buffer must not keep any byte of its old contents.
fn decode(codec: Codec, stored: &[u8], size: usize) -> Result<Vec<u8>, Damage> {
    let mut decoder = Decoder::new().unwrap();
    // Margins reveal any byte that is written outside the page.
    let mut around = [vec![0x00; size + 128], vec![0xff; size + 128]];
    let results = around.each_mut().map(|page| {
        let page = page.get_mut(64..64 + size).unwrap();
        decoder.decode(codec, stored, page)
    });
    let [zeros, ones] = around;
    for (page, fill) in [(&zeros, 0), (&ones, 0xff)] {
        assert!(page[..64].iter().chain(&page[64 + size..]).all(|&byte| byte == fill));
    }
    let [page, other] = [zeros, ones].map(|page| page[64..64 + size].to_vec());
    assert_eq!(results[0], results[1], "the result hangs on what was in the page");
    results[0].map(|()| {
        assert_eq!(page, other, "not every byte of the page was written");
        page
    })
}

fn codec() -> impl Strategy<Value = Codec> {
    select(&Codec::ALL[..])
}

/// Pieces that repeat themselves and each other, as the contents of memory do.
fn page(size: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => (any::<u8>(), 1..300_usize).prop_map(|(byte, len)| vec![byte; len]),
        2 => (prop::collection::vec(any::<u8>(), 1..40), 1..30_usize)
            .prop_map(|(bytes, times)| bytes.repeat(times)),
        2 => prop::collection::vec(0xffff_8880_0000_0000..0xffff_8880_0000_4000_u64, 1..40)
            .prop_map(|words| words.into_iter().flat_map(u64::to_le_bytes).collect()),
        1 => prop::collection::vec(any::<u8>(), 1..100),
    ];
    let pieces = prop::collection::vec(piece, 1..40);
    (pieces, prop::collection::vec(any::<Index>(), 100)).prop_map(move |(pieces, order)| {
        let pieces = order.iter().cycle().map(|index| &pieces[index.index(pieces.len())]);
        pieces.flatten().copied().take(size).collect()
    })
}

/// A page of any size and its stored form in a codec.
fn encoded() -> impl Strategy<Value = (Codec, Vec<u8>, Vec<u8>)> {
    let pages = select(&[512_usize, 4096, 8192, 65536][..]).prop_flat_map(page);
    (codec(), pages).prop_map(|(codec, page)| {
        let mut encoder = Encoder::new(codec, None, page.len()).unwrap();
        let mut out = vec![0; encoder.room()];
        let stored = encoder.encode(&page, &mut out);
        out.truncate(stored.size.try_into().unwrap());
        (Codec::from_flags(stored.flags).unwrap(), page, out)
    })
}

#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
    Swap(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (index(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (index(), any::<u8>()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        index().prop_map(Mutation::Remove),
        index().prop_map(Mutation::Cut),
        (index(), index()).prop_map(|(a, b)| Mutation::Swap(a, b)),
    ]
}

fn mutate(stored: &mut Vec<u8>, mutation: &Mutation) {
    let len = stored.len();
    match *mutation {
        Mutation::Insert(at, byte) => stored.insert(at.index(len + 1), byte),
        _ if len == 0 => {}
        Mutation::Set(at, byte) => stored[at.index(len)] = byte,
        Mutation::Flip(at, bit) => stored[at.index(len)] ^= 1 << bit,
        Mutation::Remove(at) => drop(stored.remove(at.index(len))),
        Mutation::Cut(at) => stored.truncate(at.index(len)),
        Mutation::Swap(a, b) => stored.swap(a.index(len), b.index(len)),
    }
}

/// The result of an independent decoder, if it accepts `stored`: zlib-rs, the lzo crate, or zstd's
/// streaming decoder.
fn judged(codec: Codec, stored: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut page = vec![0; size];
    let len = match codec {
        Codec::Zlib => {
            let mut zlib = flate2::Decompress::new(true);
            let end = zlib.decompress(stored, &mut page, flate2::FlushDecompress::Finish);
            matches!(end, Ok(flate2::Status::StreamEnd))
                .then(|| zlib.total_out().try_into().unwrap())?
        }
        Codec::Lzo => lzo::decompress_into(stored, &mut page).ok()?,
        // This decoder would allocate the size that the block announces.
        Codec::Snappy if snap::raw::decompress_len(stored) != Ok(size) => return None,
        Codec::Snappy => return snap::raw::Decoder::new().decompress_vec(stored).ok(),
        Codec::Zstd => {
            use std::io::Read;
            let decoder = zstd::stream::read::Decoder::new(stored).ok()?;
            page.clear();
            decoder.take(1 << 20).read_to_end(&mut page).ok()?;
            page.len()
        }
        Codec::Raw => return Some(stored.to_vec()),
    };
    page.truncate(len);
    Some(page)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_page_comes_back((codec, page, stored) in encoded()) {
        prop_assert_eq!(decode(codec, &stored, page.len()), Ok(page.clone()));
        // A result of any other size is damage.
        for size in [0, page.len() - 1, page.len() + 1] {
            prop_assert!(decode(codec, &stored, size).is_err());
        }
    }

    #[test]
    fn damaged_pages_come_out_whole_or_not_at_all(
        (codec, page, mut stored) in encoded(),
        mutations in prop::collection::vec(mutation(), 1..4),
    ) {
        for mutation in &mutations {
            mutate(&mut stored, mutation);
        }
        let result = decode(codec, &stored, page.len());
        let judged = judged(codec, &stored, page.len()).filter(|judged| judged.len() == page.len());
        // These decoders check more than the libraries used by crash and libkdumpfile: the length
        // of lzo's last instruction, and the window size that a zstd frame declares.
        if let Some(judged) = judged {
            prop_assert_eq!(result, Ok(judged));
        }
    }

    #[test]
    fn any_bytes_come_out_whole_or_not_at_all(
        codec in codec(),
        stored in prop::collection::vec(any::<u8>(), 0..200),
        size in 0..600_usize,
    ) {
        let _ = decode(codec, &stored, size);
    }

    #[test]
    fn any_bytes_after_a_header_come_out_whole_or_not_at_all(
        (codec, page, mut stored) in encoded(),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        kept in 0..20_usize,
    ) {
        stored.truncate(kept);
        stored.extend(bytes);
        let _ = decode(codec, &stored, page.len());
    }
}
