//! Containers of any bytes: what can be read at random and what can only be read forward are the same
//! dump, or refused both.

use std::io::Cursor;

use kdumpconv::ReadAt;

use super::Input;

/// Bytes of the dump that are compared.
const COMPARED: usize = 64 << 10;

pub fn check(bytes: &[u8]) {
    compare(bytes);
    compare(&with_checksums(bytes));
}

fn compare(bytes: &[u8]) {
    let folder = std::env::temp_dir();
    let counted = Input::new(bytes);
    let random = kdumpconv::Input::unpacked(counted.clone(), &folder);
    let most = 4 * bytes.len() as u64 + (1 << 18);
    assert!(counted.read() <= most, "{} bytes read of {}", counted.read(), bytes.len());
    let stream = kdumpconv::Input::from_reader(Box::new(Cursor::new(bytes.to_vec())), &folder);
    match (random, stream) {
        (Ok(random), Ok(stream)) => {
            let (random, stream) = (first(&*random), first(&*stream));
            assert!(random == stream, "{} and {} bytes", random.len(), stream.len());
        }
        (Err(random), Err(stream)) => {
            assert!(!random.to_string().is_empty() && !stream.to_string().is_empty());
        }
        // Read forward, the second of two dumps comes after the first.
        (Err(random), Ok(_)) => {
            assert!(random.to_string().contains("more than one"), "only forward: {random}");
        }
        (Ok(_), Err(stream)) => {
            let said = std::error::Error::source(&stream).map(ToString::to_string);
            assert!(said.is_some_and(|why| why.contains("holes")), "only at random: {stream}");
        }
    }
}

/// The first bytes, up to the end or an error.
fn first(input: &dyn ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; COMPARED];
    let mut done = 0;
    while done < bytes.len() {
        match input.read_at(&mut bytes[done..], done as u64) {
            Ok(0) | Err(_) => break,
            Ok(n) => done += n,
        }
    }
    bytes.truncate(done);
    bytes
}

/// The same bytes, in which each header of a tar archive has the right checksum.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(512).filter(|block| block[257..].starts_with(b"ustar")) {
        super::seeds::set_checksum(block);
    }
    bytes
}
