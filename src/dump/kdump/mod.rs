//! Opens a kdump-compressed file, or a split set of them: checks headers, reads bitmaps, finds notes.
//!
//! Only the bitmaps stay in memory. The rank of a page in the 2nd bitmap gives the place of its
//! descriptor, which is read and checked together with the page. No field is trusted unchecked.
//!
//! How headers are laid out belongs in `format::kdump`; reading pages for a caller, in `dump::reader`.

mod blocks;
mod bytes;
mod headers;
mod pages;
mod regrouped;

use crate::dump::early_end::EarlyEnd;
use crate::dump::kdump::blocks::Blocks;
use crate::dump::notes::Notes;
use crate::dump::{Body, Dump, OpenOptions, fitting_phys_base};
use crate::error::{Error, Result, counted};
use crate::format::dump_level::DumpLevel;
use crate::format::kdump::{DiskDumpHeader, KdumpSubHeader, PAGE_DESC_BYTES};
use crate::format::wire::StructLayout;
use crate::input::{InputFailure, ReadAt, read_full};
use crate::kernel::arch::Architecture;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::page_set::PageSet;
use crate::pages::ranges::merge;
use crate::pages::{
    FileRange, MAX_PFN, PageGrid, PageSize, Pfn, PfnRange, PhysAddr, Position, ScaledSet, Span,
    in_memory,
};

pub(crate) use bytes::FileBytes;
pub(crate) use headers::KdumpFile;
pub(crate) use pages::StoredPages;
pub(crate) use regrouped::RegroupedPages;

/// Maximum bytes of a text that becomes a note.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// An open kdump file, or split set of files.
pub(crate) struct Kdump {
    /// The file, or the files of a set in the order of their pages. There is at least one.
    pub files: Vec<KdumpFile>,
    /// The blocks: a descriptor describes each. Mostly, each is a page.
    pub blocks: Blocks,
    /// Pages that are RAM, at least in part.
    pub present: ScaledSet,
    /// Pages that have a descriptor, at least for a part.
    pub kept: ScaledSet,
    /// The number of blocks that are in the 2nd bitmap but not in the 1st. No sound writer makes any.
    pub stray: u64,
    /// The main header; of a set, that of the first file.
    pub header: DiskDumpHeader,
    /// The sub header; of a set, that of the first file.
    pub sub_header: KdumpSubHeader,
    /// One past the highest pfn.
    pub max_mapnr: Pfn,
}

impl Kdump {
    /// Whether a header says that pages were not written, although they should have been.
    pub(crate) fn is_marked_incomplete(&self) -> bool {
        self.files.iter().any(KdumpFile::is_marked_incomplete)
    }

    /// Whether a file is a flattened stream that broke off.
    pub(crate) fn is_broken_stream(&self) -> bool {
        self.files.iter().any(|file| file.input.is_broken_stream())
    }

    /// The file that contains the notes: the first.
    pub(crate) fn input(&self) -> &dyn ReadAt {
        match self.files.first() {
            Some(file) => &*file.input,
            None => &Nothing,
        }
    }

    /// Why the stream that the first file was spooled from ended early, if it did.
    pub(crate) fn stream_failure(&self) -> Option<InputFailure> {
        self.files.first()?.input.stream_failure()
    }

    /// The number of descriptors in `file`.
    pub(crate) fn descriptors_of(&self, file: &KdumpFile) -> u64 {
        let rank = |block| self.blocks.kept.rank(block);
        rank(file.blocks.end).saturating_sub(rank(file.blocks.start))
    }

    /// Bytes of the descriptors that other files of the set have, not `file`. makedumpfile leaves room
    /// for them in each.
    pub(crate) fn bytes_of_other_descriptors(&self, file: &KdumpFile) -> u64 {
        let others = self.blocks.kept.count().saturating_sub(self.descriptors_of(file));
        others.saturating_mul(PAGE_DESC_BYTES as u64)
    }

    /// The file that contains the descriptor of block `block`.
    fn file_of(&self, block: Pfn) -> Option<&KdumpFile> {
        self.files.get(self.index_of(block)?)
    }

    /// The index of the file that contains the descriptor of block `block`.
    fn index_of(&self, block: Pfn) -> Option<usize> {
        let index = self.files.partition_point(|file| file.blocks.start <= block).checked_sub(1)?;
        self.files.get(index).filter(|file| file.blocks.contains(block)).map(|_| index)
    }

    /// The index of the file that contains the descriptor of the start of page `pfn`.
    pub(crate) fn index_of_page(&self, pfn: Pfn) -> Option<usize> {
        self.index_of(self.blocks.block_of(pfn))
    }

    /// The pages of which `file` has descriptors.
    pub(crate) fn pages_of(&self, file: &KdumpFile) -> PfnRange {
        self.blocks.pages_touched(file.blocks)
    }

    /// Kept pages that are in none of the files: they are in other files of a split set.
    pub(crate) fn count_not_given(&self) -> u64 {
        let given = merge(self.files.iter().map(|file| self.pages_of(file)).collect());
        let in_run = |run: &PfnRange| self.kept.rank(run.end) - self.kept.rank(run.start);
        self.kept.count().saturating_sub(given.iter().map(in_run).sum())
    }

    /// The place of the descriptor table in `file`.
    pub(crate) fn table(&self, file: &KdumpFile) -> FileRange {
        Span::new(file.descriptors, file.descriptor_of(self.blocks.kept.rank(file.blocks.end)))
    }
}

/// An empty input, in place of a first file.
struct Nothing;

impl ReadAt for Nothing {
    fn read_at(&self, _buf: &mut [u8], _offset: u64) -> std::io::Result<usize> {
        Ok(0)
    }

    fn size(&self) -> Option<u64> {
        Some(0)
    }
}

/// Reads the headers, bitmaps and notes of a kdump file, or of all files of a split set.
///
/// # Errors
/// [`Error::NotRecognised`] if an input is not a kdump file; [`Error::Damaged`] if headers or bitmaps
/// are implausible or missing, or the files do not belong to one set; [`Error::Read`] if they cannot be
/// read.
pub(crate) fn open(files: Vec<FileBytes>, options: &OpenOptions) -> Result<Dump> {
    let files = files.into_iter().map(KdumpFile::open).collect::<Result<Vec<_>>>()?;
    assemble(files, options)
}

/// Reads the bitmaps and notes of files whose headers were read already.
///
/// # Errors
/// As [`open`].
pub(crate) fn assemble(files: Vec<KdumpFile>, options: &OpenOptions) -> Result<Dump> {
    let early_ends: Vec<EarlyEnd> = files.iter().map(|file| file.input.early_end()).collect();
    put_together(files, options)
        .map_err(|error| early_ends.into_iter().fold(error, |error, end| end.explain(error)))
}

fn put_together(mut files: Vec<KdumpFile>, options: &OpenOptions) -> Result<Dump> {
    // A file without pages sorts before the file that starts at the same page.
    files.sort_by_key(|file| (file.blocks.start, file.blocks.end));
    let Some(first) = files.first() else {
        return Err(Error::NotRecognised("no file to read".to_owned()));
    };
    let mut present = first.read_bitmap(first.bitmap1)?;
    let kept = first.read_bitmap(first.bitmap2)?;
    let (header, sub_header, layout) =
        (first.header.clone(), first.sub_header.clone(), first.layout);
    let (block_size, blocks_end) = (first.block_size, first.blocks_end);

    let mut warnings: Vec<String> =
        files.iter().flat_map(|file| file.damage.iter().cloned()).collect();
    let cut = files.iter().any(|file| file.is_cut);
    let mut incomplete = cut || files.iter().any(KdumpFile::is_marked_incomplete);
    check_set(&files, &kept, &mut warnings, &mut incomplete)?;
    for file in &mut files {
        file.first_rank = kept.rank(file.blocks.start);
        let end = kept.rank(file.blocks.end);
        warnings.extend(file.check_descriptors(end - file.first_rank));
    }
    if DumpLevel::new(sub_header.dump_level).is_none() {
        let level = sub_header.dump_level;
        warnings.push(format!("dump_level {level:#x} has unknown bits: they are ignored"));
    }
    let stray = present.add(&kept);
    if stray > 0 {
        warnings.push(format!(
            "in the 2nd bitmap, but not in the 1st: {}, treated as RAM",
            counted(stray, "page")
        ));
    }
    if present.count() == 0 {
        return Err(Error::Damaged {
            what: "1st bitmap".to_owned(),
            offset: files.first().map_or(0, |file| file.bitmap1.start.get()),
            why: "no bit is set: the dump contains no memory".to_owned(),
        });
    }

    let notes = find_notes(&files, options, &mut warnings);
    incomplete |= !notes.damage.is_empty();
    let vmcoreinfo = notes.vmcoreinfo_text().map(Vmcoreinfo::parse);
    let arch = Architecture::of_uts_machine(&header.utsname.machine)
        .or_else(|| Architecture::of_vmcoreinfo(vmcoreinfo.as_ref()?, layout))
        .or_else(|| Architecture::of_prstatus(notes.prstatus_bytes?, layout))
        // QEMU has 32-bit arm in the layout of i386, but with registers.
        .or_else(|| vmcoreinfo.as_ref().and(Architecture::of_layout(layout)))
        .unwrap_or(Architecture::Other {
            machine: 0,
            is_64bit: matches!(layout, StructLayout::Bits64(_)),
        });
    // The header may have the wrong word size: QEMU chooses it by the size of memory.
    let layout = match arch {
        Architecture::Other { .. } => layout,
        arch => arch.layout(layout.byte_order()),
    };
    let by_vmcoreinfo = vmcoreinfo.as_ref().and_then(|info| arch.vmcoreinfo_phys_base(info));
    let phys_base = by_vmcoreinfo.unwrap_or(sub_header.phys_base);
    if phys_base != sub_header.phys_base {
        warnings.push(format!(
            "phys_base is {:#x} in the header, but {phys_base:#x} in VMCOREINFO: the latter is used",
            sub_header.phys_base
        ));
    }
    let phys_base = fitting_phys_base(layout, phys_base, &mut warnings);
    let is_relative = counts_from_phys_base(arch, phys_base / block_size.bytes(), &present);
    let origin = if is_relative { phys_base } else { 0 };
    let page_size = vmcoreinfo.as_ref().and_then(Vmcoreinfo::page_size).and_then(PageSize::new);
    // The pages can only be told apart if both start at the same address.
    let page_size = page_size.filter(|size| size.offset_of(origin) == block_size.offset_of(origin));
    let page_size = page_size.unwrap_or(block_size);
    let blocks = Blocks::new(block_size, page_size, present, kept);
    let max_mapnr = blocks.pages_touched(Span::new(Pfn::ZERO, blocks_end)).end;
    if max_mapnr > MAX_PFN {
        let offset = block_size.bytes();
        let why = format!(
            "it has {max_mapnr:#x} pages of {page_size} bytes; the maximum is {MAX_PFN:#x}"
        );
        return Err(Error::Damaged { what: "sub header".to_owned(), offset, why });
    }
    Ok(Dump {
        arch,
        layout,
        grid: PageGrid::new(PhysAddr::new(origin), page_size),
        phys_base,
        notes,
        vmcoreinfo,
        warnings,
        is_incomplete: incomplete,
        image: None,
        body: Body::Kdump(Box::new(Kdump {
            files,
            present: blocks.pages_of(&blocks.present),
            kept: blocks.pages_of(&blocks.kept),
            blocks,
            stray,
            header,
            sub_header,
            max_mapnr,
        })),
    })
}

/// Checks that the files belong to one set; warns if files of the set are missing.
fn check_set(
    files: &[KdumpFile],
    kept: &PageSet,
    warnings: &mut Vec<String>,
    incomplete: &mut bool,
) -> Result<()> {
    let refused =
        |why: String| Err(Error::Damaged { what: "a set of files".to_owned(), offset: 0, why });
    let mut covered = Pfn::ZERO;
    let mut absent = 0;
    for (index, file) in files.iter().enumerate() {
        if let Some(first) = files.first().filter(|_| index > 0) {
            if !file.is_of_the_set_of(first) {
                return refused(format!(
                    "the header of file {index} differs from that of the first"
                ));
            }
            if file.blocks.start < covered {
                return refused(format!(
                    "files {} and {index} both contain pfn {:#x}",
                    index - 1,
                    file.blocks.start
                ));
            }
            if file.read_bitmap(file.bitmap2)? != *kept {
                return refused(format!(
                    "the 2nd bitmap of file {index} differs from that of the first"
                ));
            }
        }
        absent += kept.rank(file.blocks.start).saturating_sub(kept.rank(covered));
        covered = covered.max(file.blocks.end);
    }
    absent += kept.count().saturating_sub(kept.rank(covered));
    if absent > 0 {
        *incomplete = true;
        let pages = counted(absent, "page");
        warnings.push(format!(
            "{pages} missing: they are in files of the split set that were not given"
        ));
    }
    Ok(())
}

/// Whether blocks count from `phys_base`, which is `blocks` blocks after address 0. QEMU counts from 0
/// even on 32-bit arm: then no block is before `phys_base`, where memory starts.
fn counts_from_phys_base(arch: Architecture, blocks: u64, present: &PageSet) -> bool {
    let first = present.runs().next().map_or(Pfn::ZERO, |run| run.start);
    arch.counts_pfns_from_phys_base() && first < Pfn::new(blocks)
}

/// Finds the notes of the first file. Adds a note for VMCOREINFO or ERASEINFO if only the sub header
/// points to it.
fn find_notes(files: &[KdumpFile], options: &OpenOptions, warnings: &mut Vec<String>) -> Notes {
    let Some(file) = files.first() else { return Notes::default() };
    let (sub, order) = (&file.sub_header, file.layout.byte_order());
    let area = Some((sub.offset_note, sub.size_note)).filter(|(_, bytes)| *bytes > 0);
    let mut notes = Notes::find(&*file.input, order, area.into_iter());
    if notes.vmcoreinfo.is_none() {
        let places = [(file, sub.offset_vmcoreinfo, sub.size_vmcoreinfo)];
        let text = read_texts("VMCOREINFO", places.into_iter(), &mut notes.damage);
        text.iter().for_each(|text| notes.add_vmcoreinfo(text, order));
    } else if options.vmcoreinfo.is_none() {
        warnings.extend(other_vmcoreinfo(file, &notes));
    }
    // Each file of a split set lists what was erased from its own pages. When makedumpfile filters a
    // file again, it appends the old list and the new one to it, and leaves the old note unchanged.
    let place =
        |file: &KdumpFile| (file.sub_header.offset_eraseinfo, file.sub_header.size_eraseinfo);
    let note = notes.eraseinfo.as_ref();
    let in_notes =
        note.map(|text| (sub.offset_note.saturating_add(text.start), text.end - text.start));
    let is_new = |file: &KdumpFile| place(file).1 > 0 && Some(place(file)) != in_notes;
    if files.iter().any(is_new) {
        let places = files.iter().map(|file| (file, place(file).0, place(file).1));
        let text = read_texts("ERASEINFO", places, &mut notes.damage);
        text.iter().for_each(|text| notes.add_eraseinfo(text, order));
    }
    warnings.extend(notes.damage.iter().cloned());
    warnings.extend(notes.settle_vmcoreinfo(options.vmcoreinfo.as_deref(), order));
    notes
}

/// A warning if the sub header places another VMCOREINFO than the notes have.
fn other_vmcoreinfo(file: &KdumpFile, notes: &Notes) -> Option<String> {
    let sub = &file.sub_header;
    let own = sub.offset_note.checked_add(notes.vmcoreinfo.as_ref()?.start)?;
    if sub.size_vmcoreinfo == 0 || sub.offset_vmcoreinfo == own {
        return None;
    }
    let places = [(file, sub.offset_vmcoreinfo, sub.size_vmcoreinfo)];
    let text = read_texts("VMCOREINFO", places.into_iter(), &mut Vec::new())?;
    (notes.vmcoreinfo_text()? != text).then(|| {
        format!(
            "the sub header places another VMCOREINFO, at {:#x}, than the notes have: that of the notes is taken, as libkdumpfile and drgn do; crash and makedumpfile take the other",
            sub.offset_vmcoreinfo
        )
    })
}

/// Reads texts outside the notes, given by file, offset and size in bytes, and joins them. Returns
/// `None` if all are empty; adds to `damage` what cannot be read.
fn read_texts<'a>(
    name: &str,
    places: impl Iterator<Item = (&'a KdumpFile, u64, u64)>,
    damage: &mut Vec<String>,
) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    for (file, offset, size) in places.filter(|(_, offset, size)| *offset > 0 && *size > 0) {
        let mut text = vec![0; in_memory(size.min(MAX_TEXT_BYTES))];
        let n = read_full(&*file.input, &mut text, offset).unwrap_or(0);
        text.truncate(n);
        if (n as u64) < size {
            damage.push(format!("{name} at {offset:#x}: only {n} of its {size} bytes can be read"));
        }
        whole.extend(text);
    }
    (!whole.is_empty()).then_some(whole)
}
