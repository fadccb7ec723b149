//! A naive kdump writer that lays its structures out by C's alignment rules: to try the reader with,
//! and to make kdump files of any layout as input for others. It keeps every page in memory.

use std::io::Write;

use super::elf::Endian;
use super::kdump_header::KdumpLayout;
use super::kdump_pages::codec;
use super::model::{Expected, Model};
use super::notes::parse_notes;

/// Lays fields out as a C compiler does.
struct CStruct {
    bytes: Vec<u8>,
    endian: Endian,
    word: usize,
    max_align: usize,
}

impl CStruct {
    fn new(layout: KdumpLayout) -> Self {
        let (word, max_align) = match layout {
            KdumpLayout::Le64 | KdumpLayout::Be64 => (8, 8),
            KdumpLayout::Le32Packed => (4, 4),
            KdumpLayout::Le32 | KdumpLayout::Be32 => (4, 8),
        };
        CStruct { bytes: Vec::new(), endian: layout.endian(), word, max_align }
    }

    fn field(&mut self, value: u64, size: usize) {
        let at = self.bytes.len().next_multiple_of(size.min(self.max_align));
        self.bytes.resize(at, 0);
        self.bytes.extend(self.endian.bytes(value, size));
    }

    fn u32(&mut self, value: u64) {
        self.field(value, 4);
    }

    fn u64(&mut self, value: u64) {
        self.field(value, 8);
    }

    fn ulong(&mut self, value: u64) {
        self.field(value, self.word);
    }
}

/// A kdump file to write: all pages of a model.
pub struct KdumpWriter<'a> {
    pub model: &'a Model,
    pub layout: KdumpLayout,
    /// A codec bit, or 0 for raw pages.
    pub codec: u32,
    /// The whole note area; VMCOREINFO is found in it.
    pub notes: &'a [u8],
    /// utsname's machine.
    pub machine: &'a str,
    /// Whether zero pages share one stored page.
    pub share_zero: bool,
}

impl KdumpWriter<'_> {
    /// The file (of memory below 16 TiB), and the offset of its descriptors.
    #[must_use]
    pub fn write(&self) -> (Vec<u8>, usize) {
        let block = self.model.page_size as usize;
        let sub = self.sub_header();
        let sub_blocks = (sub.len() + self.notes.len()).div_ceil(block);
        let (bitmaps, pages) = self.bitmaps();

        let mut file = self.main_header(sub_blocks, bitmaps.len() / block);
        file.resize(block, 0);
        file.extend(sub);
        file.extend(self.notes);
        file.resize((1 + sub_blocks) * block, 0);
        file.extend(bitmaps);
        let table = file.len();
        let (descriptors, data) = self.pages(&pages, table + 24 * pages.len());
        file.extend(descriptors);
        file.extend(data);
        (file, table)
    }

    fn main_header(&self, sub_blocks: usize, bitmap_blocks: usize) -> Vec<u8> {
        let mut main = CStruct::new(self.layout);
        main.bytes.extend(b"KDUMP   ");
        main.u32(6);
        for name in ["Linux", "host", "6.1.0", "#1 SMP", self.machine, ""] {
            let end = main.bytes.len() + 65;
            main.bytes.extend(name.as_bytes());
            main.bytes.resize(end, 0);
        }
        main.ulong(1_700_000_000);
        main.ulong(0);
        main.u32(u64::from(self.codec));
        main.u32(self.model.page_size);
        main.u32(sub_blocks as u64);
        main.u32(bitmap_blocks as u64);
        main.u32(self.model.max_mapnr);
        (0..4).for_each(|_| main.u32(0));
        main.u32(1);
        main.bytes
    }

    fn sub_header(&self) -> Vec<u8> {
        let bytes = match self.layout {
            KdumpLayout::Le64 | KdumpLayout::Be64 => 104,
            KdumpLayout::Le32Packed => 80,
            KdumpLayout::Le32 | KdumpLayout::Be32 => 96,
        };
        let note_at = self.model.page_size + bytes;
        let found = parse_notes(self.notes, self.layout.endian());
        let info = found.iter().find(|found| found.note.name == "VMCOREINFO");
        let info = info
            .map_or((0, 0), |found| (note_at + found.desc_offset, found.note.desc.len() as u64));
        let mut sub = CStruct::new(self.layout);
        sub.ulong(0x1000);
        sub.u32(1);
        sub.u32(0);
        sub.ulong(0);
        sub.ulong(0);
        sub.u64(info.0);
        sub.ulong(info.1);
        sub.u64(if self.notes.is_empty() { 0 } else { note_at });
        sub.ulong(self.notes.len() as u64);
        sub.u64(0);
        sub.ulong(0);
        sub.u64(0);
        sub.u64(0);
        sub.u64(self.model.max_mapnr);
        assert_eq!(sub.bytes.len() as u64, bytes);
        sub.bytes
    }

    /// Both bitmaps, and the pages that the 2nd one has.
    fn bitmaps(&self) -> (Vec<u8>, Vec<Vec<u8>>) {
        let half = self.model.max_mapnr.div_ceil(8).next_multiple_of(self.model.page_size) as usize;
        let mut bitmaps = vec![0; 2 * half];
        let mut pages = Vec::new();
        for pfn in self.model.runs().iter().flat_map(|run| run.pfns.clone()) {
            let (byte, bit) = ((pfn / 8) as usize, 1 << (pfn % 8));
            bitmaps[byte] |= bit;
            if let Expected::Data(page) = self.model.page(pfn) {
                bitmaps[half + byte] |= bit;
                pages.push(page);
            }
        }
        (bitmaps, pages)
    }

    /// The descriptors and the data, which begins at this offset of the file.
    fn pages(&self, pages: &[Vec<u8>], data_start: usize) -> (Vec<u8>, Vec<u8>) {
        let mut descriptors = CStruct::new(self.layout);
        let mut data: Vec<u8> = Vec::new();
        let mut zero_at = None;
        for page in pages {
            let packed = pack(self.codec, page).filter(|packed| packed.len() < page.len());
            let flags = if packed.is_some() { self.codec } else { 0 };
            let bytes = packed.as_ref().unwrap_or(page);
            let is_zero = page.iter().all(|byte| *byte == 0);
            let offset = match zero_at {
                Some(offset) if is_zero && self.share_zero => offset,
                _ => {
                    data.extend(bytes);
                    data_start + data.len() - bytes.len()
                }
            };
            if is_zero {
                zero_at = Some(offset);
            }
            descriptors.u64(offset as u64);
            descriptors.u32(bytes.len() as u64);
            descriptors.u32(u64::from(flags));
            descriptors.u64(0);
        }
        (descriptors.bytes, data)
    }
}

/// The page compressed, if the codec can.
#[must_use]
pub fn pack(kind: u32, page: &[u8]) -> Option<Vec<u8>> {
    match kind {
        codec::ZLIB => {
            let mut encoder =
                flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(page).unwrap();
            encoder.finish().ok()
        }
        codec::SNAPPY => snap::raw::Encoder::new().compress_vec(page).ok(),
        codec::ZSTD => zstd::bulk::compress(page, 1).ok(),
        codec::LZO => lzo_of_one_byte(page),
        _ => None,
    }
}

/// LZO1X by hand of a page of one byte: four literals, one match, the end.
fn lzo_of_one_byte(page: &[u8]) -> Option<Vec<u8>> {
    if page.iter().any(|byte| *byte != page[0]) {
        return None;
    }
    let mut bytes = vec![17 + 4];
    bytes.extend(&page[..4]);
    bytes.push(0x20);
    let mut rest = page.len() - 4 - 33;
    while rest > 255 {
        bytes.push(0);
        rest -= 255;
    }
    bytes.extend([rest as u8, 0, 0, 0x11, 0, 0]);
    Some(bytes)
}
