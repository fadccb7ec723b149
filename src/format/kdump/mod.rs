//! The kdump-compressed format: one file, pages compressed one by one.
//!
//! It comes from diskdump; makedumpfile took it over, and QEMU and this crate write it, too. Here are
//! only its records: `dump::kdump` reads files, `to_kdump` writes them.
//!
//! A block is a page of the crashed kernel, and the headers count in blocks:
//!
//! ```text
//! block 0                  disk_dump_header   464 bytes (64-bit) or 452 (32-bit)
//! block 1                  kdump_sub_header   104, 80 or 96 bytes, see StructLayout
//!   after it               the ELF notes      verbatim; VMCOREINFO is one of them
//! block 1 + sub_hdr_size   1st bitmap         one bit per pfn: there is RAM
//!   + bitmap_blocks / 2    2nd bitmap         one bit per pfn: the file has the page
//!   + bitmap_blocks / 2    page_desc[]        one for each bit that is set in the 2nd bitmap
//!   after them             page data          unaligned; descriptors may share data
//! ```
//!
//! Integers have the byte order of the crashed kernel. An `unsigned long` has its word size, and the
//! C ABI of the kernel pads the structs. The width follows the *kernel*, by `e_machine`, and not the
//! class of the ELF core: a 32-bit x86 kernel whose core is ELF64 gets the 32-bit headers.
//!
//! # Bitmaps
//!
//! The bit of a pfn is bit `pfn % 8`, counted from the least significant, of byte `pfn / 8`. Each bitmap
//! is padded to a whole block; bits from `max_mapnr` on are 0. A page is in one of three states:
//!
//! | 1st | 2nd | the page is | crash | libkdumpfile, drgn |
//! |---|---|---|---|---|
//! | 0 | 0 | a hole: no RAM | "seek error" | no data, a fault |
//! | 1 | 0 | excluded, or unreadable | "page excluded"; zeros under `--zero_excluded` | no data, a fault; zeros under `file.zero_excluded` |
//! | 1 | 1 | in the file | its bytes | its bytes |
//!
//! The 1st bitmap covers every `PT_LOAD` by its `p_memsz`, so a segment without data still counts as
//! RAM. Old files have only one bitmap. crash assumes two bitmaps if `bitmap_blocks` has room for two,
//! libkdumpfile if all pages fit in half of the bits. crash maps the bitmaps into memory, so both must
//! lie wholly inside the file.
//!
//! `max_mapnr` is the end of the highest segment, in pages, rounded up. makedumpfile cuts it down to the
//! end of the kernel's last mem_map if it has VMCOREINFO, and so loses the firmware segment that QEMU has
//! at 0xfffc0000; this crate keeps it.
//!
//! A segment may begin or end within a page: the capture kernel's `/proc/vmcore` has 0x1000..0x9fc00.
//! makedumpfile drops the page (in its cyclic mode), QEMU and this crate fill it with zeros. Two segments
//! may share a page, which must get one bit and one descriptor. QEMU gives it two descriptors, so that
//! all later ones are off by one.
//!
//! A file's pfns count from physical address 0, but on 32-bit arm makedumpfile and crash count from
//! `phys_base`. So does this crate. QEMU and libkdumpfile count from 0 there, too.
//!
//! # Split sets
//!
//! `makedumpfile --split` spreads the pages over several files. Each has the same main header, both
//! bitmaps whole, and the descriptors and data of the pfns from `start_pfn_64` to `end_pfn_64`; `split`
//! is not 0. crash's git wants `start_pfn_64` to be a multiple of 64. crash and makedumpfile compare all of
//! the main header, so the status of all files is the same. makedumpfile --reassemble takes the data
//! after the place of all descriptors of the set for the shared page of zeros: there it must be in each
//! file.
//!
//! # Rules for a writer
//!
//! 1. Write `header_version` 6 and two bitmaps, with `block_size` = the kernel's page size. libkdumpfile
//!    takes the page size from VMCOREINFO's PAGESIZE once it has read the bitmaps by `block_size`, so the
//!    two must agree. (QEMU writes 64 KiB blocks for an aarch64 kernel with 4 KiB pages: such a file
//!    cannot be decoded.)
//! 2. Fill `utsname`: see [`NewUtsname`].
//! 3. Copy all `PT_NOTE` segments verbatim to `offset_note`, inside the blocks of the sub header, and
//!    point `offset_vmcoreinfo` into them. libkdumpfile and drgn (from version 4) read VMCOREINFO only
//!    from the notes, crash and makedumpfile only from `offset_vmcoreinfo`.
//! 4. Never write a page size into `tv_usec`; 0 is best. libkdumpfile takes a 64-bit header whose
//!    `tv_usec` is a power of two from 4096 to 262144 for a 32-bit one, and 0.5.1 crashes on it.
//! 5. Write `dump_level` 0 if nothing was excluded: otherwise crash announces a `[PARTIAL DUMP]`.
//! 6. Give each compressed page fewer bytes than a page, and exactly one flag. Store a page that does not
//!    shrink raw, with flags 0 and the full size.
//! 7. Never write a descriptor with `offset` 0 for a page that exists: it means "not written".
//! 8. Write a page's data before its descriptor, its descriptor before its bit in the 2nd bitmap, and
//!    [`DUMP_DH_COMPRESSED_INCOMPLETE`] in `status` until all are there: then a file that is cut off
//!    anywhere is a consistent dump of fewer pages whose header says that it is incomplete.
//!
//! # Readers compared
//!
//! | | crash 8.0.2 and git | libkdumpfile 0.5.1 | libkdumpfile git, drgn 0.3.0 | makedumpfile |
//! |---|---|---|---|---|
//! | header versions | 0 to 6 | 0 to 6 | 0 to 6 | 1 to 6 |
//! | zlib, lzo, snappy, zstd | yes | yes | yes | as built: Debian's 1.7.2 has zlib and lzo, 1.7.6 zstd, too |
//! | flattened | yes | no | yes | only `-R` |
//! | 32-bit layouts | if built for that width | packed only | both; padded needs VMCOREINFO | native |
//! | big-endian | native | yes | yes | native |
//! | more than 16 TiB | yes, by its code | yes, by its code | yes, by its code | to about 64 TiB, by its code |
//! | split set | not flattened | yes | yes, also flattened | `--reassemble` |
//! | empty utsname | opens | pages only | drgn refuses | opens |
//!
//! crash and makedumpfile read native C structs: for a 32-bit or big-endian dump they must have been
//! built for such a machine.
//!
//! QEMU writes version 6, flattened unless the format is one of `kdump-raw-*` (from 8.2 on), with zlib,
//! lzo or snappy (Debian's build: only zlib). `machine` is "Unknown", the rest of `utsname` is empty and
//! the time is 0. It writes a 64-bit header for an i386 guest with memory at 4 GiB, and the packed
//! layout for 32-bit arm.

mod essential;
mod geometry;
mod main_header;
mod page_desc;
mod sub_header;
mod utsname;

pub(crate) use essential::essential_parts;
pub use geometry::Geometry;
pub use main_header::{DiskDumpHeader, EncodedHeader};
pub use page_desc::PageDesc;
pub use sub_header::KdumpSubHeader;
pub use utsname::{NewUtsname, UTS_FIELD_BYTES};

/// The newest `header_version`, which this crate writes: the first with 64-bit pfns.
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
/// `status`: pages are missing that the dump should have.
pub const DUMP_DH_COMPRESSED_INCOMPLETE: u32 = 0x8;
/// `status`: the struct pages of excluded pages are excluded as well (makedumpfile -e).
pub const DUMP_DH_EXCLUDED_VMEMMAP: u32 = 0x10;
/// `status` and page flags: the data is one zstd frame.
pub const DUMP_DH_COMPRESSED_ZSTD: u32 = 0x20;

/// The first bytes of every file.
pub const KDUMP_SIGNATURE: &[u8; 8] = b"KDUMP   ";

#[cfg(test)]
mod tests;
