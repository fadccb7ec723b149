//! The two headers of a kdump file: where each field lies in each layout, as compiling the C structs shows.

use super::elf::{Class, Endian, machine};
use super::image::Image;

/// The five layouts of a kdump file's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KdumpLayout {
    Le64,
    Be64,
    /// 32-bit, little endian, u64 aligned to 4: i386.
    Le32Packed,
    /// 32-bit, u64 aligned to 8: arm, mips, riscv32.
    Le32,
    /// The same in big endian: ppc, mips.
    Be32,
}

impl KdumpLayout {
    /// The layout that a dump of this kind must have: it follows the kernel's word size.
    #[must_use]
    pub fn of(e_machine: u16, class: Class, endian: Endian) -> Self {
        let is_32_bit = match e_machine {
            machine::I386 | machine::ARM | machine::PPC | machine::SPARC32 => true,
            machine::X86_64
            | machine::AARCH64
            | machine::PPC64
            | machine::S390X
            | machine::SPARCV9 => false,
            // One number for both word sizes: mips, riscv, loongarch.
            _ => class == Class::Elf32,
        };
        match (is_32_bit, endian) {
            (false, Endian::Little) => KdumpLayout::Le64,
            (false, Endian::Big) => KdumpLayout::Be64,
            (true, Endian::Little) if e_machine == machine::I386 => KdumpLayout::Le32Packed,
            (true, Endian::Little) => KdumpLayout::Le32,
            (true, Endian::Big) => KdumpLayout::Be32,
        }
    }

    /// The byte order of every number but those of the flattened format.
    #[must_use]
    pub fn endian(self) -> Endian {
        match self {
            KdumpLayout::Be64 | KdumpLayout::Be32 => Endian::Big,
            KdumpLayout::Le64 | KdumpLayout::Le32Packed | KdumpLayout::Le32 => Endian::Little,
        }
    }

    /// Bytes of the main header that have a meaning.
    #[must_use]
    pub fn main_header_bytes(self) -> u64 {
        [464, 452, 452][self.column()]
    }

    /// Size of the sub header of version 6 in bytes.
    #[must_use]
    pub fn sub_header_bytes(self) -> u64 {
        [104, 80, 96][self.column()]
    }

    fn word(self) -> usize {
        [8, 4, 4][self.column()]
    }

    /// The column of the field tables: 64-bit, packed, padded.
    fn column(self) -> usize {
        match self {
            KdumpLayout::Le64 | KdumpLayout::Be64 => 0,
            KdumpLayout::Le32Packed => 1,
            KdumpLayout::Le32 | KdumpLayout::Be32 => 2,
        }
    }
}

/// Size of a field in bytes; `Word` is C's `unsigned long`.
#[derive(Clone, Copy)]
enum Size {
    Four,
    Eight,
    Word,
}

/// A row of the tables: name, size, offset in the 64-bit, packed and padded layout.
type Row = (&'static str, Size, [usize; 3]);

const MAIN: [Row; 12] = [
    ("header_version", Size::Four, [8, 8, 8]),
    ("tv_sec", Size::Word, [408, 404, 404]),
    ("tv_usec", Size::Word, [416, 408, 408]),
    ("status", Size::Four, [424, 412, 412]),
    ("block_size", Size::Four, [428, 416, 416]),
    ("sub_hdr_size", Size::Four, [432, 420, 420]),
    ("bitmap_blocks", Size::Four, [436, 424, 424]),
    ("max_mapnr", Size::Four, [440, 428, 428]),
    ("total_ram_blocks", Size::Four, [444, 432, 432]),
    ("device_blocks", Size::Four, [448, 436, 436]),
    ("written_blocks", Size::Four, [452, 440, 440]),
    ("current_cpu", Size::Four, [456, 444, 444]),
];
const NR_CPUS: Row = ("nr_cpus", Size::Four, [460, 448, 448]);

const SUB: [Row; 14] = [
    ("phys_base", Size::Word, [0, 0, 0]),
    ("dump_level", Size::Four, [8, 4, 4]),
    ("split", Size::Four, [12, 8, 8]),
    ("start_pfn", Size::Word, [16, 12, 12]),
    ("end_pfn", Size::Word, [24, 16, 16]),
    ("offset_vmcoreinfo", Size::Eight, [32, 20, 24]),
    ("size_vmcoreinfo", Size::Word, [40, 28, 32]),
    ("offset_note", Size::Eight, [48, 32, 40]),
    ("size_note", Size::Word, [56, 40, 48]),
    ("offset_eraseinfo", Size::Eight, [64, 44, 56]),
    ("size_eraseinfo", Size::Word, [72, 52, 64]),
    ("start_pfn_64", Size::Eight, [80, 56, 72]),
    ("end_pfn_64", Size::Eight, [88, 64, 80]),
    ("max_mapnr_64", Size::Eight, [96, 72, 88]),
];

const UTSNAME_AT: usize = 12;
const UTSNAME_FIELD_BYTES: usize = 65;
const UTSNAME_FIELDS: [&str; 6] =
    ["sysname", "nodename", "release", "version", "machine", "domainname"];

/// The fields of both headers, under their C names and as unsigned numbers of their own width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub header_version: u64,
    /// The six fields of 65 bytes as they are: sysname, nodename, release, version, machine, domainname.
    pub utsname: [Vec<u8>; 6],
    pub tv_sec: u64,
    pub tv_usec: u64,
    pub status: u64,
    /// In bytes.
    pub block_size: u64,
    /// In blocks.
    pub sub_hdr_size: u64,
    /// In blocks, both bitmaps.
    pub bitmap_blocks: u64,
    pub max_mapnr: u64,
    pub total_ram_blocks: u64,
    pub device_blocks: u64,
    pub written_blocks: u64,
    pub current_cpu: u64,
    pub nr_cpus: u64,
    pub phys_base: u64,
    pub dump_level: u64,
    pub split: u64,
    pub start_pfn: u64,
    pub end_pfn: u64,
    pub offset_vmcoreinfo: u64,
    pub size_vmcoreinfo: u64,
    pub offset_note: u64,
    pub size_note: u64,
    pub offset_eraseinfo: u64,
    pub size_eraseinfo: u64,
    pub start_pfn_64: u64,
    pub end_pfn_64: u64,
    pub max_mapnr_64: u64,
    /// Name of the first piece of padding or of a block's unused tail that is not zero.
    pub dirty_padding: Option<&'static str>,
}

/// Makes the headers of a file of a split set those of a file with all pages.
pub fn clear_split(file: &mut [u8], block_size: usize, layout: KdumpLayout) {
    let names = ["split", "start_pfn", "end_pfn", "start_pfn_64", "end_pfn_64"];
    for (_, size, offsets) in SUB.iter().filter(|row| names.contains(&row.0)) {
        let bytes = match size {
            Size::Four => 4,
            Size::Eight => 8,
            Size::Word => layout.word(),
        };
        file[block_size + offsets[layout.column()]..][..bytes].fill(0);
    }
}

impl Header {
    /// Reads both headers in this layout; checks only what finding them needs.
    ///
    /// # Errors
    /// A wrong signature or version, a senseless block size, a file that is too short.
    pub fn read(image: &Image, layout: KdumpLayout) -> Result<Self, String> {
        let main = image.read(0, layout.main_header_bytes())?;
        if !main.starts_with(b"KDUMP   ") {
            return Err(format!("signature is {:?}", String::from_utf8_lossy(&main[..8])));
        }
        let main_field = |row: &Row| get(&main, row, layout);
        let main_field = |name: &str| MAIN.iter().find(|row| row.0 == name).map_or(0, main_field);
        let header_version = main_field("header_version");
        if header_version != 6 {
            return Err(format!("header_version is {header_version:#x}, not 6"));
        }
        let block_size = main_field("block_size");
        if !is_block_size(block_size) {
            return Err(format!("block_size is {block_size}"));
        }
        let main_block = image.read(0, block_size)?;
        let sub_block = image.read(block_size, block_size)?;
        let sub = |name: &str| {
            SUB.iter().find(|row| row.0 == name).map_or(0, |row| get(&sub_block, row, layout))
        };
        Ok(Header {
            header_version,
            utsname: std::array::from_fn(|i| {
                let start = UTSNAME_AT + i * UTSNAME_FIELD_BYTES;
                main[start..start + UTSNAME_FIELD_BYTES].to_vec()
            }),
            tv_sec: main_field("tv_sec"),
            tv_usec: main_field("tv_usec"),
            status: main_field("status"),
            block_size,
            sub_hdr_size: main_field("sub_hdr_size"),
            bitmap_blocks: main_field("bitmap_blocks"),
            max_mapnr: main_field("max_mapnr"),
            total_ram_blocks: main_field("total_ram_blocks"),
            device_blocks: main_field("device_blocks"),
            written_blocks: main_field("written_blocks"),
            current_cpu: main_field("current_cpu"),
            nr_cpus: get(&main, &NR_CPUS, layout),
            phys_base: sub("phys_base"),
            dump_level: sub("dump_level"),
            split: sub("split"),
            start_pfn: sub("start_pfn"),
            end_pfn: sub("end_pfn"),
            offset_vmcoreinfo: sub("offset_vmcoreinfo"),
            size_vmcoreinfo: sub("size_vmcoreinfo"),
            offset_note: sub("offset_note"),
            size_note: sub("size_note"),
            offset_eraseinfo: sub("offset_eraseinfo"),
            size_eraseinfo: sub("size_eraseinfo"),
            start_pfn_64: sub("start_pfn_64"),
            end_pfn_64: sub("end_pfn_64"),
            max_mapnr_64: sub("max_mapnr_64"),
            dirty_padding: dirty_padding(&main_block, &sub_block, layout),
        })
    }

    /// A utsname field up to its NUL, by its name in C.
    #[must_use]
    pub fn uts(&self, name: &str) -> String {
        let index = UTSNAME_FIELDS.iter().position(|field| *field == name);
        let field = &self.utsname[index.unwrap_or_else(|| panic!("no utsname field {name}"))];
        let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// `phys_base` with its sign, of a layout's width.
    #[must_use]
    pub fn signed_phys_base(&self, layout: KdumpLayout) -> i64 {
        if layout.word() == 8 {
            self.phys_base as i64
        } else {
            i64::from(self.phys_base as u32 as i32)
        }
    }
}

/// Tells the layout from the header itself: the version gives the byte order; where `block_size`
/// makes sense and the machine's name give the word size and the alignment.
///
/// # Errors
/// No kdump header of version 6, or one that could be read in two ways.
pub fn guess_layout(image: &Image) -> Result<KdumpLayout, String> {
    let main = image.read(0, KdumpLayout::Le64.main_header_bytes())?;
    let endian = [Endian::Little, Endian::Big]
        .into_iter()
        .find(|endian| endian.number(&main[8..12]) == 6)
        .ok_or("header_version is not 6 in either byte order")?;
    let machine_at = UTSNAME_AT + 4 * UTSNAME_FIELD_BYTES;
    let name = main[machine_at..machine_at + UTSNAME_FIELD_BYTES].split(|byte| *byte == 0).next();
    let name = String::from_utf8_lossy(name.unwrap_or_default()).into_owned();

    let makes_sense = |at: usize| is_block_size(endian.number(&main[at..at + 4]));
    let is_64_bit = match (makes_sense(428), makes_sense(416)) {
        (true, false) => true,
        (false, true) => false,
        (false, false) => return Err("block_size makes sense in no layout".to_owned()),
        (true, true) => return Err("block_size makes sense as 32 and 64 bits".to_owned()),
    };
    let is_i386 = name.len() == 4 && name.starts_with('i') && name.ends_with("86");
    match (is_64_bit, endian) {
        (true, Endian::Little) => Ok(KdumpLayout::Le64),
        (true, Endian::Big) => Ok(KdumpLayout::Be64),
        (false, Endian::Big) => Ok(KdumpLayout::Be32),
        (false, Endian::Little) if is_i386 => Ok(KdumpLayout::Le32Packed),
        (false, Endian::Little) if name.is_empty() => {
            Err("32-bit without a machine name: packed or padded".to_owned())
        }
        (false, Endian::Little) => Ok(KdumpLayout::Le32),
    }
}

fn is_block_size(value: u64) -> bool {
    value.is_power_of_two() && (4096..=262_144).contains(&value)
}

fn get(block: &[u8], row: &Row, layout: KdumpLayout) -> u64 {
    let at = row.2[layout.column()];
    layout.endian().number(&block[at..at + bytes_of(row.1, layout)])
}

fn bytes_of(size: Size, layout: KdumpLayout) -> usize {
    match size {
        Size::Four => 4,
        Size::Eight => 8,
        Size::Word => layout.word(),
    }
}

/// Blanks out every field; what is left must be zero.
fn dirty_padding(main: &[u8], sub: &[u8], layout: KdumpLayout) -> Option<&'static str> {
    let blank = |block: &mut Vec<u8>, rows: &[Row]| {
        for row in rows {
            let at = row.2[layout.column()];
            block[at..at + bytes_of(row.1, layout)].fill(0);
        }
    };
    let (mut main, mut sub) = (main.to_vec(), sub.to_vec());
    main[..UTSNAME_AT + 6 * UTSNAME_FIELD_BYTES].fill(0);
    blank(&mut main, &MAIN);
    blank(&mut main, &[NR_CPUS]);
    blank(&mut sub, &SUB);
    sub.truncate(usize::try_from(layout.sub_header_bytes()).unwrap());
    if main.iter().any(|byte| *byte != 0) {
        Some("main header")
    } else if sub.iter().any(|byte| *byte != 0) {
        Some("sub header")
    } else {
        None
    }
}
