//! A flattened stream put together again: one pass over it, each record to its place.
//!
//! The file is the one that `makedumpfile -R` makes, byte for byte. Where the stream breaks off,
//! what came is of use once the headers are there: they are made to say that the dump is
//! incomplete.

mod ranges;
mod repair;
mod stream;

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};
use crate::format::flattened::Record;
use crate::progress::Progress;
use crate::sink::{FileEnd, Sink};
use ranges::Ranges;
use repair::Repaired;
pub use stream::FlattenedStream;

/// Bytes that are overwritten at a time where a write failed: the least that file systems have.
const TAKE_BACK_BYTES: usize = 512;

/// Bytes of the file that are written when all others are: a signature of whatever kind.
const FIRST_BYTES: usize = 8;

/// Why a stream was not put together to its end.
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
    /// The end of the stream tells that it is damaged somewhere.
    #[error("the stream is damaged, anything in it may be: {0}")]
    Damaged(#[source] io::Error),
    /// The output took no more.
    #[error("the output takes no more: {0}")]
    Output(#[source] io::Error),
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
}

/// What was put together.
#[derive(Debug)]
pub struct Unflattened {
    /// Whole records.
    pub records: u64,
    /// Bytes of the stream up to its end mark, or to where it broke off.
    pub stream_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Why it is incomplete, if it is.
    pub stop: Option<UnflattenStop>,
    /// Whether an incomplete file is of use: its headers came, and say that it is incomplete.
    pub usable: bool,
    /// What is to be said besides.
    pub warnings: Vec<String>,
}

fn damaged(number: u64, offset: u64, why: String) -> Error {
    Error::Damaged { what: format!("flattened record {number}"), offset, why }
}

/// What ends a pass before the end mark.
enum Failure {
    /// What came is kept, if it is of use.
    UnflattenStop(UnflattenStop),
    /// Nothing is.
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

/// A file under way.
struct Assembly<'a> {
    sink: &'a mut dyn Sink,
    /// Its first bytes, held back: a writer's header says from the start that the dump is complete.
    first: [u8; FIRST_BYTES],
    came: Ranges,
    records: u64,
    /// Records whose place may come again.
    replaceable: Vec<Record>,
}

/// Puts a stream together in `sink`, which can seek.
///
/// A stream that breaks off is an [incomplete](Unflattened::stop) file, and so is an output that
/// takes no more.
///
/// # Errors
/// [`Error::Damaged`] for records that make no sense or overlap, and for a stream that is cut off
/// before the headers came; [`Error::Read`] and [`Error::Write`] likewise. What was written is of
/// no use then.
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
        records: 0,
        replaceable: Vec::new(),
    };
    let mut warnings = Vec::new();
    let stopped = match file.put_together(&mut stream, cancel, progress) {
        Ok(()) => None,
        Err(Failure::UnflattenStop(stop)) => Some(stop),
        Err(Failure::Refused(error)) => return Err(error),
    };
    let stream_bytes = stream.position;
    let stop = stopped.or_else(|| match stream.surplus() {
        Ok((0, _)) => None,
        Ok((bytes, all)) => {
            let least = if all { "" } else { "at least " };
            warnings.push(format!(
                "{least}{bytes} bytes follow the end mark: they are no part of the dump"
            ));
            None
        }
        // All of the dump came; who waits for the end of the stream need not.
        Err(_) if cancel.load(Ordering::Relaxed) => None,
        Err(error) => Some(UnflattenStop::Damaged(error)),
    });
    let finished = match &stop {
        None => {
            file.fill_gaps()?;
            Some(file.finish(file.came.end())?)
        }
        Some(_) => file.finish_incomplete(&mut warnings)?,
    };
    let (file_bytes, usable) = (finished.unwrap_or(0), finished.is_some());
    match stop {
        Some(stop) if !usable && !matches!(stop, UnflattenStop::Cancelled) => Err(unusable(stop)),
        stop => {
            let records = file.records;
            Ok(Unflattened { records, stream_bytes, file_bytes, stop, usable, warnings })
        }
    }
}

/// The error of a stream that broke off before what came was of any use.
fn unusable(stop: UnflattenStop) -> Error {
    match stop {
        UnflattenStop::Cut { at, what } => Error::Damaged {
            what: "flattened stream".to_owned(),
            offset: at,
            why: format!("cut off {what}: the headers of the dump did not come"),
        },
        UnflattenStop::Read { at, source } => {
            Error::Read { what: format!("the stream at offset {at:#x}"), source }
        }
        UnflattenStop::Damaged(source) => Error::Read { what: "the stream".to_owned(), source },
        UnflattenStop::Output(source) => Error::Write { what: "the file".to_owned(), source },
        UnflattenStop::Cancelled => {
            Error::Read { what: "the stream".to_owned(), source: io::ErrorKind::Interrupted.into() }
        }
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
            // Asked after a read that a signal may have cut short, and that then failed.
            let asked_to_stop = |failure| match failure {
                Failure::UnflattenStop(UnflattenStop::Read { .. })
                    if cancel.load(Ordering::Relaxed) =>
                {
                    UnflattenStop::Cancelled.into()
                }
                other => other,
            };
            let at = stream.position;
            let Some(record) = stream.record(self.records).map_err(asked_to_stop)? else {
                return if self.records == 0 {
                    Err(damaged(0, at, "the stream has no records".to_owned()).into())
                } else {
                    Ok(())
                };
            };
            let is_new = self.check(record, at)?;
            let mut done = 0;
            while done < record.size {
                if cancel.load(Ordering::Relaxed) {
                    return Err(UnflattenStop::Cancelled.into());
                }
                let position = stream.position;
                let part = stream.take(record.size - done).map_err(|source| {
                    asked_to_stop(UnflattenStop::Read { at: position, source }.into())
                })?;
                if part.is_empty() {
                    let what = format!(
                        "with {done} of {} bytes of record {} for {:#x}",
                        record.size, self.records, record.offset
                    );
                    return Err(UnflattenStop::Cut { at: position, what }.into());
                }
                let offset = record.offset + done;
                if let Err(error) = self.write(offset, part) {
                    let bytes = part.len() as u64;
                    self.take_back(offset..offset.saturating_add(bytes));
                    return Err(UnflattenStop::Output(error).into());
                }
                done += part.len() as u64;
                if is_new {
                    self.came.insert(offset..record.offset + done, self.records);
                }
                progress(stream.progress());
            }
            self.records += 1;
        }
    }

    /// Writes bytes of a record, but for those that are held back.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let place = self.first.get_mut(at..).unwrap_or_default();
        let (held, rest) = bytes.split_at(place.len().min(bytes.len()));
        place.iter_mut().zip(held).for_each(|(place, byte)| *place = *byte);
        let held = held.len() as u64;
        if held > 0 {
            self.sink.discard_stale(offset..offset + held)?;
        }
        if rest.is_empty() { Ok(()) } else { self.sink.write_at(offset + held, rest) }
    }

    /// Refuses a record that has bytes of another; whether it is none that comes again.
    fn check(&mut self, record: Record, at: u64) -> Result<bool> {
        let range = record.offset..record.end();
        if let Some(other) = self.came.overlap(&range) {
            if self.replaceable.contains(&record) {
                return Ok(false);
            }
            let (start, end) = (range.start, range.end);
            let why = format!("bytes {start:#x}..{end:#x} of the file overlap {other}");
            return Err(damaged(self.records, at, why));
        }
        // Seven page sizes and two ELF classes: the list stays short.
        if record.may_be_replaced() {
            self.replaceable.push(record);
        }
        Ok(true)
    }

    /// Takes back what a write that failed may have written of `range`: the blocks that took it
    /// take zeros as well.
    fn take_back(&mut self, range: Range<u64>) {
        let mut at = range.start;
        while at < range.end {
            let piece = usize::try_from(range.end - at).unwrap_or(TAKE_BACK_BYTES);
            let zeros = [0; TAKE_BACK_BYTES];
            let zeros = zeros.get(..piece).unwrap_or(&zeros);
            if self.sink.write_at(at, zeros).is_err() {
                return;
            }
            at += zeros.len() as u64;
        }
    }

    /// Makes what came consistent and ends it; `None` if it is of no use.
    fn finish_incomplete(&mut self, warnings: &mut Vec<String>) -> Result<Option<u64>> {
        self.fill_gaps()?;
        let file_bytes = match repair::repair(self.sink, &self.came, &self.first)? {
            Repaired::Useless => return Ok(None),
            Repaired::Kdump { file_bytes } => file_bytes,
            Repaired::Elf => {
                warnings.push("it is an ELF file, which is kept as it came: it does not say that it is incomplete".to_owned());
                self.came.end()
            }
        };
        self.finish(file_bytes).map(Some)
    }

    /// A device has old bytes where no record is.
    fn fill_gaps(&mut self) -> Result<()> {
        for gap in self.came.gaps() {
            self.sink.write_zeros(gap).map_err(Error::write("zeros"))?;
        }
        Ok(())
    }

    fn finish(&mut self, file_bytes: u64) -> Result<u64> {
        let came =
            self.came.within(0..self.first.len() as u64).next().filter(|part| part.start == 0);
        let came = came.and_then(|part| usize::try_from(part.end).ok()).unwrap_or(0);
        let first = self.first.get(..came).unwrap_or_default();
        let header = Some((0, first)).filter(|_| !first.is_empty());
        let end = FileEnd { size: file_bytes, header, ..FileEnd::default() };
        self.sink.close(end).map_err(Error::write("the end of the file"))
    }
}
