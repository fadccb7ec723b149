//! Every byte of every format, read and written: ELF cores, kdump-compressed and flattened files.
//! No I/O.
//!
//! A kdump-compressed file, block by block (a block is a page of the crashed kernel):
//!
//! ```text
//! block 0               disk_dump_header          464 bytes (64-bit) or 452 (32-bit)
//! block 1               kdump_sub_header          104, 80 or 96 bytes, see `wire::StructLayout`
//!   right behind it     the ELF notes, verbatim   VMCOREINFO is one of them
//! block 1+sub_hdr_size  1st bitmap                a bit a pfn: RAM is there
//!   + bitmap_blocks/2   2nd bitmap                a bit a pfn: the file has the page
//!   + bitmap_blocks/2   page_desc[]               24 bytes a set bit of the 2nd bitmap
//!   right behind them   page data                 unaligned; descriptors may share data
//! ```
//!
//! Integers have the crashed kernel's byte order; `unsigned long` has its word size, and the
//! padding follows its C ABI. The flattened stream is big-endian throughout, its payload is not.

pub mod dump_level;
pub mod elf;
mod error;
pub mod flattened;
pub mod kdump;
pub mod wire;

pub use error::FormatError;
