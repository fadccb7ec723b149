//! Rebuilding the plain file of a flattened stream: one pass over it, each record to its place.
//!
//! The file is byte for byte the one that `makedumpfile -R` makes. If the stream breaks off after
//! the headers have arrived, the file is usable: `repair` marks it as incomplete.
//!
//! The rules of records belong in `input::flattened`; reading a flattened dump without rebuilding it,
//! too.

mod late_fields;
mod mark;
mod ranges;
mod repair;
mod stream;

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result, counted};
use crate::format::flattened::Record;
use crate::format::kdump::DiskDumpHeader;
use crate::input::flattened::records::RecordScanner;
use crate::pages::{FileOffset, FileRange, Position, Span, at_most, in_memory};
use crate::progress::Progress;
use crate::sink::{FileEnd, Sink};
use ranges::Ranges;
use repair::Repaired;
pub use stream::FlattenedStream;

/// Bytes that are overwritten at a time where a write failed: the smallest block of file systems.
const TAKE_BACK_BYTES: usize = 512;

/// Bytes of the file that are written after all others: its signature, whatever its kind.
const FIRST_BYTES: usize = 8;

/// Why a stream was not rebuilt to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnflattenStop {
    /// It ends before its end mark.
    #[error("the stream is cut off at offset {at:#x}, {what}")]
    Cut {
        /// Where, in the stream.
        at: u64,
        /// In what.
        what: String,
    },
    /// It cannot be read further.
    #[error("the stream cannot be read at offset {at:#x}: {source}")]
    Read {
        /// Where, in the stream.
        at: u64,
        /// Why not.
        source: io::Error,
    },
    /// The end of the stream proves that it is damaged somewhere: its checksum is wrong.
    #[error("the stream is damaged at an unknown place: {0}")]
    Damaged(#[source] io::Error),
    /// The output took no more.
    #[error("writing failed: {0}")]
    Output(#[source] io::Error),
    /// The whole stream arrived, but the header of the dump says that it is incomplete.
    #[error("the dump in the stream is marked as incomplete")]
    Marked,
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
}

/// A file that was rebuilt.
#[derive(Debug)]
pub struct Unflattened {
    /// The number of whole records.
    pub records: u64,
    /// Bytes of the stream up to its end mark, or to where it broke off.
    pub stream_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Why it is incomplete, if it is.
    pub stop: Option<UnflattenStop>,
    /// Whether an incomplete file is usable: its headers arrived.
    pub usable: bool,
    /// What the user should know besides.
    pub warnings: Vec<String>,
}

/// What ends a pass before the end mark.
enum Failure {
    /// The bytes that arrived are kept, if they are usable.
    UnflattenStop(UnflattenStop),
    /// Nothing is kept.
    Refused(Error),
}

impl From<UnflattenStop> for Failure {
    fn from(stop: UnflattenStop) -> Self {
        Failure::UnflattenStop(stop)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Refused(error)
    }
}

/// A file that is being rebuilt.
struct Assembly<'a> {
    sink: &'a mut dyn Sink,
    /// Its first bytes, which are held back: with them, the header would say from the start that the
    /// dump is complete.
    first: [u8; FIRST_BYTES],
    /// The bytes that arrived.
    came: Ranges,
    /// Records that a later one may replace.
    replaceable: Vec<Record>,
}

/// Rebuilds the plain file of `stream` in `sink`, which can seek.
///
/// If the stream breaks off, or the output takes no more, the file is
/// [incomplete](Unflattened::stop).
///
/// # Errors
/// [`Error::Damaged`] for implausible or overlapping records, and for a stream that is cut off before
/// the headers arrived; [`Error::Read`] and [`Error::Write`] if that fails before. The bytes written
/// are useless then.
pub fn unflatten(
    mut stream: FlattenedStream,
    sink: &mut dyn Sink,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Unflattened> {
    let mut file = Assembly {
        sink,
        first: [0; FIRST_BYTES],
        came: Ranges::default(),
        replaceable: Vec::new(),
    };
    let mut warnings = Vec::new();
    let stopped = match file.put_together(&mut stream, cancel, progress) {
        Ok(()) => None,
        Err(Failure::UnflattenStop(stop)) => Some(stop),
        Err(Failure::Refused(error)) => return Err(error),
    };
    let (records, stream_bytes) = (stream.scanner().number(), stream.taken_bytes());
    let stop = stopped.or_else(|| match stream.surplus() {
        Ok((0, _)) => None,
        Ok((bytes, all)) => {
            let least = if all { "" } else { "at least " };
            warnings.push(format!("ignored after the end mark: {least}{}", counted(bytes, "byte")));
            None
        }
        // The whole dump arrived: the user need not wait for the end of the stream.
        Err(_) if cancel.load(Ordering::Relaxed) => None,
        Err(error) => Some(UnflattenStop::Damaged(error)),
    });
    let (finished, stop) = match stop {
        None => {
            file.fill_gaps()?;
            let is_marked = file.first_bytes().is_ok_and(|bytes| mark::is_incomplete(&bytes));
            let file_bytes = file.finish(file.came.end().get(), 0..0)?;
            (Some(file_bytes), is_marked.then_some(UnflattenStop::Marked))
        }
        stop => (file.finish_incomplete(&mut warnings)?, stop),
    };
    let (file_bytes, usable) = (finished.unwrap_or(0), finished.is_some());
    match stop {
        Some(stop) if !usable && !matches!(stop, UnflattenStop::Cancelled) => Err(unusable(stop)),
        stop => Ok(Unflattened { records, stream_bytes, file_bytes, stop, usable, warnings }),
    }
}

/// The error of a stream that broke off before the file was usable.
fn unusable(stop: UnflattenStop) -> Error {
    match stop {
        UnflattenStop::Cut { at, what } => Error::Damaged {
            what: "flattened stream".to_owned(),
            offset: at,
            why: format!("cut off {what}: the headers of the dump did not arrive"),
        },
        UnflattenStop::Read { at, source } => {
            Error::Read { what: format!("the stream at offset {at:#x}"), source }
        }
        UnflattenStop::Damaged(source) => Error::Read { what: "the stream".to_owned(), source },
        UnflattenStop::Output(source) => Error::Write { what: "the file".to_owned(), source },
        UnflattenStop::Cancelled => {
            Error::Read { what: "the stream".to_owned(), source: io::ErrorKind::Interrupted.into() }
        }
        UnflattenStop::Marked => unreachable!("a whole stream is usable"),
    }
}

impl Assembly<'_> {
    /// Writes all records up to the end mark.
    fn put_together(
        &mut self,
        stream: &mut FlattenedStream,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Failure> {
        loop {
            // A signal that asks to stop may also have made the read fail.
            let asked_to_stop = |failure| match failure {
                Failure::UnflattenStop(UnflattenStop::Read { .. })
                    if cancel.load(Ordering::Relaxed) =>
                {
                    UnflattenStop::Cancelled.into()
                }
                other => other,
            };
            let Some(record) = stream.record().map_err(asked_to_stop)? else {
                if stream.scanner().number() == 0 {
                    let why = "the stream has no records".to_owned();
                    return Err(stream.scanner().damaged(why).into());
                }
                return Ok(());
            };
            let number = stream.scanner().number();
            let is_new = self.check(record, stream.scanner())?;
            let mut done = 0;
            while done < record.size {
                if cancel.load(Ordering::Relaxed) {
                    return Err(UnflattenStop::Cancelled.into());
                }
                let part = stream.data(record, done).map_err(|stop| asked_to_stop(stop.into()))?;
                let range = Span::of(record.offset + done, part.len() as u64);
                if let Err(error) = self.write(range.start, part) {
                    self.take_back(range);
                    return Err(UnflattenStop::Output(error).into());
                }
                done += range.len();
                if is_new {
                    self.came.insert(range, number);
                }
                progress(stream.progress());
            }
            stream.advance(record);
        }
    }

    /// Writes bytes of a record, except those that are held back.
    fn write(&mut self, offset: FileOffset, bytes: &[u8]) -> io::Result<()> {
        let (_, place) = self.first.split_at_mut(at_most(offset.get(), FIRST_BYTES));
        let (held, rest) = bytes.split_at(place.len().min(bytes.len()));
        place.split_at_mut(held.len()).0.copy_from_slice(held);
        let held = Span::of(offset, held.len() as u64);
        if !held.is_empty() {
            self.sink.discard_stale(held.into())?;
        }
        if rest.is_empty() { Ok(()) } else { self.sink.write_at(held.end.get(), rest) }
    }

    /// Refuses a record, the next one of `scanner`, if it overlaps another one; returns whether it
    /// is new, rather than replaces one.
    fn check(&mut self, record: Record, scanner: &RecordScanner) -> Result<bool> {
        let range = record.range();
        if let Some(other) = self.came.overlap(range) {
            if self.replaceable.contains(&record) {
                return Ok(false);
            }
            let (start, end) = (range.start, range.end);
            let why = format!("bytes {start:#x}..{end:#x} of the file overlap {other}");
            return Err(scanner.damaged(why));
        }
        // The list stays short: there are seven page sizes and two ELF classes.
        if record.may_be_replaced() {
            self.replaceable.push(record);
        }
        Ok(true)
    }

    /// Overwrites with zeros the part of `range` that a failed write may have written, up to the
    /// first block that takes no zeros either.
    fn take_back(&mut self, range: FileRange) {
        let zeros = [0; TAKE_BACK_BYTES];
        let mut at = range.start;
        while at < range.end {
            let (zeros, _) = zeros.split_at(at_most(range.end - at, TAKE_BACK_BYTES));
            if self.sink.write_at(at.get(), zeros).is_err() {
                return;
            }
            at += zeros.len() as u64;
        }
    }

    /// Makes the file consistent and ends it; `None` if it is useless.
    fn finish_incomplete(&mut self, warnings: &mut Vec<String>) -> Result<Option<u64>> {
        self.fill_gaps()?;
        let first = self.first_bytes().map_err(Error::read("what was written"))?;
        let (file_bytes, unused) = match repair::repair(self.sink, &self.came, &first)? {
            Repaired::Useless => return Ok(None),
            Repaired::Kdump { file_bytes, unused, failure } => {
                let lost = |why| format!("pages that arrived are lost: {why}");
                warnings.extend(failure.map(lost));
                (file_bytes, unused)
            }
            Repaired::Elf => {
                warnings.push(
                    "the ELF file is kept as it arrived, without a mark that it is incomplete"
                        .to_owned(),
                );
                (self.came.end().get(), 0..0)
            }
        };
        self.finish(file_bytes, unused).map(Some)
    }

    /// The bytes at the start of the file, those of the main header of a kdump file or an ELF file; 0
    /// where it ends before.
    fn first_bytes(&mut self) -> io::Result<[u8; DiskDumpHeader::MAX_BYTES]> {
        let mut bytes = [0; DiskDumpHeader::MAX_BYTES];
        let written = at_most(self.came.end().get(), bytes.len());
        let (held, rest) = bytes.split_at_mut(FIRST_BYTES);
        held.copy_from_slice(&self.first);
        let (rest, _) = rest.split_at_mut(written.saturating_sub(FIRST_BYTES));
        if !rest.is_empty() {
            self.sink.read_back(FIRST_BYTES as u64, rest)?;
        }
        Ok(bytes)
    }

    /// Writes zeros where no record has bytes: a device has old bytes there.
    fn fill_gaps(&mut self) -> Result<()> {
        for gap in self.came.gaps() {
            self.sink.write_zeros(gap.into()).map_err(Error::write("zeros"))?;
        }
        Ok(())
    }

    fn finish(&mut self, file_bytes: u64, unused: Range<u64>) -> Result<u64> {
        let held = self.came.within(Span::of(FileOffset::ZERO, FIRST_BYTES as u64)).next();
        let held = held.filter(|part| part.start == FileOffset::ZERO).unwrap_or_default();
        let (first, _) = self.first.split_at(in_memory(held.len()));
        let header = Some((0, first)).filter(|_| !first.is_empty());
        let end = FileEnd { size: file_bytes, unused, header, is_broken: false };
        self.sink.close(end).map_err(Error::write("the end of the file"))
    }
}
