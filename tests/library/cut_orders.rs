//! A flattened stream that breaks off at any byte, sent in the order of each writer: if the headers
//! arrived, it opens directly and through `unflatten`, with exactly the pages that arrived whole.

use std::ops::Range;

use crate::common::rearrange::{cut_stream, file};
use crate::common::{noise, plain, x86_64};
use kdumpconv::{ConvertOptions, Dump, Error, PageReader, Summary, VerifyOptions, verify};
use support::compare::{Allowed, compare_allowing};
use support::image::Image;
use support::kdump::{Kdump, Page, Strictness};
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::model::{Expected, Model};
use support::segments::Load;
use support::stream_order::{StreamOrder, records};
use support::vmcore::VmcoreBuilder;

/// Pages of one byte each, which take few bytes, two of them zeros; and one that takes a page.
fn builder() -> VmcoreBuilder {
    let low = [[7; 4096], [0; 4096], [8; 4096]].concat();
    let high =
        [vec![9; 4096], noise(4, 4096), vec![0; 4096], vec![3; 8192], vec![5; 4096]].concat();
    x86_64()
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nNUMBER(phys_base)=0\nCRASHTIME=1700000321\n")
        .load(Load::new(0x1000, low))
        .load(Load::new(0x9_1000, high))
}

/// A kdump file, a stream of it without an end mark, and for each byte of the stream the byte of
/// the file that it carries.
struct Sent {
    model: Model,
    layout: KdumpLayout,
    plain: Vec<u8>,
    table: usize,
    stream: Vec<u8>,
    carries: Vec<Option<usize>>,
    /// The pages of the file and the places of their data, by rank.
    pages: Vec<(u64, Range<usize>)>,
}

impl Sent {
    fn new(layout: KdumpLayout, order: StreamOrder) -> Self {
        let model = Model::new(&builder(), 4096);
        let notes = if layout == KdumpLayout::Le64 { builder().note_bytes() } else { vec![0; 12] };
        let writer = KdumpWriter {
            codec: 1,
            notes: &notes,
            machine: "x86_64",
            share_zero: true,
            ..KdumpWriter::new(&model, layout)
        };
        let (plain, table) = writer.write();
        let records = records(&plain, layout, order).unwrap();
        let borrowed: Vec<(i64, &[u8])> =
            records.iter().map(|(offset, bytes)| (*offset, &bytes[..])).collect();
        let mut carries = vec![None; 4096];
        for (offset, bytes) in &records {
            carries.extend([None; 16]);
            carries.extend((*offset as usize..).take(bytes.len()).map(Some));
        }
        let stream = cut_stream(&borrowed);
        assert_eq!(stream.len(), carries.len());
        let kdump = kdump_of(&plain, layout);
        let pages = (0..model.max_mapnr).filter_map(|pfn| {
            let stored = kdump.stored(pfn)?;
            let start = stored.offset as usize;
            Some((pfn, start..start + stored.size as usize))
        });
        let pages = pages.collect();
        Sent { model, layout, plain, table, stream, carries, pages }
    }

    /// Whether each byte of the file is in the first `length` bytes of the stream.
    fn arrived(&self, length: usize) -> Vec<bool> {
        let mut arrived = vec![false; self.plain.len()];
        self.carries[..length].iter().flatten().for_each(|at| arrived[*at] = true);
        arrived
    }

    /// The pages that arrived whole; `None` if the headers did not.
    fn expected(&self, length: usize) -> Option<Vec<u64>> {
        let arrived = self.arrived(length);
        let main = self.layout.main_header_bytes() as usize;
        let bitmap2 = self.table - 4096;
        let bitmap_bytes = self.model.max_mapnr.div_ceil(8) as usize;
        let headers = (0..12)
            .chain(main - 36..main)
            .chain(4096..4096 + self.layout.sub_header_bytes() as usize)
            .chain(bitmap2 - 4096..bitmap2 - 4096 + bitmap_bytes);
        if !headers.into_iter().all(|at| arrived[at]) {
            return None;
        }
        let all = |range: Range<usize>| arrived[range].iter().all(|byte| *byte);
        let whole = self.pages.iter().enumerate().filter(|(rank, (pfn, data))| {
            let descriptor = self.table + 24 * rank;
            all(bitmap2..bitmap2 + *pfn as usize / 8 + 1)
                && all(descriptor..descriptor + 24)
                && all(data.clone())
        });
        Some(whole.map(|(_, (pfn, _))| *pfn).collect())
    }
}

/// The pages of a dump that can be read, all of which are right.
fn pages_of(dump: &Dump, model: &Model) -> Vec<u64> {
    let mut reader = PageReader::new(dump).unwrap();
    let readable = (0..model.max_mapnr).filter(|pfn| {
        let Ok(page) = reader.page(*pfn) else { return false };
        assert_eq!(model.page(*pfn), Expected::Data(page), "{pfn:#x}");
        true
    });
    readable.collect()
}

fn kdump_of(bytes: &[u8], layout: KdumpLayout) -> Kdump {
    Kdump::open_as(Image::from_bytes(bytes).unwrap(), layout, Strictness::Lenient).unwrap()
}

/// The pages of an incomplete kdump file, all of which are right.
fn pages_in(bytes: &[u8], sent: &Sent) -> Vec<u64> {
    let kdump = kdump_of(bytes, sent.layout);
    assert!(kdump.is_incomplete());
    compare_allowing(&sent.model, &kdump, Allowed { excluded: true, incomplete: false }).unwrap();
    let has = |pfn: &u64| matches!(kdump.page(*pfn), Ok(Page::Data(_)));
    (0..kdump.max_pfn()).filter(has).collect()
}

/// Breaks the stream off at each of `lengths`.
fn judge(sent: &Sent, lengths: impl Iterator<Item = usize>) {
    let mut refused = 0;
    let mut most = 0;
    for length in lengths {
        let (cut, expected) = (&sent.stream[..length], sent.expected(length));
        let (direct, rebuilt) = (Dump::of_bytes(cut), file(cut));
        let Some(expected) = expected else {
            let error = direct.err().unwrap_or_else(|| panic!("{length}: opened"));
            let is_cut = matches!(error, Error::CutFlattened { .. } | Error::NotRecognised(_));
            assert!(is_cut, "{length}: {error}");
            assert!(rebuilt.is_err(), "{length}: rebuilt");
            refused += 1;
            continue;
        };
        let dump = direct.unwrap_or_else(|error| panic!("{length}: {error}"));
        assert!(dump.is_incomplete(), "{length}");
        assert_eq!(pages_of(&dump, &sent.model), expected, "{length}: directly");
        let (bytes, result) = rebuilt.unwrap_or_else(|error| panic!("{length}: {error}"));
        assert!(result.usable && result.stop.is_some(), "{length}");
        assert_eq!(pages_in(&bytes, sent), expected, "{length}: rebuilt");
        most = most.max(expected.len());
    }
    assert!(refused > 0 && most == 9, "{refused} {most}");
}

#[test]
fn a_stream_of_any_writer_that_breaks_off_at_any_byte_has_the_pages_that_arrived() {
    for order in StreamOrder::ALL {
        let sent = Sent::new(KdumpLayout::Le64, order);
        // In the stream's header all offsets are alike.
        judge(&sent, (0..40).chain(4090..=sent.stream.len()));
    }
}

#[test]
fn a_stream_of_any_layout_that_breaks_off_has_the_pages_that_arrived() {
    for layout in [KdumpLayout::Be64, KdumpLayout::Le32Packed, KdumpLayout::Le32, KdumpLayout::Be32]
    {
        for order in StreamOrder::ALL {
            let sent = Sent::new(layout, order);
            judge(&sent, (4090..=sent.stream.len()).step_by(17).chain([sent.stream.len()]));
        }
    }
}

#[test]
fn a_broken_stream_converts_and_verifies_as_an_incomplete_dump() {
    for order in StreamOrder::ALL {
        let sent = Sent::new(KdumpLayout::Le64, order);
        for length in (4096..=sent.stream.len()).step_by(97).chain([sent.stream.len()]) {
            let Some(expected) = sent.expected(length) else { continue };
            let dump = Dump::of_bytes(&sent.stream[..length]).unwrap();
            let (bytes, report) = plain(&dump, &ConvertOptions::default()).unwrap();
            assert!(report.incomplete());
            assert_eq!(pages_in(&bytes, &sent), expected, "{order:?} {length}");
            let findings = verify(&dump, None, &VerifyOptions::default(), &mut |_| ()).unwrap();
            assert_eq!(findings.pages.good_pages(), expected.len() as u64, "{order:?} {length}");
            for (kind, group) in findings.groups() {
                let first = group.examples.first();
                assert!(
                    ["stream", "unwritten", "remark", "notes"].contains(&kind.name()),
                    "{order:?} {length}: {first:?}"
                );
            }
        }
    }
}

#[test]
fn a_header_whose_late_fields_did_not_arrive_names_kernel_time_and_codec() {
    let sent = Sent::new(KdumpLayout::Le64, StreamOrder::ByValue);
    // The record of these fields, which ends the stream.
    let late = sent.stream.len() - 416;
    for length in [late - 2000, late - 16, late, sent.stream.len() - 1] {
        let (bytes, _) = file(&sent.stream[..length]).unwrap();
        let header = kdump_of(&bytes, sent.layout).header;
        for (field, text) in [
            ("sysname", "Linux"),
            ("nodename", ""),
            ("release", "6.1.0"),
            ("version", "unknown"),
            ("machine", "x86_64"),
        ] {
            assert_eq!(header.uts(field), text, "{length}");
        }
        assert_eq!((header.tv_sec, header.tv_usec), (1_700_000_321, 0), "{length}");
        assert_eq!(header.status, 8 | 1, "{length}");
        let summary = Summary::of(&Dump::of_bytes(&sent.stream[..length]).unwrap());
        assert!(summary.is_marked_incomplete && !summary.is_complete(), "{length}");
        let remarks: Vec<_> = summary.remarks.iter().map(|remark| remark.id).collect();
        assert!(remarks.contains(&"no-end-mark"), "{remarks:?}");
        // These fields are not empty, they did not arrive.
        assert!(!remarks.contains(&"empty-utsname") && !remarks.contains(&"codec-unnamed"));
    }
    let (bytes, _) = file(&sent.stream).unwrap();
    let header = kdump_of(&bytes, sent.layout).header;
    assert_eq!(header.utsname, kdump_of(&sent.plain, sent.layout).header.utsname);
    assert_eq!((header.tv_sec, header.status), (1_700_000_000, 8 | 1));
}
