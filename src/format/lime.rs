//! LiME: ranges of memory, each with a header in front of its bytes.
//!
//! ```text
//! header | bytes of a range | header | bytes of the next range | ..
//! ```
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
//! | `magic` | 0x4c694d45, the bytes `EMiL` |
//! | `version` | 1 |
//! | `s_addr` | the physical address of the range's first byte |
//! | `e_addr` | the physical address of its last byte |
//! | `reserved` | 0 |
//!
//! Sources: LiME's `doc/README.md` (`lime_mem_range_header`) and its `src/disk.c`; AVML's
//! `src/image.rs`, whose images without compression are the same.

use crate::format::wire::ByteOrder;
use crate::pages::{PhysAddr, PhysRange, Span};

/// The bytes of a header.
pub const HEADER_BYTES: usize = 32;

/// `magic`, as it is in a file.
pub const MAGIC: [u8; 4] = *b"EMiL";

/// The only `version`.
pub const VERSION: u32 = 1;

/// What the header of a range says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeHeader {
    /// The addresses whose bytes follow.
    pub addresses: PhysRange,
}

impl RangeHeader {
    /// Decodes a header. The error says what is wrong with it.
    ///
    /// # Errors
    /// Another magic number or version; a range that ends before it starts, or after 2^64.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, String> {
        let (magic, rest) = bytes.split_at(4);
        if magic != MAGIC {
            return Err(format!(
                "magic is {:#x}, not 0x4c694d45",
                ByteOrder::Little.read_uint(magic)
            ));
        }
        let (version, rest) = rest.split_at(4);
        let version = ByteOrder::Little.read_uint(version);
        if version != u64::from(VERSION) {
            return Err(format!("version is {version}, not {VERSION}"));
        }
        let (s_addr, rest) = rest.split_at(8);
        let (e_addr, _) = rest.split_at(8);
        let (s_addr, e_addr) =
            (ByteOrder::Little.read_uint(s_addr), ByteOrder::Little.read_uint(e_addr));
        let end = e_addr.checked_add(1).filter(|end| *end > s_addr);
        let end = end.ok_or_else(|| format!("a range from {s_addr:#x} to {e_addr:#x}"))?;
        Ok(RangeHeader { addresses: Span::new(PhysAddr::new(s_addr), PhysAddr::new(end)) })
    }
}
