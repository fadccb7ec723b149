//! The section `ram`: the list of blocks, and the pages in the order in which they were sent.

use std::collections::HashMap;

use crate::dump::image::qemu::cursor::{Cursor, Stop};
use crate::dump::image::qemu::memory::Block;
use crate::dump::image::qemu::pages::{ArrivingPages, BlockPages, MappedPages, Place};
use crate::error::{Error, UnsupportedKind};
use crate::format::qemu::{MappedBlock, RamRecord, RamRecordKind};
use crate::format::wire::ByteOrder::Big;
use crate::input::{ReadAt, read_full};
use crate::pages::in_memory;

/// Far more blocks than any guest has.
const MAX_BLOCKS: usize = 1 << 16;

/// A block whose pages are being read.
struct ArrivingBlock {
    name: Vec<u8>,
    bytes: u64,
    pages: Arriving,
}

enum Arriving {
    Pages(ArrivingPages),
    Mapped(MappedBlock),
}

/// What was read of the section `ram`.
#[derive(Default)]
pub(super) struct RamSection {
    /// The size of a page.
    page_bytes: u64,
    /// Whether blocks have their own places in the file.
    is_mapped: bool,
    /// Whether postcopy was announced.
    may_be_postcopy: bool,
    blocks: Vec<ArrivingBlock>,
    by_name: HashMap<Vec<u8>, usize>,
    /// The block of the record before.
    current: Option<usize>,
    has_pages: bool,
}

impl RamSection {
    /// Nothing yet. A guest with pages of `page_bytes`, a power of two, whose blocks have their own
    /// places in the file if it `is_mapped`.
    pub(super) fn new(page_bytes: u64, is_mapped: bool, may_be_postcopy: bool) -> Self {
        RamSection { page_bytes, is_mapped, may_be_postcopy, ..RamSection::default() }
    }

    /// Reads the records of one part of the section.
    ///
    /// # Errors
    /// [`Stop::Fault`] for records that make no sense, or whose pages cannot be read.
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        loop {
            let at = cursor.offset();
            let damaged = |why: String| Stop::damaged("record of memory", at, why);
            let record =
                RamRecord::decode(cursor.number::<{ RamRecord::BYTES }>()?, self.page_bytes)
                    .map_err(damaged)?;
            let unsupported = |kind| Err(Stop::Fault(Error::Unsupported(kind)));
            match record.kind {
                RamRecordKind::Eos => return Ok(()),
                RamRecordKind::MemSize => self.read_blocks(cursor, record.address)?,
                RamRecordKind::Zero => {
                    let (pages, page) = self.page(cursor, record, at)?;
                    let [byte] = cursor.take()?;
                    pages.push(page, Place::Fill(byte));
                    self.has_pages = true;
                }
                RamRecordKind::Page => {
                    let page_bytes = self.page_bytes;
                    let (pages, page) = self.page(cursor, record, at)?;
                    let offset = cursor.offset();
                    cursor.skip(page_bytes)?;
                    pages.push(page, Place::File(offset));
                    self.has_pages = true;
                }
                RamRecordKind::Hook => {}
                RamRecordKind::MultifdFlush if self.is_mapped => {}
                RamRecordKind::MultifdFlush => return unsupported(UnsupportedKind::QemuMultifd),
                RamRecordKind::Xbzrle => return unsupported(UnsupportedKind::QemuXbzrle),
                RamRecordKind::CompressPage => {
                    return unsupported(UnsupportedKind::QemuCompressed);
                }
            }
        }
    }

    /// The pages of the block that a record names, and the number of its page in there.
    fn page(
        &mut self,
        cursor: &mut Cursor<'_>,
        record: RamRecord,
        at: u64,
    ) -> Result<(&mut ArrivingPages, u64), Stop> {
        let damaged = |why: String| Stop::damaged("record of memory", at, why);
        if !record.continues {
            let name = cursor.name()?;
            let index = self.by_name.get(&name).copied();
            let unknown =
                || damaged(format!("no RAM block is called {}", String::from_utf8_lossy(&name)));
            self.current = Some(index.ok_or_else(unknown)?);
        }
        let block = self.current.and_then(|index| self.blocks.get_mut(index));
        let block = block.ok_or_else(|| damaged("it goes on with no block".to_owned()))?;
        let address = record.address;
        if address >= block.bytes {
            let (name, bytes) = (String::from_utf8_lossy(&block.name), block.bytes);
            let why = format!("address {address:#x} in RAM block {name} of {bytes:#x} bytes");
            return Err(damaged(why));
        }
        match &mut block.pages {
            Arriving::Pages(pages) => Ok((pages, address / self.page_bytes)),
            Arriving::Mapped(_) => Err(damaged("a page of a block that is mapped".to_owned())),
        }
    }

    /// Reads the list of blocks, which have `total` bytes.
    fn read_blocks(&mut self, cursor: &mut Cursor<'_>, total: u64) -> Result<(), Stop> {
        let mut left = total;
        while left > 0 {
            let at = cursor.offset();
            let damaged = |why: String| Stop::damaged("RAM block", at, why);
            let name = cursor.name()?;
            let bytes = cursor.number::<8>()?;
            left = left.checked_sub(bytes).ok_or_else(|| {
                let name = String::from_utf8_lossy(&name);
                damaged(format!("{name} has {bytes:#x} bytes; all blocks have {total:#x}"))
            })?;
            let pages = if self.is_mapped {
                Arriving::Mapped(read_mapped(cursor, bytes)?)
            } else {
                self.skip_page_size(cursor)?;
                Arriving::Pages(ArrivingPages::new(self.page_bytes))
            };
            if self.blocks.len() >= MAX_BLOCKS {
                return Err(damaged(format!("more than {MAX_BLOCKS} of them")));
            }
            self.by_name.insert(name.clone(), self.blocks.len());
            self.blocks.push(ArrivingBlock { name, bytes, pages });
        }
        Ok(())
    }

    /// Skips the size of a block's pages, which is there only if it is large. No name is empty, so
    /// what begins with 0 is no further block; a record has flags, so it is no power of two either.
    fn skip_page_size(&self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        let next = cursor.peek(8)?;
        let number = if next.len() == 8 { Big.read_uint(next) } else { 0 };
        if self.may_be_postcopy && number.is_power_of_two() && number > self.page_bytes {
            cursor.skip(8)?;
        }
        Ok(())
    }

    /// Whether a page is known, or where it would be.
    pub(super) fn has_pages(&self) -> bool {
        self.has_pages || self.is_mapped && !self.blocks.is_empty()
    }

    /// The blocks with all their pages. If not all of the section was read, the bitmaps of mapped
    /// blocks may not have been written: QEMU writes them last.
    ///
    /// # Errors
    /// [`Stop::Fault`] if a bitmap cannot be read.
    pub(super) fn finish(self, input: &dyn ReadAt, is_complete: bool) -> Result<Vec<Block>, Stop> {
        let block = |ArrivingBlock { name, bytes, pages }| {
            let (pages, page_bytes) = match pages {
                Arriving::Pages(pages) => (BlockPages::Runs(pages.finish()), self.page_bytes),
                Arriving::Mapped(mapped) => {
                    let page_bytes = mapped.page_size;
                    (BlockPages::Mapped(map(mapped, bytes, input, is_complete)?), page_bytes)
                }
            };
            Ok(Block { name, bytes, page_bytes, pages })
        };
        self.blocks.into_iter().map(block).collect()
    }
}

/// Reads where the pages of a block are, and goes on after them.
fn read_mapped(cursor: &mut Cursor<'_>, bytes: u64) -> Result<MappedBlock, Stop> {
    let at = cursor.offset();
    let damaged = |why: String| Stop::damaged("header of a mapped RAM block", at, why);
    let mapped = MappedBlock::decode(&cursor.take()?).map_err(damaged)?;
    let bitmap_bytes = MappedBlock::bitmap_bytes(bytes.div_ceil(mapped.page_size));
    let bitmap_end = mapped.bitmap_offset.checked_add(bitmap_bytes);
    let after = mapped.pages_offset.checked_add(bytes);
    let is_in_order = mapped.bitmap_offset >= cursor.offset()
        && bitmap_end.is_some_and(|end| end <= mapped.pages_offset);
    let after = after.filter(|end| is_in_order && i64::try_from(*end).is_ok());
    let after = after.ok_or_else(|| {
        let MappedBlock { bitmap_offset, pages_offset, .. } = mapped;
        damaged(format!("its bitmap is at {bitmap_offset:#x}, its pages are at {pages_offset:#x}"))
    })?;
    cursor.seek(after);
    Ok(mapped)
}

/// The pages of a mapped block.
fn map(
    mapped: MappedBlock,
    bytes: u64,
    input: &dyn ReadAt,
    is_complete: bool,
) -> Result<MappedPages, Stop> {
    let MappedBlock { page_size, bitmap_offset, pages_offset } = mapped;
    let file_bytes = input.size().unwrap_or_default();
    let wanted = MappedBlock::bitmap_bytes(bytes.div_ceil(page_size));
    // What is not in the file takes no memory.
    let there = wanted.min(file_bytes.saturating_sub(bitmap_offset));
    let mut bitmap = vec![0; in_memory(there)];
    let read = read_full(input, &mut bitmap, bitmap_offset)
        .map_err(|error| Stop::Fault(Error::read("the bitmap of a RAM block")(error)))?;
    bitmap.truncate(read);
    let is_whole = bitmap.len() as u64 == wanted;
    let is_written = is_whole && (is_complete || bitmap.iter().any(|byte| *byte != 0));
    let bitmap = Some(bitmap).filter(|_| is_written);
    Ok(MappedPages { bitmap, offset: pages_offset, page_bytes: page_size, file_bytes })
}
