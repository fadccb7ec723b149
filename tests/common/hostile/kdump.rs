//! Kdump files of any bytes: a file that opens has the pages that its bitmaps and descriptors
//! describe, read singly or together, and converts to a file with the same pages.
//!
//! The input is a kdump file, plain or flattened, whose byte 4000 chooses how to convert it. Or, as
//! most of such a file is zeros, it is the choice and the parts that are not zeros, each a 24-bit
//! offset, a 16-bit size and the bytes.

use kdumpconv::Codec;
use kdumpconv::DumpLevel;
use kdumpconv::PageReader;
use kdumpconv::dump::PageError;
use kdumpconv::dump::kdump::Kdump;
use kdumpconv::dump::reader::PageRef;
use kdumpconv::pages::{FileRange, MAX_PFN, Pfn, PfnRange};
use kdumpconv::{ByteOrder, StructLayout};
use kdumpconv::{ConvertOptions, convert};
use kdumpconv::{Dump, OpenOptions};
use kdumpconv::{FindingKind, verify};
use support::elf::Endian;
use support::image::Image;
use support::kdump::{Kdump as Judged, Page, Strictness};
use support::kdump_header::KdumpLayout;
use support::kdump_pages::{Stored, codec, decode};

use super::memory::InMemorySink;
use super::uses::{self, pfns, read};
use super::{Input, Take};

/// Maximum size of a file given in parts.
const MOST_BYTES: usize = 4 << 20;

/// Maximum pages to read, and bytes of pages to convert.
const MOST_PAGES: usize = 24;
const MOST_PAGE_BYTES: u64 = 1 << 20;
const MOST_PFN: u64 = 1 << 18;

const CHOICE_AT: usize = 4000;

/// The file's bytes and the choice.
fn file(bytes: &[u8]) -> (Vec<u8>, u8) {
    if bytes.starts_with(b"KDUMP   ") || bytes.starts_with(b"makedumpfile") {
        return (bytes.to_vec(), bytes.get(CHOICE_AT).copied().unwrap_or(0));
    }
    let mut take = Take(bytes);
    let choice = take.byte();
    let mut file = Vec::new();
    while !take.0.is_empty() {
        let offset = take.short() as usize | usize::from(take.byte()) << 16;
        let size = (take.short() as usize).min(take.0.len());
        let (part, rest) = take.0.split_at(size);
        take.0 = rest;
        let end = offset % MOST_BYTES + size;
        if file.len() < end {
            file.resize(end, 0);
        }
        file[end - size..end].copy_from_slice(part);
    }
    (file, choice)
}

/// A file as its parts that are not zeros.
pub fn encode(choice: u8, file: &[u8]) -> Vec<u8> {
    let mut bytes = vec![choice];
    for (index, part) in file.chunks(64).enumerate() {
        let is_last = (index + 1) * 64 >= file.len();
        let Some(last) = part.iter().rposition(|byte| *byte != 0 || is_last) else { continue };
        bytes.extend(&(index as u32 * 64).to_le_bytes()[..3]);
        bytes.extend((last as u16 + 1).to_le_bytes());
        bytes.extend(&part[..=last]);
    }
    bytes
}

pub fn check(bytes: &[u8]) {
    let (file, choice) = file(bytes);
    let input = Input::new(&file);
    let dump = match Dump::open(Box::new(input.clone()), &OpenOptions::default()) {
        Ok(dump) => dump,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    // Bitmaps, notes and texts, each of which may span the whole file.
    let most = 8 * file.len() as u64 + (1 << 20);
    assert!(input.read() <= most, "{} bytes read of {}", input.read(), file.len());
    let Some(kdump) = dump.kdump() else { return };
    check_sets(&dump, kdump, &file);
    check_notes(&dump);
    let pfns = some_pfns(&dump);
    check_pages(&dump, kdump, &file, &pfns);
    let (_, kept) = dump.counts();
    let small = kept * dump.page_size().bytes() <= MOST_PAGE_BYTES
        && dump.notes().bytes <= MOST_PAGE_BYTES
        && dump.max_mapnr().get() <= MOST_PFN;
    if small {
        uses::check(&dump);
        check_converted(&dump, choice);
    }
}

fn order(layout: StructLayout) -> Endian {
    match layout.byte_order() {
        ByteOrder::Little => Endian::Little,
        ByteOrder::Big => Endian::Big,
    }
}

fn bit(file: &[u8], bitmap: FileRange, pfn: u64) -> bool {
    let byte = usize::try_from(bitmap.start.get() + pfn / 8).ok().and_then(|at| file.get(at));
    byte.is_some_and(|byte| byte >> (pfn % 8) & 1 == 1)
}

/// The page sets equal the bitmaps, up to the last page.
fn check_sets(dump: &Dump, kdump: &Kdump, file: &[u8]) {
    assert!(dump.max_mapnr() <= MAX_PFN && dump.max_mapnr().get() > 0);
    let present: Vec<PfnRange> = dump.present().take(4096).collect();
    let kept: Vec<PfnRange> = dump.kept().take(4096).collect();
    for runs in [&present, &kept] {
        assert!(runs.iter().all(|run| run.start < run.end && run.end <= dump.max_mapnr()));
        assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start), "{runs:?}");
    }
    let (ram, had) = dump.counts();
    assert!(had <= ram && ram > 0);
    assert!(kept.iter().all(|run| dump.is_present(run.start)));
    let Some(first) = kdump.files.first().filter(|first| first.flattened.is_none()) else { return };
    let ends = kept.iter().chain(&present).flat_map(|run| [run.start, run.end - 1, run.end]);
    let (block, page) = (kdump.blocks.size.bytes(), dump.page_size().bytes());
    for pfn in ends.filter(|pfn| *pfn < dump.max_mapnr()) {
        let start = pfn.get() * page;
        let mut blocks = start / block..(start + page).div_ceil(block).min(first.blocks_end.get());
        let second = blocks.clone().any(|block| bit(file, first.bitmap2, block));
        assert_eq!(is_kept(dump, pfn), second, "pfn {pfn:#x} kept");
        let ram = second || blocks.any(|block| bit(file, first.bitmap1, block));
        assert_eq!(dump.is_present(pfn), ram, "pfn {pfn:#x} present");
    }
}

fn is_kept(dump: &Dump, pfn: Pfn) -> bool {
    dump.kept_within(PfnRange::of(pfn, 1)).next().is_some()
}

fn check_notes(dump: &Dump) {
    assert!(dump.notes().bytes <= (1 << 30) + (4 << 20));
    if dump.notes().bytes > 8 << 20 {
        return;
    }
    let mut area = Vec::new();
    let copied = dump.copy_notes(&mut |at, part| {
        assert_eq!(at, area.len() as u64, "pieces follow each other");
        area.extend_from_slice(part);
        Ok(())
    });
    copied.unwrap();
    assert_eq!(area.len() as u64, dump.notes().bytes, "what is copied is as long as was said");
    if let Some(info) = &dump.notes().vmcoreinfo {
        let text = dump.notes().vmcoreinfo_text().expect("VMCOREINFO that was found is there");
        assert!(&area[info.start as usize..info.end as usize] == text);
    }
}

/// Pages at the ends of runs, and beside them.
fn some_pfns(dump: &Dump) -> Vec<u64> {
    let most = MOST_PAGES.min((2 << 20) / dump.page_size().bytes() as usize);
    let around = |run: PfnRange| [run.start, run.start + 1, run.end - 1, run.end].map(Pfn::get);
    let mut pfns: Vec<u64> = dump.kept().take(most).flat_map(around).collect();
    pfns.extend(dump.present().take(2).flat_map(around));
    pfns.sort_unstable();
    pfns.dedup();
    pfns.truncate(most);
    pfns
}

fn check_pages(dump: &Dump, kdump: &Kdump, file: &[u8], pfns: &[u64]) {
    let mut reader = PageReader::new(dump).unwrap();
    let image = Image::Bytes(file.to_vec());
    for &pfn in pfns {
        let page = read(&mut reader, pfn);
        // Together with its neighbours it is the same.
        let runs: Vec<_> = dump.kept_within(PfnRange::of(Pfn::new(pfn), 3)).collect();
        let together: Vec<_> = {
            let (pages, decoder) = reader.load(&runs);
            let bytes = |(pfn, page): (Pfn, Result<PageRef<'_>, &PageError>)| {
                let page = page.map_err(Clone::clone).and_then(|page| decoder.plain(page));
                (pfn.get(), page.map(<[u8]>::to_vec).ok())
            };
            pages.map(bytes).collect()
        };
        for (pfn, bytes) in together {
            assert_eq!(read(&mut reader, pfn).ok(), bytes, "pfn {pfn:#x}");
        }
        if !is_kept(dump, Pfn::new(pfn)) {
            assert!(page.is_err(), "pfn {pfn:#x} is not in the 2nd bitmap");
            continue;
        }
        let is_plain = kdump.files[0].flattened.is_none() && kdump.files[0].sub_header.split == 0;
        if is_plain && kdump.blocks.are_pages() {
            check_page(dump, kdump, &image, file, pfn, &page);
        }
    }
}

/// A page of a plain file is what its descriptor describes.
fn check_page(
    dump: &Dump,
    kdump: &Kdump,
    image: &Image,
    file: &[u8],
    pfn: u64,
    page: &Result<Vec<u8>, String>,
) {
    let first = &kdump.files[0];
    let bitmap = first.bitmap2.start.get() as usize..;
    let bytes = &file[bitmap][..(pfn / 8 + 1) as usize];
    let (last, before) = bytes.split_last().unwrap();
    let mut rank: u64 = before.iter().map(|byte| u64::from(byte.count_ones())).sum();
    rank += u64::from((last & ((1_u8 << (pfn % 8)) - 1)).count_ones());
    let at = (first.descriptors + 24 * rank).get() as usize;
    let Some(desc) = file.get(at..).and_then(|rest| rest.get(..24)) else {
        assert!(page.is_err(), "pfn {pfn:#x} has no descriptor");
        return;
    };
    let endian = order(dump.layout());
    let stored = Stored {
        offset: endian.number(&desc[..8]),
        size: endian.number(&desc[8..12]) as u32,
        flags: endian.number(&desc[12..16]) as u32,
    };
    let in_file = stored
        .offset
        .checked_add(u64::from(stored.size))
        .is_some_and(|end| end <= file.len() as u64 && stored.offset >= first.descriptors.get());
    let sized = (1..=dump.page_size().bytes()).contains(&u64::from(stored.size));
    if !in_file || !sized {
        assert!(page.is_err(), "pfn {pfn:#x}: {stored:x?}");
        return;
    }
    match (decode(image, stored, dump.page_size().bytes()), page) {
        (Ok(right), Ok(page)) => assert!(right == *page, "pfn {pfn:#x}: other bytes"),
        (Ok(_), Err(why)) => panic!("pfn {pfn:#x} is whole, but: {why}"),
        (Err(_), Err(_)) => {}
        // See codec::Decoder::decode.
        (Err(why), Ok(_)) => {
            let more = matches!(stored.flags, codec::ZLIB | codec::ZSTD);
            assert!(more, "pfn {pfn:#x} is damaged: {why}");
        }
    }
}

/// After another conversion, every page is the same or known to be lost.
fn check_converted(dump: &Dump, choice: u8) {
    let options = ConvertOptions::default()
        .codec(Codec::ALL[usize::from(choice) % Codec::ALL.len()])
        .dump_level(DumpLevel::new(u32::from(choice >> 7)).unwrap());
    let mut sink = InMemorySink::default();
    let report = match convert(dump, &mut sink, &options, &mut |_| ()) {
        Ok(report) => report,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let layout = match dump.layout() {
        StructLayout::Bits64(ByteOrder::Little) => KdumpLayout::Le64,
        StructLayout::Bits64(ByteOrder::Big) => KdumpLayout::Be64,
        StructLayout::Packed32 => KdumpLayout::Le32Packed,
        StructLayout::Padded32(ByteOrder::Little) => KdumpLayout::Le32,
        StructLayout::Padded32(ByteOrder::Big) => KdumpLayout::Be32,
    };
    let image = Image::from_bytes(&sink.bytes).unwrap();
    let judged = Judged::open_as(image, layout, Strictness::Lenient).expect("it is a dump again");
    assert_eq!(judged.is_incomplete(), report.incomplete());
    assert_eq!(judged.note_bytes.len() as u64, dump.notes().bytes);
    assert!(judged.present.runs().iter().cloned().map(PfnRange::from).eq(dump.present()));
    let mut reader = PageReader::new(dump).unwrap();
    let (mut lost, mut whole) = (0, true);
    for pfn in pfns(dump.kept()) {
        match (judged.page(pfn), read(&mut reader, pfn)) {
            (Ok(Page::Data(bytes)), Ok(page)) => assert!(bytes == page, "pfn {pfn:#x} differs"),
            (Ok(Page::Excluded | Page::Incomplete), Err(_)) => lost += 1,
            // Pages already stored by the codec are not decoded.
            (Err(_), Err(_)) => {
                whole = false;
                let stored = judged.stored(pfn).map(|stored| stored.flags);
                assert_eq!(stored, Some(options.codec.flag()), "pfn {pfn:#x}");
            }
            // See codec::Decoder::decode.
            (Err(_), Ok(_)) if matches!(options.codec, Codec::Zlib | Codec::Zstd) => {}
            (other, _) => panic!("pfn {pfn:#x} is lost: {other:?}"),
        }
    }
    assert_eq!(report.pages.unreadable, lost);
    assert!(lost == 0 || report.incomplete());
    let again = Dump::open(Box::new(Input::new(&sink.bytes)), &OpenOptions::default()).unwrap();
    let findings = verify(&again, None, &kdumpconv::VerifyOptions::default(), &mut |_| ()).unwrap();
    // Headers and notes are carried over, and the input may already have had the same marks.
    let ours = [
        FindingKind::Stream,
        FindingKind::Bitmap,
        FindingKind::Descriptor,
        FindingKind::Overlap,
        FindingKind::Unreadable,
    ];
    let found = ours.into_iter().chain([FindingKind::Data].into_iter().filter(|_| whole));
    assert!(found.into_iter().all(|kind| findings.count(kind) == 0), "{findings:?}");
}
