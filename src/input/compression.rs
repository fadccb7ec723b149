//! How a whole file is compressed, and what decompresses it as a stream.

use std::io::{BufReader, Read, Result};

/// Bytes of a compressed file that are read at a time.
const COMPRESSED_BUFFER: usize = 256 << 10;

/// zstd windows up to 2 GiB are accepted (`zstd --long=31`): their memory is the file's choice.
const ZSTD_WINDOW_LOG_MAX: u32 = 31;

/// How a whole file is compressed that is decompressed while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// gzip (.gz).
    Gzip,
    /// zstd (.zst).
    Zstd,
}

impl Compression {
    /// That of a file that begins with `magic`.
    pub(super) fn of(magic: &[u8]) -> Option<Compression> {
        // RFC 8878: a frame, or the skippable frame that pzstd starts with.
        let is_skippable = matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
        if is_skippable || magic.starts_with(b"\x28\xb5\x2f\xfd") {
            Some(Compression::Zstd)
        } else if magic.starts_with(b"\x1f\x8b") {
            // RFC 1952.
            Some(Compression::Gzip)
        } else {
            None
        }
    }

    /// The size of all that a file decompresses to, if its first bytes say it.
    pub(super) fn stated_size(self, magic: &[u8]) -> Option<u64> {
        match self {
            Compression::Zstd => {
                let size = zstd::zstd_safe::get_frame_content_size(magic).ok().flatten();
                // That of a skippable frame is 0.
                size.filter(|&size| size > 0)
            }
            // The size at the end of a .gz is that of its last member, modulo 4 GiB.
            Compression::Gzip => None,
        }
    }

    /// Decompresses `reader`: all its members or frames, one after the other.
    ///
    /// # Errors
    /// That the decoder cannot start.
    pub(super) fn decoder(self, reader: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
        let reader = BufReader::with_capacity(COMPRESSED_BUFFER, reader);
        Ok(match self {
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_identify_the_compression() {
        let of = Compression::of;
        assert_eq!((of(b"\x7fELF"), of(b"")), (None, None));
        assert_eq!(of(b"\x1f\x8b\x08"), Some(Compression::Gzip));
        assert_eq!(of(b"\x28\xb5\x2f\xfd"), Some(Compression::Zstd));
        assert_eq!(of(b"\x50\x2a\x4d\x18"), Some(Compression::Zstd), "a skippable frame");
    }
}
