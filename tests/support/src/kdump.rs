//! `Kdump`: a strict, independent reader of kdump-compressed files, plain or flattened.
//!
//! Opening a file checks every claim that can be made of the files the product writes; what other writers
//! do otherwise is let through by [`Strictness::Lenient`].

use super::bitmap::Bitmap;
use super::image::Image;
use super::kdump_header::{Header, KdumpLayout, guess_layout};
use super::kdump_pages::{
    DESCRIPTOR_BYTES, STATUS_EXCLUDED_VMEMMAP, STATUS_INCOMPLETE, Stored, codec, decode,
    read_descriptors,
};
use super::notes::{FoundNote, parse_notes};

/// How much a file must keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Every rule for files that the product writes of an ELF core.
    Ours,
    /// The same of a kdump file, whose headers say more than a core.
    Again,
    /// What a reader needs to read a file of another writer right.
    Lenient,
}

/// A page as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// No memory there.
    Hole,
    /// Memory that the file has nothing of.
    Excluded,
    /// Memory that an incomplete dump lost.
    Incomplete,
    /// The page's bytes, a block of them.
    Data(Vec<u8>),
}

/// An open kdump file.
#[derive(Debug)]
pub struct Kdump {
    pub layout: KdumpLayout,
    pub header: Header,
    /// The notes' bytes as they are in the file.
    pub note_bytes: Vec<u8>,
    /// VMCOREINFO's bytes at `offset_vmcoreinfo`; empty when there is none.
    pub vmcoreinfo: Vec<u8>,
    /// Memory that the crashed machine has.
    pub present: Bitmap,
    /// Pages with a descriptor.
    pub dumped: Bitmap,
    /// One for each page with a descriptor, ascending by pfn.
    pub descriptors: Vec<Stored>,
    image: Image,
}

impl Kdump {
    /// Opens a file and tells its layout from its header.
    ///
    /// # Errors
    /// The first rule that the file breaks.
    pub fn open(image: Image, strictness: Strictness) -> Result<Self, String> {
        let layout = guess_layout(&image)?;
        Kdump::open_as(image, layout, strictness)
    }

    /// Opens a file that must have this layout.
    ///
    /// # Errors
    /// The first rule that the file breaks.
    pub fn open_as(
        image: Image,
        layout: KdumpLayout,
        strictness: Strictness,
    ) -> Result<Self, String> {
        let image = match strictness {
            Strictness::Ours | Strictness::Again => image,
            Strictness::Lenient => image.allow_gaps(),
        };
        let header = Header::read(&image, layout)?;
        check_geometry(&header, layout, strictness)?;
        let block = header.block_size;
        let bitmaps_start = (1 + header.sub_hdr_size) * block;
        let half = header.bitmap_blocks / 2 * block;
        let present = Bitmap::read(&image, bitmaps_start, half)?;
        let dumped = Bitmap::read(&image, bitmaps_start + half, half)?;
        check_bitmaps(&header, &present, &dumped)?;
        let table_start = bitmaps_start + header.bitmap_blocks * block;
        let descriptors =
            read_descriptors(&image, &header, layout.endian(), table_start, dumped.count())?;
        let area = |offset, size, what: &str| {
            if size == 0 {
                return Ok(Vec::new());
            }
            image.read(offset, size).map_err(|e| format!("{what}: {e}"))
        };
        let note_bytes = area(header.offset_note, header.size_note, "notes")?;
        let vmcoreinfo = area(header.offset_vmcoreinfo, header.size_vmcoreinfo, "vmcoreinfo")?;
        let kdump =
            Kdump { layout, header, note_bytes, vmcoreinfo, present, dumped, descriptors, image };
        kdump.check_notes()?;
        match strictness {
            Strictness::Ours => kdump.check_of_core().and_then(|()| kdump.check_ours())?,
            Strictness::Again => kdump.check_ours()?,
            Strictness::Lenient => {}
        }
        Ok(kdump)
    }

    /// Opens bytes that must keep to our own rules.
    ///
    /// # Errors
    /// The first rule that they break.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        Kdump::open(Image::from_bytes(bytes)?, Strictness::Ours)
    }

    /// Opens bytes that must keep to our own rules, though a kdump file was converted to them.
    ///
    /// # Errors
    /// The first rule that they break.
    pub fn from_bytes_again(bytes: &[u8]) -> Result<Self, String> {
        Kdump::open(Image::from_bytes(bytes)?, Strictness::Again)
    }

    /// The highest pfn of the file plus 1.
    #[must_use]
    pub fn max_pfn(&self) -> u64 {
        self.header.max_mapnr_64
    }

    /// What the file says of one page.
    ///
    /// # Errors
    /// Data that cannot be decoded to exactly a block.
    pub fn page(&self, pfn: u64) -> Result<Page, String> {
        if !self.present.contains(pfn) {
            return Ok(Page::Hole);
        }
        match self.stored(pfn) {
            None => Ok(Page::Excluded),
            Some(stored) if stored.is_incomplete() => Ok(Page::Incomplete),
            Some(stored) => decode(&self.image, stored, self.header.block_size)
                .map(Page::Data)
                .map_err(|e| format!("pfn {pfn:#x} at {:#x}: {e}", stored.offset)),
        }
    }

    /// How a page is stored, if it has a descriptor.
    #[must_use]
    pub fn stored(&self, pfn: u64) -> Option<Stored> {
        let rank = self.dumped.rank(pfn)?;
        self.descriptors.get(usize::try_from(rank).ok()?).copied()
    }

    /// Where the pages' data may begin: right behind the descriptors.
    #[must_use]
    pub fn data_start(&self) -> u64 {
        let blocks = 1 + self.header.sub_hdr_size + self.header.bitmap_blocks;
        blocks * self.header.block_size + self.descriptors.len() as u64 * DESCRIPTOR_BYTES
    }

    /// The end of the last page's data.
    #[must_use]
    pub fn data_end(&self) -> u64 {
        let ends = self.descriptors.iter().map(|stored| stored.offset + u64::from(stored.size));
        ends.max().unwrap_or(0).max(self.data_start())
    }

    /// The file's bytes.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The notes.
    #[must_use]
    pub fn notes(&self) -> Vec<FoundNote> {
        parse_notes(&self.note_bytes, self.layout.endian())
    }

    /// Whether the header says that pages are missing.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.header.status & u64::from(STATUS_INCOMPLETE) != 0
    }

    /// Notes lie inside the sub header's blocks, VMCOREINFO is the desc of one of them.
    fn check_notes(&self) -> Result<(), String> {
        let header = &self.header;
        let block = header.block_size;
        let area = block + self.layout.sub_header_bytes()..(1 + header.sub_hdr_size) * block;
        let (offset, size) = (header.offset_note, header.size_note);
        if size > 0 && !inside(offset, size, area.start, area.end) {
            return Err(format!("notes at {offset:#x}+{size:#x} not inside {area:x?}"));
        }
        let (info, info_size) = (header.offset_vmcoreinfo, header.size_vmcoreinfo);
        if info_size == 0 {
            return Ok(());
        }
        if !inside(info, info_size, offset, offset + size) {
            return Err(format!("vmcoreinfo at {info:#x}+{info_size:#x} not inside the notes"));
        }
        let is_desc = |found: &FoundNote| {
            found.note.name == "VMCOREINFO"
                && offset + found.desc_offset == info
                && found.note.desc.len() as u64 == info_size
        };
        if !self.notes().iter().any(is_desc) {
            return Err(format!("vmcoreinfo at {info:#x}+{info_size:#x} is no VMCOREINFO desc"));
        }
        Ok(())
    }

    /// What a core does not tell is 0.
    fn check_of_core(&self) -> Result<(), String> {
        all_zero(&[
            ("tv_usec", self.header.tv_usec),
            ("total_ram_blocks", self.header.total_ram_blocks),
            ("device_blocks", self.header.device_blocks),
            ("written_blocks", self.header.written_blocks),
            ("current_cpu", self.header.current_cpu),
            ("offset_eraseinfo", self.header.offset_eraseinfo),
            ("size_eraseinfo", self.header.size_eraseinfo),
        ])
    }

    /// What only our own files keep to.
    fn check_ours(&self) -> Result<(), String> {
        let header = &self.header;
        for name in ["sysname", "release", "version", "machine"] {
            if header.uts(name).is_empty() {
                return Err(format!("utsname {name} is empty"));
            }
        }
        let zero = [
            ("split", header.split),
            ("start_pfn", header.start_pfn),
            ("end_pfn", header.end_pfn),
            ("start_pfn_64", header.start_pfn_64),
            ("end_pfn_64", header.end_pfn_64),
        ];
        all_zero(&zero)?;
        if header.tv_usec.is_power_of_two() && (4096..=262_144).contains(&header.tv_usec) {
            return Err(format!("tv_usec is {:#x}, a page size", header.tv_usec));
        }
        let erase = (header.offset_eraseinfo, header.size_eraseinfo);
        let notes_end = header.offset_note + header.size_note;
        if erase != (0, 0) && !inside(erase.0, erase.1, header.offset_note, notes_end) {
            return Err(format!("eraseinfo at {:#x}+{:#x} not inside the notes", erase.0, erase.1));
        }
        if let Some(place) = header.dirty_padding {
            return Err(format!("padding of the {place} is not zero"));
        }
        let codec = header.status as u32 & codec::ALL;
        let is_foreign = |stored: &&Stored| {
            stored.flags != 0 && stored.flags != codec && !stored.is_incomplete()
        };
        if let Some(stored) = self.descriptors.iter().find(is_foreign) {
            return Err(format!("{stored:x?}: not the codec of status {:#x}", header.status));
        }
        let is_info =
            |found: &FoundNote| found.note.name == "VMCOREINFO" && !found.note.desc.is_empty();
        let has_vmcoreinfo = self.notes().iter().any(is_info);
        if has_vmcoreinfo && header.size_vmcoreinfo == 0 {
            return Err("a VMCOREINFO note, but no offset_vmcoreinfo".to_owned());
        }
        for (name, offset, size) in [
            ("note", header.offset_note, header.size_note),
            ("vmcoreinfo", header.offset_vmcoreinfo, header.size_vmcoreinfo),
        ] {
            if size == 0 && offset != 0 {
                return Err(format!("offset_{name} is {offset:#x} without a size"));
            }
        }
        self.check_slack()
    }

    /// Bytes of the sub header's blocks that are neither sub header nor notes are zero.
    fn check_slack(&self) -> Result<(), String> {
        let header = &self.header;
        let block = header.block_size;
        let mut blocks = self.image.read(block, header.sub_hdr_size * block)?;
        blocks[..usize::try_from(self.layout.sub_header_bytes()).unwrap()].fill(0);
        if header.size_note > 0 {
            let start = (header.offset_note - block) as usize;
            blocks[start..start + header.size_note as usize].fill(0);
        }
        match blocks.iter().position(|byte| *byte != 0) {
            None => Ok(()),
            Some(at) => Err(format!("byte {:#x} beside the notes is not zero", block + at as u64)),
        }
    }
}

fn inside(offset: u64, size: u64, start: u64, end: u64) -> bool {
    offset >= start && offset.checked_add(size).is_some_and(|stop| stop <= end)
}

fn all_zero(fields: &[(&str, u64)]) -> Result<(), String> {
    match fields.iter().find(|field| field.1 != 0) {
        None => Ok(()),
        Some((name, value)) => Err(format!("{name} is {value:#x}, not 0")),
    }
}

/// Sizes, counts and status, before anything is found by them.
fn check_geometry(
    header: &Header,
    layout: KdumpLayout,
    strictness: Strictness,
) -> Result<(), String> {
    let block = header.block_size;
    if let Some(index) = header.utsname.iter().position(|field| field.last() != Some(&0)) {
        return Err(format!("utsname field {index} has no NUL at its end"));
    }
    let status = header.status as u32;
    let known = codec::ALL | STATUS_INCOMPLETE | STATUS_EXCLUDED_VMEMMAP;
    if status & !known != 0 || (status & codec::ALL).count_ones() > 1 {
        return Err(format!("status {status:#x}"));
    }
    if header.dump_level > 31 {
        return Err(format!("dump_level {}", header.dump_level));
    }
    if header.nr_cpus == 0 || header.nr_cpus > i32::MAX as u64 {
        return Err(format!("nr_cpus {}", header.nr_cpus as i32));
    }
    let max_mapnr = header.max_mapnr_64;
    if header.max_mapnr != max_mapnr.min(u64::from(u32::MAX)) {
        return Err(format!(
            "max_mapnr {:#x} beside max_mapnr_64 {max_mapnr:#x}",
            header.max_mapnr
        ));
    }
    let expected = 2 * max_mapnr.div_ceil(8).div_ceil(block);
    if header.bitmap_blocks != expected {
        return Err(format!("bitmap_blocks {}, not {expected}", header.bitmap_blocks));
    }
    let expected = layout.sub_header_bytes().saturating_add(header.size_note).div_ceil(block);
    let size = header.sub_hdr_size;
    if (strictness != Strictness::Lenient && size != expected) || size < expected || size > 1 << 20
    {
        return Err(format!("sub_hdr_size {size}, not {expected}"));
    }
    Ok(())
}

fn check_bitmaps(header: &Header, present: &Bitmap, dumped: &Bitmap) -> Result<(), String> {
    for (name, bitmap) in [("1st", present), ("2nd", dumped)] {
        let end = bitmap.runs().last().map_or(0, |run| run.end);
        if end > header.max_mapnr_64 {
            return Err(format!("{name} bitmap has bits up to {end:#x}, past max_mapnr"));
        }
    }
    match dumped.first_outside(present) {
        None => Ok(()),
        Some(pfn) => Err(format!("pfn {pfn:#x} is in the 2nd bitmap but not in the 1st")),
    }
}
