//! The page descriptor of a kdump-compressed file.

use std::io;

use byteorder::{BE, LE, ReadBytesExt, WriteBytesExt};

use crate::format::kdump::PAGE_DESC_BYTES;
use crate::format::wire::ByteOrder;

/// `struct page_desc`: where a page's data is, and how it is stored. 24 bytes in every layout:
///
/// ```text
///           0     1     2     3     4     5     6     7
///        +-----+-----+-----+-----+-----+-----+-----+-----+
///      0 |                     offset                    |
///        +-----------------------+-----------------------+
///      8 |          size         |         flags         |
///        +-----------------------+-----------------------+
///     16 |                  page_flags *                 |
///        +-----------------------------------------------+
/// ```
///
/// The table follows the bitmaps. It has one entry for each page of the 2nd bitmap, in ascending order
/// (in a split set: for each of those within the file's pfns).
///
/// | `flags` | the data is |
/// |---|---|
/// | 0 | the page itself; `size` is the page size |
/// | 0x1 | an RFC 1950 zlib stream |
/// | 0x2 | an LZO1X stream |
/// | 0x4 | a raw snappy block, without framing |
/// | 0x20 | one zstd frame |
///
/// Decoded data must be exactly one page. A `size` above the page size is an error for every reader.
/// crash takes a page with an unknown flag for a raw one, without a warning. Writers put 0 into
/// `page_flags`, and nobody reads it.
///
/// Several entries may point to the same data. makedumpfile (at dump level bit 1), QEMU and this crate
/// store one page of zeros for all, and every reader copes. In an incomplete file, an entry of all zeros
/// stands for a page that was never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageDesc {
    /// File offset of the data.
    pub offset: u64,
    /// Bytes of the data: a whole page when raw, fewer when compressed.
    pub size: u32,
    /// The bit of the codec, or 0 for a raw page.
    pub flags: u32,
}

impl PageDesc {
    /// An entry that no reader takes for a page: it stands for an unreadable page in a flattened stream,
    /// where crash would find the bytes of the last page for an entry of all zeros.
    pub(crate) const UNREADABLE: PageDesc = PageDesc { offset: 0, size: 0, flags: 1 };

    /// Appends the struct to a table: `offset`, `size`, `flags`, and `page_flags`, which is 0.
    /// It has no padding in any layout.
    #[expect(clippy::expect_used, reason = "a Vec takes all bytes")]
    pub fn append_to(self, table: &mut Vec<u8>, order: ByteOrder) {
        let written = match order {
            ByteOrder::Little => self.write_to::<LE>(table),
            ByteOrder::Big => self.write_to::<BE>(table),
        };
        written.expect("a Vec takes all bytes");
    }

    fn write_to<E: byteorder::ByteOrder>(self, table: &mut Vec<u8>) -> io::Result<()> {
        table.write_u64::<E>(self.offset)?;
        table.write_u32::<E>(self.size)?;
        table.write_u32::<E>(self.flags)?;
        table.write_u64::<E>(0)
    }

    /// Reads the struct.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the array has the bytes of every field")]
    pub fn decode(bytes: &[u8; PAGE_DESC_BYTES], order: ByteOrder) -> Self {
        let read = match order {
            ByteOrder::Little => Self::read_from::<LE>(bytes),
            ByteOrder::Big => Self::read_from::<BE>(bytes),
        };
        read.expect("a descriptor has 24 bytes")
    }

    fn read_from<E: byteorder::ByteOrder>(mut bytes: &[u8]) -> io::Result<Self> {
        Ok(PageDesc {
            offset: bytes.read_u64::<E>()?,
            size: bytes.read_u32::<E>()?,
            flags: bytes.read_u32::<E>()?,
        })
    }
}
