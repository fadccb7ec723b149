//! A flattened stream that ends early, anywhere and for any reason: the pages that are kept are
//! right, agree with the headers, and the file is marked incomplete.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::rearrange::{Store, cut_stream, file, run, stream};
use crate::common::{InMemory, noise, text, x86_64};
use kdumpconv::ReadAt;
use kdumpconv::{Dump, FlattenedStream, Summary, UnflattenStop, VerifyOptions, verify};
use kdumpconv::{Error, unflatten};
use proptest::prelude::*;
use support::compare::{Allowed, compare_allowing};
use support::image::Image;
use support::kdump::{Kdump, Strictness};
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::model::Model;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

/// Notes and nine pages in two segments, one of zeros.
fn builder() -> VmcoreBuilder {
    let low = [text(1, 8192), vec![0; 4096], noise(2, 4096)].concat();
    x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n")
        .load(Load::new(0x1000, low))
        .load(Load::new(0x10_0000, [text(3, 8192), noise(4, 8192)].concat()))
}

/// A kdump file, and the offset of its descriptors.
fn kdump(layout: KdumpLayout, model: &Model) -> (Vec<u8>, usize) {
    let notes = vec![0; 0];
    let writer = KdumpWriter {
        codec: 1,
        notes: &notes,
        machine: "x86_64",
        share_zero: true,
        ..KdumpWriter::new(model, layout)
    };
    writer.write()
}

/// Checks the file of a cut stream: its pages are right, and it is marked incomplete.
fn judge(kept: &[u8], model: &Model, layout: KdumpLayout) -> Result<u64, String> {
    let kdump = Kdump::open_as(Image::from_bytes(kept)?, layout, Strictness::Lenient)?;
    if !kdump.is_incomplete() {
        return Err("it does not say that it is incomplete".to_owned());
    }
    compare_allowing(model, &kdump, Allowed { excluded: true, incomplete: false })?;
    Ok((0..kdump.max_pfn()).filter(|pfn| kdump.stored(*pfn).is_some()).count() as u64)
}

/// Cuts a stream at many places, and at each of `dense`; returns the number of pages kept for each.
fn cut_everywhere(
    stream: &[u8],
    dense: &Range<usize>,
    model: &Model,
    layout: KdumpLayout,
) -> Vec<u64> {
    let mut pages = Vec::new();
    let lengths = (0..40).chain(4090..stream.len());
    for length in lengths.filter(|length| length % 11 == 0 || dense.contains(length)) {
        let place = format!("{layout:?} cut at {length} of {}", stream.len());
        match file(&stream[..length]) {
            Ok((kept, result)) => {
                assert!(
                    matches!(result.stop, Some(UnflattenStop::Cut { at, .. }) if at == length as u64)
                );
                assert!(result.usable);
                pages.push(
                    judge(&kept, model, layout).unwrap_or_else(|why| panic!("{place}: {why}")),
                );
            }
            Err(Error::Damaged { .. } | Error::NotRecognised(_)) => {
                assert!(pages.is_empty(), "{place}: its headers had come before");
            }
            Err(other) => panic!("{place}: {other}"),
        }
    }
    pages
}

#[test]
fn a_stream_cut_anywhere_leaves_the_pages_that_arrived_in_every_layout() {
    let model = Model::new(&builder(), 4096);
    for layout in [
        KdumpLayout::Le64,
        KdumpLayout::Be64,
        KdumpLayout::Le32Packed,
        KdumpLayout::Le32,
        KdumpLayout::Be32,
    ] {
        let (plain, table) = kdump(layout, &model);
        // A record size that makes descriptors and page data span records.
        let stream = support::flattened::flatten(&plain, 1000);
        assert_eq!(file(&stream).unwrap().0, plain);
        let in_stream = 4096 + table + 16 * (table / 1000);
        let dense = in_stream - 20..in_stream + 24 * 8 + 60;
        let pages = cut_everywhere(&stream, &dense, &model, layout);
        assert_eq!(pages.iter().max(), Some(&8), "{layout:?}");
        assert_eq!(pages.first(), Some(&0));
        assert!(pages.is_sorted(), "{layout:?}");
    }
}

/// The parts of a kdump file in the order in which makedumpfile sends them when memory is scarce:
/// the 2nd bitmap in pieces, descriptors before their data.
fn as_makedumpfile_sends_it(plain: &[u8], table: usize) -> Vec<u8> {
    let data = table + 24 * 8;
    let bitmap2 = table - 4096;
    let mut ranges = vec![0..464, 4096 + 104..8192, 4096..4096 + 104, 8192..bitmap2];
    ranges.extend([bitmap2..bitmap2 + 16, table..table + 48, data..data + 700]);
    ranges.extend([bitmap2 + 16..bitmap2 + 2048, table + 48..table + 24 * 8]);
    ranges.extend([data + 700..plain.len(), bitmap2 + 2048..table]);
    let records: Vec<(i64, &[u8])> =
        ranges.into_iter().map(|range| (range.start as i64, &plain[range])).collect();
    stream(&records)
}

#[test]
fn a_bitmap_that_arrived_in_part_keeps_the_pages_it_covers() {
    let model = Model::new(&builder(), 4096);
    let (plain, table) = kdump(KdumpLayout::Le64, &model);
    let stream = as_makedumpfile_sends_it(&plain, table);
    assert_eq!(file(&stream).unwrap().0, plain);
    let pages = cut_everywhere(&stream, &(4090..6000), &model, KdumpLayout::Le64);
    assert_eq!(pages.iter().max(), Some(&8));
    assert!(pages.is_sorted());
}

#[test]
fn a_full_output_keeps_what_fits() {
    let model = Model::new(&builder(), 4096);
    let (plain, table) = kdump(KdumpLayout::Le64, &model);
    let stream = support::flattened::flatten(&plain, 5000);
    for space in (0..plain.len()).step_by(13) {
        let mut store = Store { space, ..Store::new() };
        let result = run(Box::new(InMemory(stream.clone())), &mut store);
        // The 1st bitmap has 33 bytes.
        if space / 5000 * 5000 < table - 8192 + 33 {
            assert!(matches!(result, Err(Error::Write { .. })), "{space}: {result:?}");
            continue;
        }
        let result = result.unwrap();
        assert!(matches!(result.stop, Some(UnflattenStop::Output(_))), "{:?}", result.stop);
        judge(&store.bytes, &model, KdumpLayout::Le64).unwrap();
    }
}

/// An input that is unreadable from some offset on.
struct Bad {
    bytes: Vec<u8>,
    from: usize,
}

impl ReadAt for Bad {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset as usize >= self.from {
            return Err(io::Error::from_raw_os_error(5));
        }
        InMemory(self.bytes[..self.from].to_vec()).read_at(buf, offset)
    }

    fn size(&self) -> Option<u64> {
        Some(self.bytes.len() as u64)
    }
}

#[test]
fn an_input_that_fails_keeps_what_was_read() {
    let model = Model::new(&builder(), 4096);
    let (plain, _) = kdump(KdumpLayout::Le64, &model);
    let bytes = support::flattened::flatten(&plain, 5000);
    let from = bytes.len() - 3000;
    let mut store = Store::new();
    let result = run(Box::new(Bad { bytes: bytes.clone(), from }), &mut store).unwrap();
    assert!(matches!(result.stop, Some(UnflattenStop::Read { at, .. }) if at == from as u64));
    assert!(judge(&store.bytes, &model, KdumpLayout::Le64).unwrap() >= 5);
    let failed = run(Box::new(Bad { bytes, from: 5000 }), &mut Store::new());
    assert!(matches!(failed, Err(Error::Read { .. })), "{failed:?}");
}

#[test]
fn a_request_to_stop_keeps_what_was_written() {
    let model = Model::new(&builder(), 4096);
    let (plain, _) = kdump(KdumpLayout::Le64, &model);
    let bytes = support::flattened::flatten(&plain, 1000);
    for records in [0, 3, 20, 21] {
        let cancel = Arc::new(AtomicBool::new(records == 0));
        let mut store = Store::new();
        let stream = FlattenedStream::open(Box::new(InMemory(bytes.clone()))).unwrap();
        let mut seen = 0;
        let result = unflatten(stream, &mut store, &cancel, &mut |_| {
            seen += 1;
            cancel.store(seen == records, Ordering::Relaxed);
        });
        let result = result.unwrap();
        assert!(matches!(result.stop, Some(UnflattenStop::Cancelled)));
        assert_eq!((result.records, result.usable), (records, records >= 20));
        if result.usable {
            judge(&store.bytes, &model, KdumpLayout::Le64).unwrap();
        }
    }
}

#[test]
fn an_elf_file_that_is_cut_is_kept_without_a_mark() {
    let core = builder().build();
    let whole = support::flattened::flatten(&core, 1000);
    let (kept, result) = file(&whole[..whole.len() - 2000]).unwrap();
    assert_eq!(kept, core[..kept.len()]);
    assert_eq!(
        result.warnings,
        ["the ELF file is kept as it arrived, without a mark that it is incomplete"]
    );
    assert!(file(&whole[..4096 + 16 + 63]).is_err());
}

proptest! {
    #[test]
    fn no_records_cause_a_panic_or_unbounded_writes(
        headers in proptest::collection::vec((-2..70_000_i64, -2..300_i64), 0..20),
        tail in proptest::collection::vec(any::<u8>(), 0..600),
        dump in any::<bool>(),
    ) {
        let mut bytes = cut_stream(&[]);
        if dump {
            let (plain, _) = kdump(KdumpLayout::Le64, &Model::new(&builder(), 4096));
            bytes.extend(&support::flattened::flatten(&plain[..24_000], 9000)[4096..]);
            bytes.truncate(bytes.len() - 16);
        }
        for (offset, size) in headers {
            bytes.extend(offset.to_be_bytes());
            bytes.extend(size.to_be_bytes());
            bytes.extend(vec![7; usize::try_from(size).unwrap_or(0)]);
        }
        bytes.extend(tail);
        let _ = file(&bytes);
        if let Ok(dump) = Dump::of_bytes(bytes) {
            let findings = verify(&dump, None, &VerifyOptions::default(), &mut |_| ()).unwrap();
            prop_assert!(findings.damaged());
            let _ = Summary::of(&dump);
        }
    }
}

#[test]
fn a_whole_stream_of_a_dump_that_is_marked_incomplete_is_copied_and_reported() {
    let model = Model::new(&builder(), 4096);
    let marked = KdumpWriter { status: 8, ..KdumpWriter::new(&model, KdumpLayout::Be64) };
    let mut core = builder().build();
    core[48] = 1; // e_flags
    for plain in [marked.write().0, core] {
        let (bytes, result) = file(&support::flattened::flatten(&plain, 1000)).unwrap();
        assert!(bytes == plain, "not copied byte for byte");
        assert!(matches!(result.stop, Some(UnflattenStop::Marked)) && result.usable);
        assert_eq!(
            result.stop.unwrap().to_string(),
            "the dump in the stream is marked as incomplete"
        );
    }
    // On ppc64 and others, the bits of e_flags have another meaning.
    let mut core = builder().build();
    (core[18], core[48]) = (21, 1);
    assert!(file(&support::flattened::flatten(&core, 1000)).unwrap().1.stop.is_none());
}
