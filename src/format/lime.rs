//! LiME and AVML: ranges of memory, each with a header in front of its bytes.
//!
//! ```text
//! header | bytes of a range | header | bytes of the next range | ..
//! ```
//!
//! AVML compresses the bytes, see [`avml`](crate::format::avml).
//!
//! The header has 32 bytes, little-endian on every machine:
//!
//! ```text
//!           0     1     2     3     4     5     6     7
//!        +-----+-----+-----+-----+-----+-----+-----+-----+
//!      0 |         magic         |        version        |
//!        +-----------------------+-----------------------+
//!      8 |                    s_addr                     |
//!        +-----------------------------------------------+
//!     16 |                    e_addr                     |
//!        +-----------------------------------------------+
//!     24 |                  reserved *                   |
//!        +-----------------------------------------------+
//! ```
//!
//! | field | meaning |
//! |---|---|
//! | `magic` | 0x4c694d45, the bytes `EMiL`; 0x4c4d5641, the bytes `AVML`, if the range is compressed |
//! | `version` | 1; 2 if the range is compressed |
//! | `s_addr` | the physical address of the range's first byte |
//! | `e_addr` | the physical address of its last byte |
//! | `reserved` | 0 |
//!
//! Sources: LiME's `doc/README.md` (`lime_mem_range_header`) and its `src/disk.c`; AVML's
//! `src/image.rs`. AVML writes LiME headers unless it compresses.

use crate::format::wire::ByteOrder;
use crate::pages::{PhysAddr, PhysRange, Span};

/// The bytes of a header.
pub const HEADER_BYTES: usize = 32;

/// `magic` of a range as it is, in the bytes of a file.
pub const MAGIC: [u8; 4] = *b"EMiL";

/// `version` of a range as it is.
pub const VERSION: u32 = 1;

/// `magic` of a compressed range, in the bytes of a file.
pub const AVML_MAGIC: [u8; 4] = *b"AVML";

/// `version` of a compressed range.
pub const AVML_VERSION: u32 = 2;

/// What the header of a range says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeHeader {
    /// The addresses whose bytes follow.
    pub addresses: PhysRange,
    /// Whether they are compressed.
    pub is_compressed: bool,
}

impl RangeHeader {
    /// Decodes a header. The error says what is wrong with it.
    ///
    /// # Errors
    /// Another magic number or version; a range that ends before it starts, or after 2^64.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, String> {
        let number = |bytes: &[u8]| ByteOrder::Little.read_uint(bytes);
        let (magic, rest) = bytes.split_at(4);
        let (version, rest) = rest.split_at(4);
        let (s_addr, rest) = rest.split_at(8);
        let (e_addr, _) = rest.split_at(8);
        let is_compressed = magic == AVML_MAGIC;
        if magic != MAGIC && !is_compressed {
            return Err(format!(
                "magic is {:#x}, neither 0x4c694d45 nor 0x4c4d5641",
                number(magic)
            ));
        }
        let known = if is_compressed { AVML_VERSION } else { VERSION };
        if number(version) != u64::from(known) {
            return Err(format!("version is {}, not {known}", number(version)));
        }
        let (s_addr, e_addr) = (number(s_addr), number(e_addr));
        let end = e_addr.checked_add(1).filter(|end| *end > s_addr);
        let end = end.ok_or_else(|| format!("a range from {s_addr:#x} to {e_addr:#x}"))?;
        let addresses = Span::new(PhysAddr::new(s_addr), PhysAddr::new(end));
        Ok(RangeHeader { addresses, is_compressed })
    }

    /// The bytes of the header.
    ///
    /// # Panics
    /// If the range is empty.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let (magic, version) =
            if self.is_compressed { (AVML_MAGIC, AVML_VERSION) } else { (MAGIC, VERSION) };
        let mut header = [0; HEADER_BYTES];
        let (first, rest) = header.split_at_mut(4);
        let (second, rest) = rest.split_at_mut(4);
        let (s_addr, rest) = rest.split_at_mut(8);
        let (e_addr, _) = rest.split_at_mut(8);
        first.copy_from_slice(&magic);
        ByteOrder::Little.write_uint(second, version.into());
        ByteOrder::Little.write_uint(s_addr, self.addresses.start.get());
        ByteOrder::Little.write_uint(e_addr, self.addresses.end.get() - 1);
        header
    }
}
