//! The records of a kdump-compressed file: main header, sub header, page descriptor.
//!
//! Source: makedumpfile's IMPLEMENTATION and diskdump_mod.h, `crash`'s diskdump.h; the offsets
//! were checked by compiling those structs for each ABI.

mod geometry;
mod sub_header;

use crate::error::Result;
use crate::format::wire::{ByteOrder, Fields, StructLayout, StructReader, StructWriter};

pub use geometry::Geometry;
pub use sub_header::KdumpSubHeader;

/// `header_version` of the files we write: the first with 64-bit pfns.
pub const HEADER_VERSION: u32 = 6;

/// Page sizes that the format and its readers know.
const PAGE_SIZES: std::ops::RangeInclusive<u64> = 4096..=262_144;

/// `sub_hdr_size` at the most: it is an `int`.
const MAX_SUB_HEADER_BLOCKS: u32 = 0x7fff_ffff;

/// Whether the format and its readers know pages of `size` bytes.
#[must_use]
pub fn is_page_size(size: u64) -> bool {
    size.is_power_of_two() && PAGE_SIZES.contains(&size)
}

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

    /// The struct as it lies in the kernel's memory; what does not fit its field is cut off.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Strings alone: no layout moves them.
        let mut writer = StructWriter::new(StructLayout::Packed32);
        self.clone().list(&mut writer);
        writer.finish()
    }

    fn list(&mut self, fields: &mut dyn Fields) {
        let strings = [
            &mut self.sysname,
            &mut self.nodename,
            &mut self.release,
            &mut self.version,
            &mut self.machine,
            &mut self.domainname,
        ];
        for string in strings {
            let mut chars = [0; UTS_FIELD_BYTES];
            chars
                .iter_mut()
                .take(UTS_FIELD_BYTES - 1)
                .zip(string.bytes())
                .for_each(|(to, from)| *to = from);
            fields.chars(&mut chars);
            let end = chars.iter().position(|&byte| byte == 0).unwrap_or(UTS_FIELD_BYTES);
            *string = String::from_utf8_lossy(chars.get(..end).unwrap_or_default()).into_owned();
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiskDumpHeader {
    /// Which fields there are: 1 sub header, 2 split, 3 VMCOREINFO, 4 notes, 5 ERASEINFO,
    /// 6 the 64-bit pfns.
    pub header_version: u32,
    /// What the crashed kernel called itself.
    pub utsname: NewUtsname,
    /// Seconds since the epoch.
    pub tv_sec: u64,
    /// Microseconds. libkdumpfile takes a 64-bit header whose `tv_usec` is a page size for a
    /// 32-bit one.
    pub tv_usec: u64,
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
    /// `total_ram_blocks`, `device_blocks`, `written_blocks`, `current_cpu`: nobody reads them.
    pub unused: [u32; 4],
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
    /// Bytes of the largest layout: what to read of a file for [`decode`](Self::decode).
    pub const MAX_BYTES: usize = 464;

    /// The members up to `header_version`, those of [`EncodedHeader::late`], and the rest.
    fn list_first(&mut self, fields: &mut dyn Fields) {
        fields.chars(&mut KDUMP_SIGNATURE.clone());
        fields.int(&mut self.header_version);
    }

    fn list_late(&mut self, fields: &mut dyn Fields) -> Result<()> {
        self.utsname.list(fields);
        fields.long("tv_sec", &mut self.tv_sec)?;
        fields.long("tv_usec", &mut self.tv_usec)?;
        fields.int(&mut self.status);
        Ok(())
    }

    fn list_rest(&mut self, fields: &mut dyn Fields) {
        fields.int(&mut self.block_size);
        fields.int(&mut self.sub_hdr_size);
        fields.int(&mut self.bitmap_blocks);
        fields.int(&mut self.max_mapnr);
        self.unused.iter_mut().for_each(|unused| fields.int(unused));
        fields.int(&mut self.nr_cpus);
    }

    /// The struct in `layout`.
    ///
    /// # Errors
    /// [`crate::Error::FieldOverflow`] when `tv_sec` does not fit a 32-bit `long`.
    pub fn encode(&self, layout: StructLayout) -> Result<EncodedHeader> {
        let mut writer = StructWriter::new(layout);
        let mut header = self.clone();
        header.list_first(&mut writer);
        let late_start = writer.position();
        header.list_late(&mut writer)?;
        let late_end = writer.position();
        header.list_rest(&mut writer);
        Ok(EncodedHeader { bytes: writer.finish(), late: late_start..late_end })
    }

    /// The struct at the start of a file, with its layout told by what makes sense; of a 32-bit
    /// one, [`KdumpSubHeader::decode`] tells whether it is packed.
    ///
    /// A dump of 32 bits may have a `max_mapnr` that looks like the `block_size` of 64 bits, and
    /// the other way round `tv_usec` may: so all that must agree is looked at.
    ///
    /// # Errors
    /// What is wrong, when it makes sense in no layout.
    pub fn decode(bytes: &[u8]) -> Result<(Self, StructLayout), String> {
        if !bytes.starts_with(KDUMP_SIGNATURE) {
            return Err("no kdump signature".to_owned());
        }
        let [little, big] = [ByteOrder::Little, ByteOrder::Big];
        let mut why = None;
        let mut loose = None;
        for layout in [
            StructLayout::Bits64(little),
            StructLayout::Bits64(big),
            StructLayout::Padded32(little),
            StructLayout::Padded32(big),
        ] {
            let header = Self::decode_as(bytes, layout);
            match header.implausible() {
                None if header.has_tight_bitmaps() => return Ok((header, layout)),
                None => loose = loose.or(Some((header, layout))),
                // The byte order of the version is right: what else is wrong is worth telling.
                Some(wrong) if header.header_version <= HEADER_VERSION => {
                    why = why.or(Some(wrong));
                }
                Some(_) => {}
            }
        }
        let unknown = "header_version is none of 0 to 6, in either byte order";
        loose.ok_or_else(|| why.unwrap_or_else(|| unknown.to_owned()))
    }

    fn decode_as(bytes: &[u8], layout: StructLayout) -> Self {
        let mut header = DiskDumpHeader::default();
        let mut reader = StructReader::new(layout, bytes);
        header.list_first(&mut reader);
        // Reading overflows nothing.
        let _ = header.list_late(&mut reader);
        header.list_rest(&mut reader);
        header
    }

    /// Whether the bitmaps are as large as they must be, as every writer makes them.
    fn has_tight_bitmaps(&self) -> bool {
        let blocks = u64::from(self.max_mapnr).div_ceil(8 * u64::from(self.block_size).max(1));
        u64::from(self.bitmap_blocks) == 2 * blocks || self.max_mapnr == u32::MAX
    }

    /// What is wrong with the fields that the rest of the file is found by.
    fn implausible(&self) -> Option<String> {
        let block_size = u64::from(self.block_size);
        if self.header_version > HEADER_VERSION {
            return Some(format!("header_version {} is not known", self.header_version));
        }
        if !is_page_size(block_size) {
            return Some(format!(
                "block_size {block_size} is not a power of two from 4096 to 262144"
            ));
        }
        if self.header_version >= 1 && !(1..=MAX_SUB_HEADER_BLOCKS).contains(&self.sub_hdr_size) {
            return Some(format!("sub_hdr_size {}", self.sub_hdr_size));
        }
        // At most 2^53, as the block size is one.
        let bits = 8 * block_size * u64::from(self.bitmap_blocks);
        if bits == 0 || u64::from(self.max_mapnr) > bits {
            return Some(format!(
                "max_mapnr {:#x}, but the bitmaps have {bits:#x} bits in {} blocks",
                self.max_mapnr, self.bitmap_blocks
            ));
        }
        None
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

    /// Reads the struct.
    #[must_use]
    pub fn decode(bytes: &[u8; PAGE_DESC_BYTES], order: ByteOrder) -> Self {
        let [o0, o1, o2, o3, o4, o5, o6, o7, s0, s1, s2, s3, f0, f1, f2, f3, ..] = *bytes;
        PageDesc {
            offset: order.read_u64([o0, o1, o2, o3, o4, o5, o6, o7]),
            size: order.read_u32([s0, s1, s2, s3]),
            flags: order.read_u32([f0, f1, f2, f3]),
        }
    }
}

#[cfg(test)]
mod tests;
