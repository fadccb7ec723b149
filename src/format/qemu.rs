//! QEMU's migration stream: sections, the records of section `ram`, and mapped memory.
//!
//! ```text
//! header | configuration | section | section | .. | EOF | description of the devices
//! ```
//!
//! All integers are big-endian, whatever the guest. The header is `QEVM` and the version, 3. Each
//! section begins with a byte, its [type](Section):
//!
//! | byte | section | what follows |
//! |---|---|---|
//! | 0 | EOF | nothing, or the description |
//! | 1 | START | id u32, name (a byte with its length, the characters), instance u32, version u32, content |
//! | 2 | PART | id u32, content |
//! | 3 | END | id u32, content |
//! | 4 | FULL | as START |
//! | 5 | SUBSECTION | name, version u32, content: within the content of another section |
//! | 6 | VMDESCRIPTION | its length u32, JSON that tells the fields of all FULL sections |
//! | 7 | CONFIGURATION | length u32, the machine's name; subsections |
//! | 8 | COMMAND | command u16, length u16, arguments |
//! | 0x7e | FOOTER | id u32, after the content of START, PART, END and FULL, since QEMU 2.3 |
//!
//! Nothing tells how long the content of a section is: a reader must know it, or search for its
//! footer. Memory is in the section `ram`, version 4, whose content is records of a u64: an address
//! within a RAM block and, in the bits below the page size, flags.
//!
//! | flags | record | what follows |
//! |---|---|---|
//! | 0x02 | ZERO | name of the block unless CONTINUE, a byte of which the whole page consists |
//! | 0x04 | MEM_SIZE | the address is the size of all blocks; the list of blocks: name, length u64; the size of their pages u64 where it is large, if postcopy was announced; the [mapped block](MappedBlock) |
//! | 0x08 | PAGE | name of the block unless CONTINUE, the page |
//! | 0x10 | EOS | nothing: the end of the section |
//! | 0x20 | CONTINUE | with another flag: the block is that of the record before |
//! | 0x40 | XBZRLE | what changed of a page that the destination has |
//! | 0x80 | HOOK | nothing: pages go another way (RDMA) |
//! | 0x100 | COMPRESS_PAGE | the page, compressed |
//! | 0x200 | MULTIFD_FLUSH | nothing: pages go through other channels |
//!
//! A page that was written while the guest ran is sent again; the last one counts. With the capability
//! `mapped-ram` there are no records of pages: each has its own place in the file.
//!
//! Sources: QEMU's `docs/devel/migration/main.rst` and `mapped-ram.rst`, `migration/savevm.c`, `ram.c`,
//! `qemu-file.c`.

use crate::format::wire::ByteOrder::Big;

/// The first bytes.
pub const MAGIC: [u8; 4] = *b"QEVM";

/// The only version of the stream that is read; 2 was that of QEMU before 0.10.
pub const VERSION: u32 = 3;

/// The version of the section `ram`.
pub const RAM_VERSION: u32 = 4;

/// The byte before the id of a section that has ended.
pub const FOOTER: u8 = 0x7e;

/// The byte before a subsection.
pub const SUBSECTION: u8 = 5;

/// The byte before a FULL section.
pub const FULL: u8 = 4;

/// The byte before the description of the devices.
pub const DESCRIPTION: u8 = 6;

/// The byte before the configuration.
pub const CONFIGURATION: u8 = 7;

/// Bytes of an integer that tells the id of a section, a version or a length.
pub const WORD_BYTES: usize = 4;

/// The size of pages unless the stream says otherwise.
pub const PAGE_BYTES: u64 = 4096;

/// The logarithms of the sizes of pages that QEMU has had: 1 KiB (arm) to 64 KiB.
pub const PAGE_BITS: std::ops::RangeInclusive<u32> = 10..=16;

/// What a section is, by its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The last one.
    Eof,
    /// The first part of one that is sent in parts.
    Start,
    /// A further part.
    Part,
    /// The last part.
    End,
    /// A whole one.
    Full,
    /// A command to the destination.
    Command,
}

impl Section {
    /// The section that begins with `byte`.
    #[must_use]
    pub fn of(byte: u8) -> Option<Section> {
        Some(match byte {
            0 => Section::Eof,
            1 => Section::Start,
            2 => Section::Part,
            3 => Section::End,
            FULL => Section::Full,
            8 => Section::Command,
            _ => return None,
        })
    }
}

/// Commands that matter to a reader (`enum qemu_vm_cmd`).
pub mod command {
    /// Postcopy may follow; pages of large blocks are announced.
    pub const POSTCOPY_ADVISE: u64 = 3;
    /// The rest of memory is fetched while the guest runs at its destination.
    pub const POSTCOPY_LISTEN: u64 = 4;
    /// The guest runs at its destination.
    pub const POSTCOPY_RUN: u64 = 5;
    /// Pages were written to after they were sent, and are fetched again.
    pub const POSTCOPY_RAM_DISCARD: u64 = 6;
    /// A stream within the stream, as postcopy has it.
    pub const PACKAGED: u64 = 7;
}

/// What a record of the section `ram` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RamRecordKind {
    /// A page of one byte.
    Zero,
    /// The list of blocks.
    MemSize,
    /// A page.
    Page,
    /// The end of the section's part.
    Eos,
    /// What changed of a page.
    Xbzrle,
    /// A compressed page.
    CompressPage,
    /// Nothing in the stream.
    Hook,
    /// Nothing in the stream.
    MultifdFlush,
}

/// The head of a record of the section `ram`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RamRecord {
    /// What it is.
    pub kind: RamRecordKind,
    /// Whether the block is that of the record before.
    pub continues: bool,
    /// An address within the block; of [`MemSize`](RamRecordKind::MemSize) the bytes of all blocks.
    pub address: u64,
}

const CONTINUE: u64 = 0x20;

impl RamRecord {
    /// Bytes of the head.
    pub const BYTES: usize = 8;

    /// The record whose first word is `word`, of a guest with pages of `page_bytes`, a power of two.
    /// The error says what is wrong with it.
    ///
    /// # Errors
    /// Unknown flags.
    pub fn decode(word: u64, page_bytes: u64) -> Result<Self, String> {
        let flags = word & (page_bytes - 1);
        let kind = match flags & !CONTINUE {
            0x02 => RamRecordKind::Zero,
            0x04 => RamRecordKind::MemSize,
            0x08 => RamRecordKind::Page,
            0x10 => RamRecordKind::Eos,
            0x40 => RamRecordKind::Xbzrle,
            0x80 => RamRecordKind::Hook,
            0x100 => RamRecordKind::CompressPage,
            0x200 => RamRecordKind::MultifdFlush,
            _ => return Err(format!("flags are {flags:#x}, of no known record")),
        };
        Ok(RamRecord { kind, continues: flags & CONTINUE != 0, address: word - flags })
    }
}

/// Where the pages of a block are, with the capability `mapped-ram` (`MappedRamHeader`):
///
/// ```text
/// version u32 | page_size u64 | bitmap_offset u64 | pages_offset u64
/// ```
///
/// The bitmap has a bit for each page, the lowest one of a byte first, in whole words of 64 bits. A
/// page is at `pages_offset` plus its address in the block; if its bit is 0, it is all zeros. The next
/// block of the list follows the pages. Offsets are those of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappedBlock {
    /// The size of its pages.
    pub page_size: u64,
    /// The place of the bitmap.
    pub bitmap_offset: u64,
    /// The place of the pages.
    pub pages_offset: u64,
}

impl MappedBlock {
    /// Bytes of the header.
    pub const BYTES: usize = 28;

    /// Decodes the header. The error says what is wrong with it.
    ///
    /// # Errors
    /// Another version than 1; a page size that no guest has.
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Result<Self, String> {
        let (version, rest) = bytes.split_at(WORD_BYTES);
        let version = Big.read_uint(version);
        if version != 1 {
            return Err(format!("version is {version}, not 1"));
        }
        let (page_size, rest) = rest.split_at(8);
        let (bitmap_offset, pages_offset) = rest.split_at(8);
        let page_size = Big.read_uint(page_size);
        if !page_size.is_power_of_two() || !PAGE_BITS.contains(&page_size.trailing_zeros()) {
            return Err(format!("page_size is {page_size}"));
        }
        let (bitmap_offset, pages_offset) =
            (Big.read_uint(bitmap_offset), Big.read_uint(pages_offset));
        Ok(MappedBlock { page_size, bitmap_offset, pages_offset })
    }

    /// Bytes of the bitmap of a block of `pages`.
    #[must_use]
    pub fn bitmap_bytes(pages: u64) -> u64 {
        pages.div_ceil(64) * 8
    }
}
