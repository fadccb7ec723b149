//! Page descriptors and the pages they point to.

use std::collections::BTreeSet;

use super::elf::Endian;
use super::image::Image;
use super::kdump_header::Header;

/// Codec bits, of descriptors' flags as of the header's status.
pub mod codec {
    pub const ZLIB: u32 = 1;
    pub const LZO: u32 = 2;
    pub const SNAPPY: u32 = 4;
    pub const ZSTD: u32 = 0x20;
    pub const ALL: u32 = ZLIB | LZO | SNAPPY | ZSTD;
}

/// The header's status bit of a dump that could not be completed.
pub const STATUS_INCOMPLETE: u32 = 0x8;
/// The header's status bit of a dump without its vmemmap.
pub const STATUS_EXCLUDED_VMEMMAP: u32 = 0x10;

/// Size of a descriptor in the file, in every layout.
pub const DESCRIPTOR_BYTES: u64 = 24;

/// What a descriptor says of where and how a page is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stored {
    /// File offset of the data.
    pub offset: u64,
    /// Size of the data in bytes.
    pub size: u32,
    /// 0 for a raw page, else one codec bit.
    pub flags: u32,
}

impl Stored {
    /// Whether it stands for a page that an incomplete dump does not have. In a flattened stream it has
    /// a flag, by which readers fail.
    #[must_use]
    pub fn is_incomplete(self) -> bool {
        self.offset == 0 && self.size == 0 && matches!(self.flags, 0 | codec::ZLIB)
    }
}

/// Reads the descriptors and checks each of them and all together.
///
/// # Errors
/// The first descriptor that is wrong, or two whose data overlap without being the same.
pub fn read_descriptors(
    image: &Image,
    header: &Header,
    endian: Endian,
    table_start: u64,
    count: u64,
) -> Result<Vec<Stored>, String> {
    let table_bytes = count.checked_mul(DESCRIPTOR_BYTES).ok_or("too many descriptors")?;
    let data_start = table_start + table_bytes;
    if data_start > image.len() {
        return Err(format!(
            "{count} descriptors at {table_start:#x} reach past the end of the file at {:#x}",
            image.len()
        ));
    }
    const BATCH: u64 = 1 << 15;
    let mut all = Vec::new();
    let mut index = 0;
    while index < count {
        let batch = BATCH.min(count - index);
        let at = table_start + index * DESCRIPTOR_BYTES;
        let bytes = image.read(at, batch * DESCRIPTOR_BYTES)?;
        for (i, bytes) in bytes.chunks_exact(DESCRIPTOR_BYTES as usize).enumerate() {
            let stored = Stored {
                offset: endian.number(&bytes[..8]),
                size: endian.number(&bytes[8..12]) as u32,
                flags: endian.number(&bytes[12..16]) as u32,
            };
            let page_flags = endian.number(&bytes[16..]);
            let result = check(stored, page_flags, header, data_start, image.len());
            result.map_err(|e| format!("descriptor {} {stored:x?}: {e}", index + i as u64))?;
            all.push(stored);
        }
        index += batch;
    }
    check_overlaps(&all)?;
    Ok(all)
}

fn check(
    stored: Stored,
    page_flags: u64,
    header: &Header,
    data_start: u64,
    file_len: u64,
) -> Result<(), String> {
    let fail = |what: &str| Err(what.to_owned());
    if page_flags != 0 {
        return fail("page_flags is not 0");
    }
    let size = u64::from(stored.size);
    if stored.offset == 0 {
        return if !stored.is_incomplete() {
            fail("offset 0 with a size or flags")
        } else if header.status & u64::from(STATUS_INCOMPLETE) == 0 {
            fail("page incomplete in a dump that claims to be complete")
        } else {
            Ok(())
        };
    }
    if stored.flags & !codec::ALL != 0 || stored.flags.count_ones() > 1 {
        return fail("flags are not one known codec");
    }
    if stored.flags == 0 && size != header.block_size {
        return fail("raw page of another size than a block");
    }
    if stored.flags != 0 && !(1..header.block_size).contains(&size) {
        return fail("compressed page not smaller than a block");
    }
    let end = stored.offset.checked_add(size);
    if stored.offset < data_start || end.is_none_or(|end| end > file_len) {
        return Err(format!("data not inside {data_start:#x}..{file_len:#x}"));
    }
    Ok(())
}

/// Data may be shared by any number of pages, but then wholly.
fn check_overlaps(all: &[Stored]) -> Result<(), String> {
    let distinct: BTreeSet<Stored> =
        all.iter().copied().filter(|stored| !stored.is_incomplete()).collect();
    let mut previous: Option<Stored> = None;
    for stored in distinct {
        if let Some(previous) = previous {
            if previous.offset + u64::from(previous.size) > stored.offset {
                return Err(format!("data of {previous:x?} and {stored:x?} overlap"));
            }
        }
        previous = Some(stored);
    }
    Ok(())
}

/// Reads and decodes one page; the result is exactly a block.
///
/// # Errors
/// Data that is no stream of its codec, or one of another size, or with bytes left over.
pub fn decode(image: &Image, stored: Stored, block_size: u64) -> Result<Vec<u8>, String> {
    let data = image.read(stored.offset, u64::from(stored.size))?;
    let block = usize::try_from(block_size).map_err(|e| e.to_string())?;
    let page = match stored.flags {
        0 => data,
        codec::ZLIB => inflate(&data, block)?,
        codec::LZO => {
            let mut page = vec![0; block];
            let len = lzo::decompress_into(&data, &mut page).map_err(|e| format!("lzo: {e:?}"))?;
            page.truncate(len);
            page
        }
        codec::SNAPPY => {
            let len = snap::raw::decompress_len(&data).map_err(|e| format!("snappy: {e}"))?;
            if len != block {
                return Err(format!("snappy: page of {len} bytes"));
            }
            snap::raw::Decoder::new().decompress_vec(&data).map_err(|e| format!("snappy: {e}"))?
        }
        codec::ZSTD => unzstd(&data, block)?,
        flags => return Err(format!("unknown codec {flags:#x}")),
    };
    if page.len() != block {
        return Err(format!("page of {} bytes, not {block}", page.len()));
    }
    Ok(page)
}

fn inflate(data: &[u8], block: usize) -> Result<Vec<u8>, String> {
    let mut page = vec![0; block];
    let mut state = flate2::Decompress::new(true);
    let status = state
        .decompress(data, &mut page, flate2::FlushDecompress::Finish)
        .map_err(|e| format!("zlib: {e}"))?;
    if status != flate2::Status::StreamEnd {
        return Err("zlib: stream does not end with the page".to_owned());
    }
    if state.total_in() != data.len() as u64 {
        return Err(format!("zlib: {} bytes left over", data.len() as u64 - state.total_in()));
    }
    page.truncate(usize::try_from(state.total_out()).map_err(|e| e.to_string())?);
    Ok(page)
}

fn unzstd(data: &[u8], block: usize) -> Result<Vec<u8>, String> {
    let frame = zstd::zstd_safe::find_frame_compressed_size(data)
        .map_err(|code| format!("zstd: {}", zstd::zstd_safe::get_error_name(code)))?;
    if frame != data.len() {
        return Err(format!("zstd: frame of {frame} bytes in {}", data.len()));
    }
    zstd::bulk::decompress(data, block).map_err(|e| format!("zstd: {e}"))
}
