//! Split sets: the files that `convert_split` writes are one dump, in whatever state they are.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kdumpconv::{
    Codec, ConvertOptions, ConvertReport, Dump, FileEnd, FlattenedSink, IncompleteReason,
    OpenOptions, ReadAt, Sink, convert_split,
};
use proptest::prelude::*;
use support::compare::compare;
use support::image::Image;
use support::kdump::{Kdump, Strictness};
use support::mm::{Mm, releases};
use support::model::Model;
use support::segments::Load;
use support::split_set::joined;
use support::strategies::small_vmcores;

use crate::common::{
    InMemory, InMemorySink, core_of, noise, only_right_pages, options, plain, stream_of, text,
    x86_64,
};
use crate::kdump_inputs::codecs;

fn split(
    dump: &Dump,
    files: usize,
    options: &ConvertOptions,
) -> kdumpconv::Result<(Vec<Vec<u8>>, ConvertReport)> {
    let mut sinks: Vec<InMemorySink> = (0..files).map(|_| InMemorySink::default()).collect();
    let mut outputs: Vec<&mut dyn Sink> = sinks.iter_mut().map(|sink| sink as _).collect();
    let report = convert_split(dump, &mut outputs, options, &mut |_| ())?;
    Ok((sinks.into_iter().map(|sink| sink.bytes).collect(), report))
}

fn open(files: &[Vec<u8>]) -> Dump {
    let input = |file: &Vec<u8>| -> Box<dyn ReadAt> { Box::new(InMemory(file.clone())) };
    Dump::open_all(files.iter().map(input).collect(), &OpenOptions::default()).unwrap()
}

/// What the independent reader makes of a set.
fn read(files: &[Vec<u8>]) -> Kdump {
    let image = Image::from_bytes(&joined(files).unwrap()).unwrap();
    Kdump::open(image, Strictness::Lenient).unwrap()
}

/// 600 pages of all kinds.
fn vmcore() -> (Vec<u8>, Model) {
    let memory = [noise(1, 150 * 4096), vec![0; 200 * 4096], text(2, 250 * 4096)].concat();
    let builder = x86_64().load(Load::new(0x3000, memory));
    (builder.build(), Model::new(&builder, 4096))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_files_of_a_set_have_the_pages_of_the_one_file(
        vmcore in small_vmcores(),
        codec in codecs(),
        files in 2..9_usize,
        level in 0..2_u32,
        threads in 1..4_usize,
    ) {
        prop_assume!(!crate::common::starts_beyond_its_header(&vmcore));
        let core = crate::common::open_core(InMemory(vmcore.builder.build()), Some(vmcore.page_size)).unwrap();
        let options = options(codec, level, threads);
        let (set, report) = split(&core, files, &options).unwrap();
        let (one, whole) = plain(&core, &options).unwrap();
        prop_assert_eq!(compare(&vmcore.model(), &read(&set)), Ok(()));
        prop_assert_eq!(&report.pages, &whole.pages);
        prop_assert_eq!(report.incomplete(), whole.incomplete());
        let pages: u64 = report.split_files.iter().map(|file| file.pages).sum();
        prop_assert_eq!(pages, report.pages.written());
        let sizes: Vec<u64> = set.iter().map(|file| file.len() as u64).collect();
        prop_assert_eq!(report.bytes_of_files(), sizes);
        // Joined by our own reader, they are the one file, byte for byte.
        let (again, _) = plain(&open(&set), &options).unwrap();
        prop_assert!(again == one, "the set, joined, is not the one file");
    }
}

#[test]
fn a_set_does_not_depend_on_the_number_of_threads() {
    let core = core_of(vmcore().0).unwrap();
    for codec in Codec::ALL {
        let set = |threads| split(&core, 3, &options(codec, 1, threads)).unwrap().0;
        let one = set(1);
        assert!([2, 5].into_iter().all(|threads| set(threads) == one), "{codec:?}");
    }
}

#[test]
fn one_sink_gets_the_file_of_a_conversion_to_one() {
    let core = core_of(vmcore().0).unwrap();
    let (set, report) = split(&core, 1, &options(Codec::Lzo, 1, 2)).unwrap();
    assert!(report.split_files.is_empty());
    assert_eq!(set, [plain(&core, &options(Codec::Lzo, 1, 2)).unwrap().0]);
}

#[test]
fn classes_are_excluded_as_from_the_one_file_and_the_kernel_comes_first() {
    let mm = Mm::populated(releases::V6_12);
    let core = core_of(mm.core().bytes()).unwrap();
    for level in [1, 17, 31] {
        for files in [2, 3, 8] {
            let (set, report) = split(&core, files, &options(Codec::Zlib, level, 2)).unwrap();
            let (one, _) = plain(&core, &options(Codec::Zlib, level, 2)).unwrap();
            let one = Kdump::from_bytes(&one).unwrap();
            let joined = read(&set);
            assert_eq!(joined.dumped.runs(), one.dumped.runs());
            assert_eq!(joined.header.dump_level, u64::from(level));
            assert_eq!(joined.header.utsname, one.header.utsname);
            for run in one.dumped.runs() {
                for pfn in run.clone() {
                    assert_eq!(joined.page(pfn), one.page(pfn), "pfn {pfn:#x}");
                }
            }
            let kept = one.dumped.count() / files as u64;
            for file in &report.split_files {
                assert!(file.pages <= kept + 64, "{:?}", report.split_files);
            }
        }
    }
}

#[test]
fn a_set_of_more_files_than_pages_opens() {
    let builder = x86_64().load(Load::new(0x5000, noise(4, 3 * 4096)));
    let core = core_of(builder.build()).unwrap();
    let (set, report) = split(&core, 8, &options(Codec::Lzo, 1, 2)).unwrap();
    assert_eq!(report.split_files.iter().map(|file| file.pages).sum::<u64>(), 3);
    assert!(report.split_files.iter().any(|file| file.pfns.is_empty()));
    compare(&Model::new(&builder, 4096), &read(&set)).unwrap();
    assert!(!open(&set).is_incomplete());
}

#[test]
fn a_stream_is_split_as_the_file_is() {
    let (bytes, _) = vmcore();
    let options = options(Codec::Zstd, 1, 2);
    let (of_file, _) = split(&core_of(bytes.clone()).unwrap(), 3, &options).unwrap();
    let (of_stream, report) = split(&stream_of(bytes).unwrap(), 3, &options).unwrap();
    assert!(!report.incomplete() && of_stream == of_file);
}

#[test]
fn a_set_of_a_core_that_was_cut_off_has_the_pages_that_are_there() {
    let (mut bytes, model) = vmcore();
    bytes.truncate(bytes.len() - 100 * 4096 - 50);
    for dump in [core_of(bytes.clone()).unwrap(), stream_of(bytes).unwrap()] {
        let (set, report) = split(&dump, 3, &options(Codec::Lzo, 1, 2)).unwrap();
        assert!(report.incomplete());
        assert_eq!(report.pages.written(), 499);
        assert!(open(&set).is_incomplete());
        let joined = read(&set);
        assert!(joined.is_incomplete());
        only_right_pages(&model, &joined).unwrap();
    }
}

/// A sink that takes no byte after an offset.
struct SmallSink {
    inner: InMemorySink,
    room: u64,
    /// Called with the number of bytes of each write.
    on_write: Box<dyn FnMut(usize) + Send>,
}

impl SmallSink {
    fn new(room: u64) -> Self {
        SmallSink { inner: InMemorySink::default(), room, on_write: Box::new(|_| ()) }
    }
}

impl Sink for SmallSink {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (self.on_write)(bytes.len());
        if offset + bytes.len() as u64 > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.write_at(offset, bytes)
    }

    fn read_back(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.inner.read_back(offset, buf)
    }

    fn can_rewrite(&self) -> bool {
        true
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        self.inner.close(end)
    }
}

fn split_into(
    dump: &Dump,
    sinks: &mut [SmallSink],
    options: &ConvertOptions,
) -> kdumpconv::Result<ConvertReport> {
    let mut outputs: Vec<&mut dyn Sink> = sinks.iter_mut().map(|sink| sink as _).collect();
    convert_split(dump, &mut outputs, options, &mut |_| ())
}

fn bytes_of(sinks: Vec<SmallSink>) -> Vec<Vec<u8>> {
    sinks.into_iter().map(|sink| sink.inner.bytes).collect()
}

#[test]
fn a_file_whose_disk_is_full_does_not_stop_the_others() {
    let (bytes, model) = vmcore();
    let core = core_of(bytes).unwrap();
    let (whole, of_whole) = split(&core, 3, &options(Codec::Raw, 1, 2)).unwrap();
    for full in 0..3 {
        for threads in [1, 3] {
            let room = |index| if index == full { 300_000 } else { u64::MAX };
            let mut sinks: Vec<SmallSink> = (0..3).map(|i| SmallSink::new(room(i))).collect();
            let options = options(Codec::Raw, 1, threads);
            let report = split_into(&core, &mut sinks, &options).unwrap();
            let reason = report.reasons.iter().map(ToString::to_string).collect::<Vec<_>>();
            let expected = format!("file {} of the split set: writing failed: ", full + 1);
            // A file with pages of zeros alone fits.
            if of_whole.split_files[full].file_bytes <= 300_000 {
                assert!(reason.is_empty(), "{reason:?}");
                continue;
            }
            assert!(reason.len() == 1 && reason[0].starts_with(&expected), "{reason:?}");
            let files = bytes_of(sinks);
            for (index, (file, of_file)) in files.iter().zip(&report.split_files).enumerate() {
                let is_whole = of_file.missing_pages == 0;
                assert_eq!(is_whole, index != full);
                assert!(is_whole || of_file.pages > 20, "{of_file:?}");
                // Only the status differs.
                assert_eq!(is_whole, file.len() == whole[index].len());
            }
            let joined = read(&files);
            assert!(joined.is_incomplete() && open(&files).is_incomplete());
            only_right_pages(&model, &joined).unwrap();
        }
    }
}

#[test]
fn if_all_files_are_full_the_set_has_what_fits() {
    let (bytes, model) = vmcore();
    let core = core_of(bytes).unwrap();
    let limit = options(Codec::Raw, 0, 2).max_size(200_000);
    let (files, report) = split(&core, 4, &limit).unwrap();
    assert_eq!(report.reasons.len(), 4, "{:?}", report.reasons);
    assert!(report.reasons.iter().all(|reason| matches!(
        reason,
        IncompleteReason::SplitFile { reason, .. }
            if matches!(**reason, IncompleteReason::MaxSize { limit: 200_000 })
    )));
    assert!(files.iter().all(|file| file.len() <= 200_000));
    let joined = read(&files);
    assert!(joined.is_incomplete());
    only_right_pages(&model, &joined).unwrap();
}

#[test]
fn a_set_without_room_for_its_headers_is_an_error_that_names_the_file() {
    let core = core_of(vmcore().0).unwrap();
    let mut sinks = vec![SmallSink::new(u64::MAX), SmallSink::new(5000)];
    let error = split_into(&core, &mut sinks, &options(Codec::Raw, 0, 1)).unwrap_err();
    assert!(error.to_string().starts_with("cannot write file 2 of the split set: "), "{error}");
}

#[test]
fn an_interrupted_set_has_the_pages_up_to_then_in_each_file() {
    let builder = x86_64().load(Load::new(0x3000, noise(1, 1500 * 4096)));
    let (core, model) = (core_of(builder.build()).unwrap(), Model::new(&builder, 4096));
    let cancel: Arc<AtomicBool> = Arc::default();
    let mut sinks: Vec<SmallSink> = (0..3).map(|_| SmallSink::new(u64::MAX)).collect();
    let flag = Arc::clone(&cancel);
    // The files take turns, and this one gets its first pages after the others.
    sinks[2].on_write = Box::new(move |bytes| flag.store(bytes > 300_000, Ordering::Relaxed));
    let options = options(Codec::Raw, 0, 1).cancel(cancel);
    let report = split_into(&core, &mut sinks, &options).unwrap();
    assert!(report.reasons.iter().any(|reason| matches!(reason, IncompleteReason::Cancelled)));
    let files = bytes_of(sinks);
    let joined = read(&files);
    assert!(joined.is_incomplete());
    only_right_pages(&model, &joined).unwrap();
    // All grow together.
    assert!(report.split_files.iter().all(|file| file.pages > 0), "{:?}", report.split_files);
    assert!(report.split_files.iter().any(|file| file.missing_pages > 0));
}

#[test]
fn sinks_that_cannot_be_rewritten_are_refused() {
    let core = core_of(vmcore().0).unwrap();
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let (mut one, mut other) = (FlattenedSink::new(&mut one), FlattenedSink::new(&mut other));
    let mut sinks: [&mut dyn Sink; 2] = [&mut one, &mut other];
    let error = convert_split(&core, &mut sinks, &options(Codec::Raw, 0, 1), &mut |_| ());
    assert_eq!(
        error.unwrap_err().to_string(),
        "a file of a split set cannot seek: only a flattened stream can be written to it"
    );
}
