//! The records of a kdump-compressed file: main header, sub header, page descriptor.
//!
//! Source: makedumpfile's IMPLEMENTATION and diskdump_mod.h, `crash`'s diskdump.h; the offsets
//! were checked by compiling those structs for each ABI.

mod geometry;
mod main_header;
mod page_desc;
mod sub_header;
mod utsname;

pub use geometry::Geometry;
pub use main_header::{DiskDumpHeader, EncodedHeader};
pub use page_desc::PageDesc;
pub use sub_header::KdumpSubHeader;
pub use utsname::{NewUtsname, UTS_FIELD_BYTES};

/// `header_version` of the files we write: the first with 64-bit pfns.
pub const HEADER_VERSION: u32 = 6;

/// The largest `sub_hdr_size`: it is an `int`.
const MAX_SUB_HEADER_BLOCKS: u32 = 0x7fff_ffff;

/// Bytes of a page descriptor, in every layout.
pub const PAGE_DESC_BYTES: usize = 24;

/// `status` and page flags: the data is an RFC 1950 zlib stream.
pub const DUMP_DH_COMPRESSED_ZLIB: u32 = 0x1;
/// `status` and page flags: the data is an LZO1X stream.
pub const DUMP_DH_COMPRESSED_LZO: u32 = 0x2;
/// `status` and page flags: the data is a raw snappy block.
pub const DUMP_DH_COMPRESSED_SNAPPY: u32 = 0x4;
/// `status`: struct pages of pages left out were left out as well (makedumpfile -e).
pub const DUMP_DH_EXCLUDED_VMEMMAP: u32 = 0x10;
/// `status`: the dump lacks pages that it should have.
pub const DUMP_DH_COMPRESSED_INCOMPLETE: u32 = 0x8;
/// `status` and page flags: the data is one zstd frame.
pub const DUMP_DH_COMPRESSED_ZSTD: u32 = 0x20;

/// The first bytes of every file.
pub const KDUMP_SIGNATURE: &[u8; 8] = b"KDUMP   ";

#[cfg(test)]
mod tests;
