//! The records of a kdump-compressed file: main header, sub header, page descriptor.
//!
//! Source: makedumpfile's IMPLEMENTATION and diskdump_mod.h, `crash`'s diskdump.h; the offsets
//! were checked by compiling those structs for each ABI.

use crate::error::Result;
use crate::format::wire::{ByteOrder, Layout, StructWriter};

/// `header_version` of the files we write: the first with 64-bit pfns.
pub const HEADER_VERSION: u32 = 6;

/// Bytes of a page descriptor, in every layout.
pub const PAGE_DESC_BYTES: usize = 24;

/// `status` and page flags: the data is an RFC 1950 zlib stream.
pub const DUMP_DH_COMPRESSED_ZLIB: u32 = 0x1;
/// `status` and page flags: the data is an LZO1X stream.
pub const DUMP_DH_COMPRESSED_LZO: u32 = 0x2;
/// `status` and page flags: the data is a raw snappy block.
pub const DUMP_DH_COMPRESSED_SNAPPY: u32 = 0x4;
/// `status`: the dump lacks pages that it should have.
pub const DUMP_DH_COMPRESSED_INCOMPLETE: u32 = 0x8;
/// `status` and page flags: the data is one zstd frame.
pub const DUMP_DH_COMPRESSED_ZSTD: u32 = 0x20;

/// The first bytes of every file.
pub const KDUMP_SIGNATURE: &[u8; 8] = b"KDUMP   ";

/// Bytes of each string of `struct new_utsname`, the closing NUL included.
pub const UTS_FIELD_BYTES: usize = 65;

/// The kernel's `struct new_utsname`.
///
/// ```text
/// 0 sysname  65 nodename  130 release  195 version  260 machine  325 domainname  390
/// ```
///
/// libkdumpfile sets no architecture, and drgn then refuses the file, unless sysname is "Linux",
/// release, version and machine are not empty, and the last byte of each is 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewUtsname {
    /// "Linux".
    pub sysname: String,
    /// The host's name.
    pub nodename: String,
    /// Such as "6.1.0-56-cloud-amd64".
    pub release: String,
    /// Such as "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1".
    pub version: String,
    /// Such as "x86_64".
    pub machine: String,
    /// The NIS domain's name.
    pub domainname: String,
}

impl NewUtsname {
    /// Bytes of the struct, in every layout.
    pub const BYTES: usize = 6 * UTS_FIELD_BYTES;

    /// Reads the struct as it lies in the kernel's memory; `None` when it is too short, or a
    /// string lacks its NUL or is not ASCII text.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = bytes.chunks_exact(UTS_FIELD_BYTES).map(|field| {
            let end = field.iter().position(|&byte| byte == 0)?;
            let text = std::str::from_utf8(field.get(..end)?).ok()?;
            text.bytes().all(|byte| (b' '..=b'~').contains(&byte)).then(|| text.to_owned())
        });
        let mut next = || fields.next().flatten();
        Some(NewUtsname {
            sysname: next()?,
            nodename: next()?,
            release: next()?,
            version: next()?,
            machine: next()?,
            domainname: next()?,
        })
    }

    fn put(&self, writer: &mut StructWriter) {
        let fields = [
            &self.sysname,
            &self.nodename,
            &self.release,
            &self.version,
            &self.machine,
            &self.domainname,
        ];
        for field in fields {
            let mut chars: Vec<u8> = field.bytes().take(UTS_FIELD_BYTES - 1).collect();
            chars.resize(UTS_FIELD_BYTES, 0);
            writer.chars(&chars);
        }
    }
}

/// `struct disk_dump_header`, block 0.
///
/// ```text
///                    64-bit   32-bit
/// signature               0        0   "KDUMP   "
/// header_version          8        8
/// utsname                12       12   6 x 65 chars
/// timestamp             408      404   struct timeval: two longs
/// status                424      412   codec bit, INCOMPLETE
/// block_size            428      416   the kernel's page size
/// sub_hdr_size          432      420   in blocks, notes included
/// bitmap_blocks         436      424   of both bitmaps together
/// max_mapnr             440      428   the 64-bit one, cut to 2^32-1
/// total_ram_blocks      444      432   0, as are the next three: nobody reads them
/// device_blocks         448      436
/// written_blocks        452      440
/// current_cpu           456      444
/// nr_cpus               460      448
/// sizeof                464      452
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskDumpHeader {
    /// What the crashed kernel called itself.
    pub utsname: NewUtsname,
    /// Seconds since the epoch. The microseconds are always 0: libkdumpfile takes a 64-bit
    /// header whose `tv_usec` is a power of two in 4096..=262144 for a 32-bit one.
    pub tv_sec: u64,
    /// Codec bit and INCOMPLETE.
    pub status: u32,
    /// Bytes of a block, which is a page.
    pub block_size: u32,
    /// Blocks of sub header and notes.
    pub sub_hdr_size: u32,
    /// Blocks of both bitmaps.
    pub bitmap_blocks: u32,
    /// One past the highest pfn, cut to 32 bits; the sub header has the whole.
    pub max_mapnr: u32,
    /// CPUs with an `NT_PRSTATUS` note, at least 1.
    pub nr_cpus: u32,
}

/// A [`DiskDumpHeader`] as bytes, with the place of the part that is known last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedHeader {
    /// The struct, `sizeof` bytes.
    pub bytes: Vec<u8>,
    /// The bytes of `utsname`, `timestamp` and `status`: what a conversion may learn only at
    /// its end (from a page that a pipe brings late; whether the dump came out complete).
    pub late: std::ops::Range<usize>,
}

impl DiskDumpHeader {
    /// The struct in `layout`.
    ///
    /// # Errors
    /// [`crate::Error::FieldOverflow`] when `tv_sec` does not fit a 32-bit `long`.
    pub fn encode(&self, layout: Layout) -> Result<EncodedHeader> {
        let mut writer = StructWriter::new(layout);
        writer.chars(KDUMP_SIGNATURE);
        writer.int(HEADER_VERSION);
        let late_start = writer.position();
        self.utsname.put(&mut writer);
        writer.long("tv_sec", self.tv_sec)?;
        writer.long("tv_usec", 0)?;
        writer.int(self.status);
        let late_end = writer.position();
        writer.int(self.block_size);
        writer.int(self.sub_hdr_size);
        writer.int(self.bitmap_blocks);
        writer.int(self.max_mapnr);
        for _ in ["total_ram_blocks", "device_blocks", "written_blocks", "current_cpu"] {
            writer.int(0);
        }
        writer.int(self.nr_cpus);
        Ok(EncodedHeader { bytes: writer.finish(), late: late_start..late_end })
    }
}

/// `struct kdump_sub_header`, block 1; the notes follow right behind it.
///
/// ```text
///                           64-bit   i386   arm, ppc, mips, riscv32
/// phys_base                      0      0       0   unsigned long
/// dump_level                     8      4       4
/// split                         12      8       8   0
/// start_pfn, end_pfn        16, 24 12, 16  12, 16   0; obsolete in version 6
/// offset_vmcoreinfo, size   32, 40 20, 28  24, 32   long long, unsigned long
/// offset_note, size         48, 56 32, 40  40, 48
/// offset_eraseinfo, size    64, 72 44, 52  56, 64
/// start_pfn_64, end_pfn_64  80, 88 56, 64  72, 80   0
/// max_mapnr_64                  96     72      88
/// sizeof                       104     80      96
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KdumpSubHeader {
    /// Physical address that the kernel (x86_64) or memory (arm, arm64, riscv64) starts at.
    pub phys_base: u64,
    /// What was left out, as makedumpfile's -d counts it.
    pub dump_level: u32,
    /// File offset of the VMCOREINFO text, inside the notes.
    pub offset_vmcoreinfo: u64,
    /// Bytes of the VMCOREINFO text.
    pub size_vmcoreinfo: u64,
    /// File offset of the notes.
    pub offset_note: u64,
    /// Bytes of the notes.
    pub size_note: u64,
    /// File offset of the ERASEINFO text, inside the notes.
    pub offset_eraseinfo: u64,
    /// Bytes of the ERASEINFO text.
    pub size_eraseinfo: u64,
    /// One past the highest pfn.
    pub max_mapnr_64: u64,
}

impl KdumpSubHeader {
    /// The struct in `layout`.
    ///
    /// # Errors
    /// [`crate::Error::FieldOverflow`] when a value does not fit its 32-bit `unsigned long`.
    pub fn encode(&self, layout: Layout) -> Result<Vec<u8>> {
        let mut writer = StructWriter::new(layout);
        writer.long("phys_base", self.phys_base)?;
        writer.int(self.dump_level);
        writer.int(0); // split
        writer.long("start_pfn", 0)?;
        writer.long("end_pfn", 0)?;
        writer.long_long(self.offset_vmcoreinfo);
        writer.long("size_vmcoreinfo", self.size_vmcoreinfo)?;
        writer.long_long(self.offset_note);
        writer.long("size_note", self.size_note)?;
        writer.long_long(self.offset_eraseinfo);
        writer.long("size_eraseinfo", self.size_eraseinfo)?;
        writer.long_long(0); // start_pfn_64
        writer.long_long(0); // end_pfn_64
        writer.long_long(self.max_mapnr_64);
        Ok(writer.finish())
    }

    /// `sizeof` in `layout`: where the notes start within block 1.
    ///
    /// # Errors
    /// None in practice; a record of zeros fits every layout.
    pub fn bytes_in(layout: Layout) -> Result<usize> {
        Ok(KdumpSubHeader::default().encode(layout)?.len())
    }
}

/// `struct page_desc`: where a page's data is and how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageDesc {
    /// File offset of the data.
    pub offset: u64,
    /// Bytes stored: a whole page when raw, fewer when compressed.
    pub size: u32,
    /// The codec bit, or 0 for a raw page.
    pub flags: u32,
}

impl PageDesc {
    /// Appends the struct to a table: `offset`, `size`, `flags`, and `page_flags`, always 0.
    /// It has no padding in any layout.
    pub fn append_to(self, table: &mut Vec<u8>, order: ByteOrder) {
        table.extend_from_slice(&order.u64(self.offset));
        table.extend_from_slice(&order.u32(self.size));
        table.extend_from_slice(&order.u32(self.flags));
        table.extend_from_slice(&order.u64(0));
    }
}

#[cfg(test)]
mod tests;
