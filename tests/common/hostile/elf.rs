//! ELF cores of any bytes: a core that opens gives the pages and notes that its headers describe,
//! and converts to a file that the strict reader accepts.
//!
//! The input is a plain ELF file; the 7 unused bytes of `e_ident` choose how to convert it, see
//! [`Choice`].

use kdumpconv::Codec;
use kdumpconv::DumpLevel;
use kdumpconv::FlattenedSink;
use kdumpconv::dump::elf::ElfCore;
use kdumpconv::pages::ranges::count;
use kdumpconv::pages::{PageSize, Pfn, PfnRange};
use kdumpconv::{ByteOrder, StructLayout};
use kdumpconv::{ConvertOptions, ConvertReport, convert};
use kdumpconv::{Dump, OpenOptions};
use support::flattened::unflatten;
use support::image::Image;
use support::kdump::{Kdump, Page, Strictness};
use support::kdump_header::KdumpLayout;

use super::elf_pages::Pages;
use super::memory::InMemorySink;
use super::{Input, notes, uses};

/// Larger cores are not converted.
const MOST_PAGE_BYTES: u64 = 1 << 20;
const MOST_NOTE_BYTES: u64 = 1 << 20;
const MOST_PFN: u64 = 1 << 18;

/// Offset of the first of these bytes.
pub const CHOICE_AT: usize = 9;

/// Bits of the second of them.
const LEVEL: u8 = 1;
const FLAT: u8 = 2;
pub const STREAM: u8 = 4;
const PAGE_SIZE: u8 = 8;

/// The choices that the 7 bytes make.
struct Choice {
    codec: Codec,
    level: u32,
    flat: bool,
    stream: bool,
    page_size: Option<u64>,
    /// The unreadable range: start and size; none if the size is 0.
    bad: (u64, u64),
}

impl Choice {
    fn of(bytes: &[u8]) -> Self {
        let byte = |index: usize| bytes.get(CHOICE_AT + index).copied().unwrap_or(0);
        let flags = byte(1);
        Choice {
            codec: Codec::ALL[usize::from(byte(0)) % Codec::ALL.len()],
            level: u32::from(flags & LEVEL),
            flat: flags & FLAT != 0,
            stream: flags & STREAM != 0,
            page_size: (flags & PAGE_SIZE != 0).then(|| 4096 << (flags >> 4)),
            bad: (u64::from(byte(2)) << 8 | u64::from(byte(3)), u64::from(byte(4))),
        }
    }
}

pub fn check(bytes: &[u8]) {
    let choice = Choice::of(bytes);
    let mut input = Input::new(bytes);
    input.bad = choice.bad.0..choice.bad.0 + choice.bad.1;
    let open_options = OpenOptions {
        page_size: choice.page_size.and_then(PageSize::new),
        ..OpenOptions::default()
    };
    let core = match Dump::open(Box::new(input.clone()), &open_options) {
        Ok(core) => core,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    // A core of Xen is checked elsewhere.
    if core.elf().is_none() || core.image_kind().is_some() {
        return;
    }
    // The headers, a window at a time, come before the notes.
    assert!(core.segments().len() as u64 * 32 <= bytes.len() as u64 + 56);
    notes::check_found(core.notes(), &input, &core_of(&core).header, core.segments());
    let pages = Pages::new(&core, bytes, input.bad.clone());
    pages.check_runs(&core);
    check_pages(&core, &pages);

    let promised =
        count(core_of(&core).memory.with_data()) + count(core_of(&core).memory.missing());
    let small = promised * core.page_size().bytes() <= MOST_PAGE_BYTES
        && core.notes().bytes <= MOST_NOTE_BYTES
        && core_of(&core).memory.max_mapnr().get() <= MOST_PFN;
    if small {
        uses::check(&core);
        let file = check_file(&core, &pages, &choice);
        if choice.stream && input.bad.is_empty() && core.notes().damage.is_empty() {
            same_from_a_stream(bytes, &open_options, &choice, &file);
        }
    }
}

/// Reads pages singly, and a few together.
fn check_pages(core: &Dump, pages: &Pages<'_>) {
    let page_size = core.page_size().bytes() as usize;
    for pfn in pages.places() {
        let together = if pfn % 3 == 0 { 2 } else { 1 };
        let mut buf = vec![0xa5; together * page_size];
        let mut unreadable = vec![false; together];
        let pfns = PfnRange::of(Pfn::new(pfn), together as u64);
        core_of(core).memory.read_pages(&*core_of(core).input, pfns, &mut buf, &mut |page, _| {
            unreadable[(page - pfns.start) as usize] = true;
        });
        for (index, bytes) in buf.chunks(page_size).enumerate() {
            let pfn = pfn + index as u64;
            let page = pages.page(pfn);
            assert_eq!(unreadable[index], page.unreadable(), "pfn {pfn:#x}");
            assert!(unreadable[index] || bytes == page.bytes, "pfn {pfn:#x}: other bytes");
        }
    }
}

fn options(choice: &Choice) -> ConvertOptions {
    let level = DumpLevel::new(choice.level).unwrap();
    ConvertOptions::default().codec(choice.codec).dump_level(level)
}

/// Converts the core and checks the whole file; `None` if it cannot be written.
fn check_file(core: &Dump, pages: &Pages<'_>, choice: &Choice) -> Option<Vec<u8>> {
    let mut sink = InMemorySink::default();
    let report = match convert(core, &mut sink, &options(choice), &mut |_| ()) {
        Ok(report) => report,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let file = sink.bytes;
    assert_eq!(report.file_bytes, file.len() as u64);
    let layout = layout_of(core);
    // An ERASEINFO note is not counted as another tool's note.
    let strictness =
        if core.notes().eraseinfo.is_some() { Strictness::Lenient } else { Strictness::Ours };
    let image = Image::from_bytes(&file).unwrap();
    let kdump = Kdump::open_as(image, layout, strictness).expect("the strict reader takes it");
    check_kdump(core, pages, &kdump, &report);
    if choice.flat {
        let mut stream = Vec::new();
        convert(core, &mut FlattenedSink::new(&mut stream), &options(choice), &mut |_| ()).unwrap();
        let unflattened = unflatten(&stream).unwrap();
        if !report.incomplete() {
            assert!(unflattened == file, "un-flattened it differs");
        } else {
            // A stream keeps the bits of pages that turned out to be unreadable.
            let image = Image::from_bytes(&unflattened).unwrap();
            let again =
                Kdump::open_as(image, layout, strictness).expect("the strict reader takes it");
            for pfn in core_of(core).memory.with_data().iter().copied().flatten().map(Pfn::get) {
                match (kdump.page(pfn).unwrap(), again.page(pfn).unwrap()) {
                    (Page::Excluded, Page::Incomplete) => {}
                    (of_file, of_stream) => assert_eq!(of_file, of_stream, "pfn {pfn:#x}"),
                }
            }
        }
    }
    Some(file)
}

fn layout_of(core: &Dump) -> KdumpLayout {
    match core.layout() {
        StructLayout::Bits64(ByteOrder::Little) => KdumpLayout::Le64,
        StructLayout::Bits64(ByteOrder::Big) => KdumpLayout::Be64,
        StructLayout::Packed32 => KdumpLayout::Le32Packed,
        StructLayout::Padded32(ByteOrder::Little) => KdumpLayout::Le32,
        StructLayout::Padded32(ByteOrder::Big) => KdumpLayout::Be32,
    }
}

fn check_kdump(core: &Dump, pages: &Pages<'_>, kdump: &Kdump, report: &ConvertReport) {
    assert_eq!(kdump.header.block_size, core.page_size().bytes());
    assert_eq!(kdump.header.max_mapnr_64, core_of(core).memory.max_mapnr().get());
    assert_eq!(kdump.note_bytes.len() as u64, core.notes().bytes);
    assert_eq!(core_of(core).memory.present(), kdump.present.runs());
    assert_eq!(kdump.is_incomplete(), report.incomplete());
    let (mut kept, mut lost) = (0, count(core_of(core).memory.missing()));
    for pfn in core_of(core).memory.with_data().iter().copied().flatten().map(Pfn::get) {
        let page = pages.page(pfn);
        match kdump.page(pfn).unwrap() {
            Page::Data(bytes) => {
                assert!(!page.unreadable() && bytes == page.bytes, "pfn {pfn:#x}");
                kept += 1;
            }
            Page::Excluded => {
                assert!(page.unreadable(), "pfn {pfn:#x} is lost");
                lost += 1;
            }
            other => panic!("pfn {pfn:#x}: {other:?}"),
        }
    }
    assert_eq!(kdump.dumped.count(), kept);
    assert_eq!((report.pages.written(), report.pages.unreadable), (kept, lost));
    assert!(lost == 0 || report.incomplete());
}

/// Bytes of the main header.
const MAIN_HEADER_BYTES: usize = 464;

/// A pipe gives the same file, but for the order of the data.
fn same_from_a_stream(
    bytes: &[u8],
    open_options: &OpenOptions,
    choice: &Choice,
    file: &Option<Vec<u8>>,
) {
    let reader = Box::new(std::io::Cursor::new(bytes.to_vec()));
    let input = kdumpconv::Input::from_reader(reader, std::env::temp_dir()).unwrap();
    let core = Dump::open(input, open_options).expect("it opens at random");
    let mut sink = InMemorySink::default();
    let converted = convert(&core, &mut sink, &options(choice), &mut |_| ());
    assert_eq!(converted.is_ok(), file.is_some());
    if let Some(file) = file {
        // The pages of a pipe are written in the order in which they come.
        assert_eq!(sink.bytes.len(), file.len());
        let kdump = |bytes: &[u8]| {
            let image = Image::from_bytes(bytes).unwrap();
            Kdump::open_as(image, layout_of(&core), Strictness::Lenient).unwrap()
        };
        let (of_pipe, of_file) = (kdump(&sink.bytes), kdump(file));
        assert!(sink.bytes[..MAIN_HEADER_BYTES] == file[..MAIN_HEADER_BYTES], "other headers");
        assert_eq!(of_pipe.dumped.runs(), of_file.dumped.runs());
        for pfn in of_file.dumped.runs().iter().cloned().flatten() {
            assert_eq!(of_pipe.page(pfn), of_file.page(pfn), "pfn {pfn:#x}");
        }
    }
}

/// Asserts that a dump was opened as an ELF core, and returns that.
pub(crate) fn core_of(dump: &Dump) -> &ElfCore {
    dump.elf().expect("an ELF core was opened as a kdump file")
}
