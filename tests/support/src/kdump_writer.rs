//! A naive kdump writer that lays its structures out by C's alignment rules: to try the reader with,
//! and to make kdump files of any version and layout as input for others.
//!
//! What a version does not have is not there: its sub header is shorter, and what follows it lies
//! where later versions have their fields.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::c_struct::CStruct;
use super::kdump_header::KdumpLayout;
use super::kdump_pages::codec;
use super::model::{Expected, Model};
use super::notes::parse_notes;

/// Pages whose data lies scattered are so far from each other, some of them.
const GAP: &[u8] = &[0xa5; 20_000];

/// A kdump file to write: all pages of a model.
#[derive(Clone)]
pub struct KdumpWriter<'a> {
    pub model: &'a Model,
    pub layout: KdumpLayout,
    /// A codec bit, or 0 for raw pages.
    pub codec: u32,
    /// The whole note area, from version 4 on; VMCOREINFO is found in it.
    pub notes: &'a [u8],
    /// utsname's machine.
    pub machine: &'a str,
    /// Whether zero pages share one stored page.
    pub share_zero: bool,
    /// 0 (no sub header) to 6.
    pub version: u32,
    /// A VMCOREINFO text that is no note, from version 3 on.
    pub vmcoreinfo: &'a [u8],
    /// An ERASEINFO text at the end of the file, as makedumpfile has it, from version 5 on.
    pub eraseinfo: &'a [u8],
    /// Whether there is the 2nd bitmap alone.
    pub one_bitmap: bool,
    /// Whether the pages' data descends, has gaps, and is shared by all pages that are equal.
    pub scattered: bool,
    /// The pfns of a file of a set, from version 2 on.
    pub part: Option<Range<u64>>,
    /// `tv_sec` and `tv_usec`.
    pub timestamp: (u64, u64),
    /// Status bits beside the codec's.
    pub status: u32,
    /// `current_cpu` and `nr_cpus`.
    pub cpus: (u32, u32),
    /// The sub header's, from version 1 on.
    pub phys_base: u64,
    /// The sub header's, from version 1 on.
    pub dump_level: u32,
}

impl<'a> KdumpWriter<'a> {
    /// A plain file of version 6, of raw pages and without notes.
    #[must_use]
    pub fn new(model: &'a Model, layout: KdumpLayout) -> Self {
        KdumpWriter {
            model,
            layout,
            codec: 0,
            notes: &[],
            machine: match layout {
                KdumpLayout::Le64 => "x86_64",
                KdumpLayout::Be64 => "s390x",
                KdumpLayout::Le32Packed => "i686",
                KdumpLayout::Le32 => "mips",
                KdumpLayout::Be32 => "ppc",
            },
            share_zero: false,
            version: 6,
            vmcoreinfo: &[],
            eraseinfo: &[],
            one_bitmap: false,
            scattered: false,
            part: None,
            timestamp: (1_700_000_000, 0),
            status: 0,
            cpus: (0, 1),
            phys_base: 0x1000,
            dump_level: 1,
        }
    }

    /// The file, and the offset of its descriptors.
    #[must_use]
    pub fn write(&self) -> (Vec<u8>, usize) {
        let (parts, table) = self.parts();
        let end = parts.iter().map(|(at, bytes)| at + bytes.len()).max().unwrap();
        let mut file = vec![0; end];
        for (at, bytes) in parts {
            file[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        (file, table)
    }

    /// Writes the file to `path`, with holes where nothing is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_sparse(&self, path: &Path) -> io::Result<()> {
        let file = File::create(path)?;
        self.parts().0.iter().try_for_each(|(at, bytes)| file.write_all_at(bytes, *at as u64))
    }

    /// What the file has where, and the offset of its descriptors.
    fn parts(&self) -> (Vec<(usize, Vec<u8>)>, usize) {
        let block = self.model.page_size as usize;
        let sub_bytes = self.sub_header([0; 3]).len();
        let notes: &[u8] = if self.version >= 4 { self.notes } else { &[] };
        let vmcoreinfo: &[u8] = if self.version >= 3 { self.vmcoreinfo } else { &[] };
        let sub_blocks = (sub_bytes + notes.len() + vmcoreinfo.len()).div_ceil(block);
        let half_blocks = self.model.max_mapnr.div_ceil(8).div_ceil(block as u64) as usize;
        let bitmap_blocks = if self.one_bitmap { half_blocks } else { 2 * half_blocks };
        let bitmaps_at = (1 + sub_blocks) * block;
        let table = bitmaps_at + bitmap_blocks * block;

        let mut bits: BTreeMap<usize, u8> = BTreeMap::new();
        let mut pages = Vec::new();
        for pfn in self.model.runs().iter().flat_map(|run| run.pfns.clone()) {
            let (byte, bit) = (bitmaps_at + (pfn / 8) as usize, 1 << (pfn % 8));
            let page = self.model.page(pfn);
            if !self.one_bitmap {
                *bits.entry(byte).or_default() |= bit;
            }
            if let Expected::Data(page) = page {
                let second = table - half_blocks * block + byte - bitmaps_at;
                *bits.entry(second).or_default() |= bit;
                if self.part.as_ref().is_none_or(|part| part.contains(&pfn)) {
                    pages.push(page);
                }
            }
        }
        let (descriptors, data) = self.pages(&pages, table + 24 * pages.len());
        let notes_at = block + sub_bytes;
        let erase_at = table + descriptors.len() + data.len();

        let mut parts = vec![(0, self.main_header(sub_blocks, bitmap_blocks))];
        if self.version >= 1 {
            let info_at = notes_at + notes.len();
            parts.push((block, self.sub_header([notes_at, info_at, erase_at])));
            parts.push((notes_at, notes.to_vec()));
            parts.push((info_at, vmcoreinfo.to_vec()));
        }
        parts.extend(bits.into_iter().map(|(at, byte)| (at, vec![byte])));
        parts.push((table, [descriptors, data].concat()));
        if self.version >= 5 {
            parts.push((erase_at, self.eraseinfo.to_vec()));
        }
        (parts, table)
    }

    fn main_header(&self, sub_blocks: usize, bitmap_blocks: usize) -> Vec<u8> {
        let mut main = CStruct::new(self.layout);
        main.bytes.extend(b"KDUMP   ");
        main.u32(u64::from(self.version));
        for name in ["Linux", "host", "6.1.0", "#1 SMP", self.machine, ""] {
            let end = main.bytes.len() + 65;
            main.bytes.extend(name.as_bytes());
            main.bytes.resize(end, 0);
        }
        main.ulong(self.timestamp.0);
        main.ulong(self.timestamp.1);
        main.u32(u64::from(self.codec | self.status));
        main.u32(self.model.page_size);
        main.u32(sub_blocks as u64);
        main.u32(bitmap_blocks as u64);
        main.u32(self.model.max_mapnr.min(0xffff_ffff));
        (0..3).for_each(|_| main.u32(0));
        main.u32(u64::from(self.cpus.0));
        main.u32(u64::from(self.cpus.1));
        main.finish()
    }

    /// The struct of this version; where notes, VMCOREINFO and ERASEINFO are.
    fn sub_header(&self, [notes_at, info_at, erase_at]: [usize; 3]) -> Vec<u8> {
        let place = |at: usize, bytes: &[u8]| match bytes.len() as u64 {
            0 => (0, 0),
            size => (at as u64, size),
        };
        let found = parse_notes(self.notes, self.layout.endian());
        let note = found.iter().find(|found| found.note.name == "VMCOREINFO");
        let info = match note.filter(|_| self.version >= 4) {
            Some(found) => (notes_at as u64 + found.desc_offset, found.note.desc.len() as u64),
            None => place(info_at, self.vmcoreinfo),
        };
        let (notes, erase) = (place(notes_at, self.notes), place(erase_at, self.eraseinfo));
        let part = self.part.clone().unwrap_or_default();
        let mut sub = CStruct::new(self.layout);
        if self.version >= 1 {
            sub.ulong(self.phys_base);
            sub.u32(u64::from(self.dump_level));
        }
        if self.version >= 2 {
            sub.u32(u64::from(self.part.is_some()));
            // Obsolete in version 6, but makedumpfile fills them.
            sub.ulong(part.start.min(0xffff_ffff));
            sub.ulong(part.end.min(0xffff_ffff));
        }
        if self.version >= 3 {
            sub.u64(info.0);
            sub.ulong(info.1);
        }
        if self.version >= 4 {
            sub.u64(notes.0);
            sub.ulong(notes.1);
        }
        if self.version >= 5 {
            sub.u64(erase.0);
            sub.ulong(erase.1);
        }
        if self.version >= 6 {
            sub.u64(part.start);
            sub.u64(part.end);
            sub.u64(self.model.max_mapnr);
        }
        sub.finish()
    }

    /// The descriptors and the data, which begins at this offset of the file.
    fn pages(&self, pages: &[Vec<u8>], data_start: usize) -> (Vec<u8>, Vec<u8>) {
        let mut data: Vec<u8> = Vec::new();
        let mut stored = vec![(0, 0, 0); pages.len()];
        let mut seen: HashMap<&[u8], usize> = HashMap::new();
        let mut order: Vec<usize> = (0..pages.len()).collect();
        if self.scattered {
            order.reverse();
        }
        for index in order {
            let page = &pages[index];
            let packed = pack(self.codec, page).filter(|packed| packed.len() < page.len());
            let flags = if packed.is_some() { self.codec } else { 0 };
            let bytes = packed.as_ref().unwrap_or(page);
            let shared = self.scattered || self.share_zero && page.iter().all(|byte| *byte == 0);
            let at = seen.get(&page[..]).copied().unwrap_or_else(|| {
                if self.scattered {
                    let few = index * 7 % 50;
                    data.extend(&GAP[..if index % 5 == 0 { GAP.len() } else { few }]);
                }
                data.extend(bytes);
                data.len() - bytes.len()
            });
            if shared {
                seen.insert(page, at);
            }
            stored[index] = (data_start + at, bytes.len(), flags);
        }
        let mut descriptors = CStruct::new(self.layout);
        for (offset, size, flags) in stored {
            descriptors.u64(offset as u64);
            descriptors.u32(size as u64);
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
