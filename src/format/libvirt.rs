//! libvirt's header of a saved guest (`virsh save`, `managedsave`): in front of QEMU's migration
//! stream, which may be compressed.
//!
//! ```text
//! header | description of the guest: XML, a NUL, perhaps a cookie | stream
//! ```
//!
//! The header has 92 bytes in the byte order of the host, which the version gives away:
//!
//! ```text
//!           0     1     2     3     4     5     6     7
//!        +-----+-----+-----+-----+-----+-----+-----+-----+
//!      0 |                     magic                     |
//!        +                                               +
//!      8 |                                               |
//!        +-----------------------+-----------------------+
//!     16 |        version        |       data_len        |
//!        +-----------------------+-----------------------+
//!     24 |     was_running *     |        format         |
//!        +-----------------------+-----------------------+
//!     32 |    cookieOffset *     |       unused *        |
//!        +-----------------------+-----------------------+
//! ```
//!
//! | field | meaning |
//! |---|---|
//! | `magic` | `LibvirtQemudSave`, or `LibvirtQemudPart` until all is written |
//! | `version` | 2; 1 had no `was_running` |
//! | `data_len` | bytes of the description |
//! | `format` | 0 raw, 1 gzip, 2 bzip2, 3 xz, 4 lzop, 5 zstd, 6 sparse: raw with `mapped-ram`, whose offsets are those of the file |
//!
//! Sources: libvirt's `src/qemu/qemu_saveimage.h`, `qemu_saveimage_format.h`, `qemu_saveimage.c`.

use crate::format::wire::ByteOrder;

/// The bytes of the header.
pub const HEADER_BYTES: usize = 92;

/// The first bytes of a file that is complete.
pub const MAGIC: &[u8; 16] = b"LibvirtQemudSave";

/// The first bytes of a file that was being written.
pub const MAGIC_PARTIAL: &[u8; 16] = b"LibvirtQemudPart";

/// What is wrong with a file that begins with [`MAGIC_PARTIAL`].
pub const UNFINISHED: &str = "libvirt did not finish to write the file (LibvirtQemudPart)";

/// How the stream is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveFormat {
    /// As it is.
    Raw,
    /// Compressed by a program that its first bytes tell.
    Compressed,
    /// Compressed with lzop.
    Lzop,
}

/// The header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaveHeader {
    /// Whether all of it was written.
    pub is_complete: bool,
    /// Where the stream begins.
    pub stream_offset: u64,
    /// How it is stored.
    pub format: SaveFormat,
}

impl SaveHeader {
    /// Decodes the header at the start of a file; `None` if it has none. The error says what is wrong
    /// with it.
    ///
    /// # Errors
    /// Another version or format than those that are known; fewer bytes.
    pub fn decode(first: &[u8]) -> Option<Result<Self, String>> {
        let is_complete = first.starts_with(MAGIC);
        if !is_complete && !first.starts_with(MAGIC_PARTIAL) {
            return None;
        }
        let header = first.get(MAGIC.len()..HEADER_BYTES);
        Some(header.ok_or_else(|| "it is cut off".to_owned()).and_then(|fields| {
            let order = match fields {
                [1 | 2, 0, 0, 0, ..] => ByteOrder::Little,
                [0, 0, 0, 1 | 2, ..] => ByteOrder::Big,
                _ => return Err("version is neither 1 nor 2".to_owned()),
            };
            let mut words = fields.chunks_exact(4).map(|word| order.read_uint(word)).skip(1);
            let mut word = || words.next().unwrap_or_default();
            let (data_len, _was_running, format) = (word(), word(), word());
            let format = match format {
                0 | 6 => SaveFormat::Raw,
                1 | 2 | 3 | 5 => SaveFormat::Compressed,
                4 => SaveFormat::Lzop,
                _ => return Err(format!("format is {format}, none that is known")),
            };
            let stream_offset = HEADER_BYTES as u64 + data_len;
            Ok(SaveHeader { is_complete, stream_offset, format })
        }))
    }
}
