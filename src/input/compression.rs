//! How a whole file is compressed, and what decompresses it as a stream.

use std::io::{self, BufReader, Read, Result};

use crate::input::lz4::{self, Lz4Frames};

/// Bytes of a compressed file that are read at a time.
const COMPRESSED_BUFFER: usize = 256 << 10;

/// zstd windows up to 2 GiB are accepted (`zstd --long=31`): their memory is the file's choice.
const ZSTD_WINDOW_LOG_MAX: u32 = 31;

/// Memory that an .xz may need, in KiB: `xz -9` takes 64 MiB, and a file may ask for 4 GiB.
const XZ_KIB: u32 = 1 << 20;

/// How a whole file is compressed that is decompressed while it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// gzip (.gz).
    Gzip,
    /// zstd (.zst).
    Zstd,
    /// xz (.xz).
    Xz,
    /// bzip2 (.bz2).
    Bzip2,
    /// LZ4 (.lz4): frames, also those of the old format.
    Lz4,
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
        } else if magic.starts_with(b"\xfd7zXZ\0") {
            Some(Compression::Xz)
        } else if is_bzip2(magic) {
            Some(Compression::Bzip2)
        } else if lz4::is_lz4(magic) {
            Some(Compression::Lz4)
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
            // Neither needs to say it.
            Compression::Xz | Compression::Bzip2 | Compression::Lz4 => None,
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
            Compression::Xz => {
                Box::new(XzFile(lzma_rust2::XzReader::new_mem_limit(reader, true, XZ_KIB)))
            }
            Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(reader)),
            Compression::Lz4 => Box::new(Lz4Frames::new(reader)),
        })
    }
}

/// A file of bzip2 begins with the size of its blocks in 100 kB, then with a block or its end: the
/// digits of pi or of its square root.
fn is_bzip2(magic: &[u8]) -> bool {
    let follows = |signature: &[u8]| magic.get(4..).is_some_and(|rest| rest.starts_with(signature));
    magic.starts_with(b"BZh")
        && matches!(magic.get(3), Some(b'1'..=b'9'))
        && (follows(b"\x31\x41\x59\x26\x53\x59") || follows(b"\x17\x72\x45\x38\x50\x90"))
}

/// An .xz, whose decoder says that it would need too much memory in words of its options.
struct XzFile<R: Read>(lzma_rust2::XzReader<R>);

impl<R: Read> Read for XzFile<R> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        self.0.read(buf).map_err(|error| match error.kind() {
            io::ErrorKind::OutOfMemory => {
                let why = format!("it needs more than {} MiB of memory to unpack", XZ_KIB >> 10);
                io::Error::new(io::ErrorKind::OutOfMemory, why)
            }
            _ => error,
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
        assert_eq!((of(b"\xfd7zXZ\0"), of(b"\xfd7zXZ")), (Some(Compression::Xz), None));
        assert_eq!((of(b"BZh91AY&SY"), of(b"BZh9 text")), (Some(Compression::Bzip2), None));
        assert_eq!(of(b"BZh1\x17rE8P\x90"), Some(Compression::Bzip2), "an empty file");
        assert_eq!(of(b"\x04\x22\x4d\x18"), Some(Compression::Lz4));
        assert_eq!(of(b"\x02\x21\x4c\x18"), Some(Compression::Lz4));
    }
}
