//! Stored pages of any bytes: a page decodes exactly if another decoder accepts it, and to the same
//! bytes.
//!
//! The input: codec, page size, the stored bytes.

use kdumpconv::Codec;
use kdumpconv::codec::{Decoder, Encoder};
use support::image::Image;
use support::kdump_pages::{Stored, decode};

use super::Take;

/// Page sizes, also small ones, so that mutations reach every byte.
const PAGE_BYTES: [usize; 4] = [4096, 64, 256, 8192];

pub fn check(bytes: &[u8]) {
    let mut take = Take(bytes);
    let codec = Codec::ALL[usize::from(take.byte()) % Codec::ALL.len()];
    let page_bytes = PAGE_BYTES[usize::from(take.byte()) % PAGE_BYTES.len()];
    let stored = take.0;
    let mut fresh = Decoder::new().unwrap();
    let mut page = vec![0xa5; page_bytes];
    let decoded = fresh.decode(codec, stored, &mut page);

    // The result does not depend on earlier pages or on the buffer's old contents.
    let mut used = Decoder::new().unwrap();
    let mut other = vec![0x5a; page_bytes];
    for half in [&stored[..stored.len() / 2], &stored[stored.len() / 2..]] {
        for codec in Codec::ALL {
            let _any = used.decode(codec, half, &mut other);
        }
    }
    assert_eq!(used.decode(codec, stored, &mut other), decoded);
    assert!(decoded.is_err() || other == page, "{codec:?}: it depends on what came before");

    // The other decoders get one stream and nothing after it.
    let image = Image::Bytes(stored.to_vec());
    let whole = Stored { offset: 0, size: stored.len() as u32, flags: codec.flag() };
    match (decode(&image, whole, page_bytes as u64), &decoded) {
        (Ok(right), Ok(())) => assert!(right == page, "{codec:?}: another page"),
        (Ok(_), Err(damage)) => panic!("{codec:?} is whole, but: {damage}"),
        (Err(_), Err(damage)) => assert!(damage.to_string().is_ascii()),
        // See Decoder::decode.
        (Err(why), Ok(())) => match codec {
            Codec::Zlib | Codec::Zstd => {}
            Codec::Lzo => assert!(
                with_usual_marker(stored, page_bytes).as_ref() == Some(&page),
                "{codec:?} is damaged: {why}"
            ),
            _ => panic!("{codec:?} is damaged: {why}"),
        },
    }
    there_and_back(codec, stored, page_bytes);
}

/// The page of an LZO stream whose end marker gives another length than the usual one. The other
/// decoder refuses that, as the kernel does; liblzo2 ignores the length.
fn with_usual_marker(stored: &[u8], page_bytes: usize) -> Option<Vec<u8>> {
    let mut stream = stored.to_vec();
    let marker = stream.len().checked_sub(3)?;
    stream[marker] = 0x11;
    let whole = Stored { offset: 0, size: stream.len() as u32, flags: Codec::Lzo.flag() };
    decode(&Image::Bytes(stream), whole, page_bytes as u64).ok()
}

/// Any page can be stored in no more bytes than it has, and decodes to itself.
fn there_and_back(codec: Codec, bytes: &[u8], page_bytes: usize) {
    let mut page: Vec<u8> = bytes.to_vec();
    page.resize(page_bytes, 0);
    let mut encoder = Encoder::new(codec, None, page_bytes).unwrap();
    let mut room = vec![0; page_bytes + encoder.room()];
    let stored = encoder.encode(&page, &mut room);
    assert!(stored.size as usize <= page_bytes);
    let by = Codec::from_flags(stored.flags).expect("it is stored by one codec");
    assert!(by == codec || by == Codec::Raw);
    let mut back = vec![0; page_bytes];
    let data = &room[..stored.size as usize];
    Decoder::new().unwrap().decode(by, data, &mut back).expect("it comes back");
    assert!(back == page, "{codec:?}: another page comes back");
}
