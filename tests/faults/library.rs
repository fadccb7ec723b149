//! The n-th read or write fails, for every n: the output stays right, and errors are reported.

use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::common::{
    InMemory, flat, noise, only_right_pages, open_core, options, plain, text, x86_64,
};
use kdumpconv::Codec;
use kdumpconv::FlattenedSink;
use kdumpconv::IncompleteReason;
use kdumpconv::ReadAt;
use kdumpconv::{ConvertOptions, ConvertReport, convert};
use kdumpconv::{FileEnd, Sink, Space, WriteAt};
use support::compare::compare;
use support::kdump::Kdump;
use support::model::Model;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

const EIO: i32 = 5;
const EFAULT: i32 = 14;
const ENOSPC: i32 = 28;

/// Three batches in five segments, not aligned to pages; a long note, so that it is read in parts.
fn core() -> VmcoreBuilder {
    let mut builder = x86_64()
        .vmcoredd(&noise(1, 150_000))
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nCRASHTIME=1700000000\n");
    for index in 0..5 {
        let bytes = [text(index, 90_000), vec![0; 40_000], noise(index, 20_100)].concat();
        builder = builder.load(Load::new(0x10_0000 + index * 0x4_0000 + index * 100, bytes));
    }
    builder.prstatus(1)
}

/// What happens to a read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Errno(i32),
    Interrupted,
    /// Only this many bytes are read.
    Short(usize),
}

/// An input in which some reads, chosen by number, fail.
struct Faulty<F: Fn(usize, u64) -> Option<Fault> + Send + Sync> {
    input: InMemory,
    reads: Arc<AtomicUsize>,
    fault: F,
}

impl<F: Fn(usize, u64) -> Option<Fault> + Send + Sync> ReadAt for Faulty<F> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let number = self.reads.fetch_add(1, Ordering::SeqCst);
        match (self.fault)(number, offset) {
            Some(Fault::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Fault::Interrupted) => Err(ErrorKind::Interrupted.into()),
            Some(Fault::Short(len)) => {
                let len = len.min(buf.len());
                self.input.read_at(&mut buf[..len], offset)
            }
            None => self.input.read_at(buf, offset),
        }
    }

    fn size(&self) -> Option<u64> {
        self.input.size()
    }
}

/// Converts with faults; returns also the number of reads.
fn with_faults(
    bytes: &[u8],
    fault: impl Fn(usize, u64) -> Option<Fault> + Send + Sync + 'static,
) -> (kdumpconv::Result<(Vec<u8>, ConvertReport)>, usize) {
    let reads = Arc::new(AtomicUsize::new(0));
    let input = Faulty { input: InMemory(bytes.to_vec()), reads: Arc::clone(&reads), fault };
    let core = open_core(Box::new(input), None);
    let result = core.and_then(|core| plain(&core, &options(Codec::Snappy, 1, 1)));
    (result, reads.load(Ordering::SeqCst))
}

/// The reason why a file does not match its report.
fn wrong(file: &[u8], report: &ConvertReport, model: &Model) -> Result<(), String> {
    let kdump = Kdump::from_bytes(file)?;
    if kdump.is_incomplete() != report.incomplete() {
        return Err(format!("the header says otherwise than {:?}", report.reasons));
    }
    // A write that fails halfway may have written more than the report says, never less.
    let torn = report.reasons.iter().any(|reason| matches!(reason, IncompleteReason::Output(_)));
    let (has, said) = (kdump.dumped.count(), report.pages.written());
    if has < said || has > said && !torn {
        return Err(format!("the file has {has} pages, the report says {said}"));
    }
    if report.incomplete() { only_right_pages(model, &kdump) } else { compare(model, &kdump) }
}

#[test]
fn a_failed_read_costs_only_the_pages_it_was_reading() {
    let (builder, bytes) = (core(), core().build());
    let model = Model::new(&builder, 4096);
    let (expected, reads) = with_faults(&bytes, |_, _| None);
    let expected = expected.unwrap().0;
    assert!(reads > 15);
    let mut failures = Vec::new();
    for errno in [EIO, EFAULT] {
        for n in 0..reads {
            // Once, and from then on, as with a removed device.
            for last in [n, usize::MAX] {
                let fault =
                    move |read, _| (n..=last).contains(&read).then_some(Fault::Errno(errno));
                let Ok((file, report)) = with_faults(&bytes, fault).0 else { continue };
                let mut why = wrong(&file, &report, &model);
                if why.is_ok() && !report.incomplete() && file != expected {
                    why = Err("claims to be complete and differs".to_owned());
                }
                failures.extend(why.err().map(|why| format!("read {n}..={last}: {why}")));
            }
        }
    }
    assert!(failures.is_empty(), "{} times:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn a_bad_sector_costs_only_the_pages_in_it() {
    let (builder, bytes) = (core(), core().build());
    let model = Model::new(&builder, 4096);
    let start = builder.layout().data(builder.layout().load(1)).start as u64;
    for (from, to) in [(start + 5000, start + 5001), (start + 4000, start + 14_000)] {
        let bad = from..to;
        // A read that begins before the bad bytes ends at them, as the kernel's does.
        let fault = move |_, offset: u64| match offset {
            _ if bad.contains(&offset) => Some(Fault::Errno(EIO)),
            _ if offset < bad.start => Some(Fault::Short((bad.start - offset) as usize)),
            _ => None,
        };
        let (file, report) = with_faults(&bytes, fault).0.unwrap();
        assert!(report.incomplete());
        assert_eq!(wrong(&file, &report, &model), Ok(()));
        let most = (to - from).div_ceil(4096) + 1;
        assert!((1..=most).contains(&report.pages.unreadable), "{}", report.pages.unreadable);
        let (_, why) = report.pages.first_unreadable.unwrap();
        assert!(why.contains("os error 5"), "{why}");
    }
}

#[test]
fn short_and_interrupted_reads_make_no_difference() {
    let bytes = core().build();
    let (expected, reads) = with_faults(&bytes, |_, _| None);
    let expected = expected.unwrap().0;
    for n in 0..reads {
        for fault in [Fault::Interrupted, Fault::Short(1), Fault::Short(4095)] {
            let result = with_faults(&bytes, move |read, _| (read == n).then_some(fault)).0;
            assert!(result.unwrap().0 == expected, "{fault:?} at {n}");
        }
    }
    let every: [fn(usize, u64) -> Option<Fault>; 3] = [
        |read, _| (read % 2 == 0).then_some(Fault::Interrupted),
        |read, _| Some(Fault::Short(1 + read * 7919 % 5000)),
        |_, offset| Some(Fault::Short(1 + (offset % 613) as usize)),
    ];
    for fault in every {
        let (file, report) = with_faults(&bytes, fault).0.unwrap();
        assert!(!report.incomplete() && file == expected);
    }
}

/// How the output fails from some write on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Full {
    /// Once, without a byte written.
    Once,
    /// Once, after half of the bytes.
    OnceHalfway,
    /// From then on for whatever has no place yet, as on a full disk.
    Disk,
    /// From then on for everything, as on a device that is gone.
    Gone,
}

/// What failing writes leave. Several threads write to it at once, as to a file.
#[derive(Clone)]
struct FailingSink(Arc<Mutex<FailingFile>>);

struct FailingFile {
    bytes: Vec<u8>,
    has_place: Vec<Range<u64>>,
    /// Bytes of each write and each reservation.
    writes: Vec<u64>,
    fail_at: usize,
    how: Full,
}

impl FailingSink {
    fn new(fail_at: usize, how: Full) -> Self {
        let (bytes, has_place, writes) = (Vec::new(), Vec::new(), Vec::new());
        FailingSink(Arc::new(Mutex::new(FailingFile { bytes, has_place, writes, fail_at, how })))
    }

    fn file(&self) -> MutexGuard<'_, FailingFile> {
        self.0.lock().unwrap()
    }
}

impl FailingFile {
    /// Whether the next write of a range fails.
    fn fails(&mut self, range: &Range<u64>) -> bool {
        let number = self.writes.len();
        self.writes.push(range.end - range.start);
        match self.how {
            Full::Once | Full::OnceHalfway => number == self.fail_at,
            Full::Gone => number >= self.fail_at,
            Full::Disk => {
                let inside =
                    |place: &Range<u64>| place.start <= range.start && range.end <= place.end;
                number >= self.fail_at && !self.has_place.iter().any(inside)
            }
        }
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[start..end].copy_from_slice(bytes);
        self.has_place.push(offset..end as u64);
    }
}

impl WriteAt for FailingSink {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.file();
        if file.fails(&(offset..offset + bytes.len() as u64)) {
            if file.how == Full::OnceHalfway {
                file.put(offset, &bytes[..bytes.len() / 2]);
            }
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        file.put(offset, bytes);
        Ok(())
    }
}

impl Sink for FailingSink {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        WriteAt::write_at(self, offset, bytes)
    }

    fn shared(&self) -> Option<Arc<dyn WriteAt>> {
        Some(Arc::new(self.clone()))
    }

    fn reserve(&mut self, space: Space) -> io::Result<()> {
        let Space::Range(range) = space else { return Ok(()) };
        let mut file = self.file();
        if file.fails(&range) {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        file.has_place.push(range);
        Ok(())
    }

    fn can_rewrite(&self) -> bool {
        true
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        self.file().bytes.resize(end.size as usize, 0);
        end.write_header(self)?;
        Ok(end.size)
    }
}

/// Fails writes in turn and says what is then wrong; `which` picks them from the bytes of each.
fn fail_writes(builder: &VmcoreBuilder, options: &ConvertOptions, which: fn(&[u64]) -> Vec<usize>) {
    let (core, model) =
        (crate::common::core_of(builder.build()).unwrap(), Model::new(builder, 4096));
    let mut sink = FailingSink::new(usize::MAX, Full::Once);
    convert(&core, &mut sink, options, &mut |_| ()).unwrap();
    let whole = std::mem::take(&mut sink.file().bytes);
    let (mut kept, mut failures) = (0, Vec::new());
    let chosen = which(&sink.file().writes);
    for n in chosen {
        for how in [Full::Once, Full::OnceHalfway, Full::Disk, Full::Gone] {
            let mut sink = FailingSink::new(n, how);
            let Ok(report) = convert(&core, &mut sink, options, &mut |_| ()) else { continue };
            kept += 1;
            let bytes = &sink.file().bytes;
            let mut why = wrong(bytes, &report, &model);
            if why.is_ok() && !report.incomplete() && *bytes != whole {
                why = Err("claims to be complete and differs".to_owned());
            }
            failures.extend(why.err().map(|why| format!("{how:?} at write {n}: {why}")));
        }
    }
    assert!(failures.is_empty(), "{} of {kept}:\n{}", failures.len(), failures.join("\n"));
    assert!(kept > 0, "no failure left a dump");
}

#[test]
fn a_failed_write_leaves_a_sound_dump_of_the_earlier_pages_or_none() {
    for level in [0, 1] {
        fail_writes(&core(), &options(Codec::Snappy, level, 1), |all| (0..all.len()).collect());
        for threads in [2, 8] {
            let options = options(Codec::Raw, level, threads);
            fail_writes(&core(), &options, |all| (0..all.len()).collect());
        }
    }
}

/// More than 5461 pages, so that descriptors are written between the data.
#[test]
fn a_failed_write_between_the_descriptors_of_a_large_dump_leaves_a_sound_dump() {
    let mut memory = vec![0; 0x40_0000];
    memory[..4096].copy_from_slice(&noise(1, 4096));
    memory[0x20_0000..0x20_1000].copy_from_slice(&text(2, 4096));
    let mut builder = x86_64().prstatus(0).load(Load::new(0, memory));
    for index in 1..48 {
        builder = builder.load(Load::shared(index * 0x50_0000, 0, 0, 0x40_0000));
    }
    // The second of this size of all but data; the first reserves the place of all descriptors.
    fail_writes(&builder, &options(Codec::Snappy, 1, 1), |all| {
        let mut large = (0..all.len()).filter(|n| all[*n] >= 128 << 10);
        let descriptors = large.nth(1).unwrap();
        (descriptors - 1..descriptors + 3).chain(all.len() - 4..all.len()).collect()
    });
}

/// A writer of which one `write` fails, or all from then on; a failing one may take some bytes.
struct FailingWriter {
    bytes: Vec<u8>,
    writes: usize,
    fail_at: usize,
    how: Full,
}

impl Write for FailingWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let number = self.writes;
        self.writes += 1;
        if number == self.fail_at && self.how == Full::OnceHalfway && buf.len() > 1 {
            // A full disk takes what fits, and says so at the next write.
            self.fail_at += 1;
            self.bytes.extend(&buf[..buf.len() / 2]);
            return Ok(buf.len() / 2);
        }
        if number == self.fail_at || (self.how == Full::Gone && number > self.fail_at) {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        self.bytes.extend(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failed_flattened_stream_is_an_error_or_sound() {
    let mut builder = x86_64().prstatus(0);
    for index in 0..5 {
        builder = builder.load(Load::new(index * 0x100_0000, noise(index, 900_000)));
    }
    let (core, model) =
        (crate::common::core_of(builder.build()).unwrap(), Model::new(&builder, 4096));
    let options = options(Codec::Snappy, 1, 1);
    let expected = flat(&core, &options).unwrap().0;
    let run = |fail_at, how| {
        let mut out = FailingWriter { bytes: Vec::new(), writes: 0, fail_at, how };
        let result = convert(&core, &mut FlattenedSink::new(&mut out), &options, &mut |_| ());
        (result, out)
    };
    let writes = run(usize::MAX, Full::Once).1.writes;
    assert!(writes > 10);
    let mut failures = Vec::new();
    for n in 0..writes {
        for how in [Full::Once, Full::OnceHalfway, Full::Gone] {
            let (Ok(report), out) = run(n, how) else { continue };
            let mut why = wrong(&out.bytes, &report, &model);
            if why.is_ok() && !report.incomplete() && out.bytes != expected {
                why = Err("claims to be complete and differs".to_owned());
            }
            failures.extend(why.err().map(|why| format!("{how:?} at write {n}: {why}")));
        }
    }
    assert!(failures.is_empty(), "{} of {writes}:\n{}", failures.len(), failures.join("\n"));
}
