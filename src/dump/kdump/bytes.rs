//! The bytes of one kdump file, which may be plain or flattened.

use std::io;
use std::ops::Deref;

use crate::dump::early_end::EarlyEnd;
use crate::dump::open::magic;
use crate::error::Result;
use crate::format::flattened::is_flattened;
use crate::format::kdump::PAGE_DESC_BYTES;
use crate::input::{FlattenedInput, FlattenedStats, InputFailure, RandomInput, ReadAt, read_full};
use crate::pages::{FileOffset, FileRange, in_memory};

/// The bytes of a kdump file at the offsets that its headers use.
pub(crate) enum FileBytes {
    /// The input itself.
    Plain(RandomInput),
    /// A flattened input, read as the file that it represents.
    Flattened(FlattenedInput),
}

impl FileBytes {
    /// The bytes of `input`.
    ///
    /// # Errors
    /// As [`FlattenedInput::open`], if it is flattened; that it cannot be read.
    pub(crate) fn of(input: RandomInput) -> Result<Self> {
        Ok(match is_flattened(&magic(&*input)?) {
            true => FileBytes::Flattened(FlattenedInput::open(input)?),
            false => FileBytes::Plain(input),
        })
    }

    /// Facts about the flattened stream, if it is one.
    pub(crate) fn stats(&self) -> Option<FlattenedStats> {
        match self {
            FileBytes::Plain(_) => None,
            FileBytes::Flattened(flat) => Some(flat.stats()),
        }
    }

    /// The end of the zeros that start at `offset`, as far as they are known without reading them;
    /// `offset` itself if nothing is known.
    pub(crate) fn zeros_until(&self, offset: FileOffset) -> FileOffset {
        match self {
            FileBytes::Plain(_) => offset,
            FileBytes::Flattened(flat) => flat.zeros_until(offset),
        }
    }

    /// Whether the file really contains all bytes of `range`. Bytes that no record of a flattened
    /// file contains read as 0, but no writer puts page data there.
    pub(crate) fn has_written(&self, range: FileRange) -> bool {
        match self {
            FileBytes::Plain(_) => true,
            FileBytes::Flattened(flat) => flat.has(range),
        }
    }

    /// The flattened stream, if it broke off. Then bytes that it should have may be missing anywhere.
    fn broken_stream(&self) -> Option<&FlattenedInput> {
        match self {
            FileBytes::Plain(_) => None,
            FileBytes::Flattened(flat) => Some(flat).filter(|flat| !flat.ended()),
        }
    }

    /// Whether the file is a flattened stream that broke off.
    pub(crate) fn is_broken_stream(&self) -> bool {
        self.broken_stream().is_some()
    }

    /// Whether bytes of `range` are missing from a stream that broke off.
    pub(crate) fn lacks(&self, range: FileRange) -> bool {
        self.broken_stream().is_some_and(|flat| !flat.has(range))
    }

    /// The start of `range` up to the first byte that is missing from a stream that broke off.
    pub(crate) fn arrived(&self, range: FileRange) -> FileRange {
        self.broken_stream().map_or(range, |flat| flat.arrived(range))
    }

    /// Reads as [`read_full`]; bytes that are missing from a stream that broke off are 0.
    pub(crate) fn read_arrived(&self, buf: &mut [u8], offset: FileOffset) -> io::Result<usize> {
        match self.broken_stream() {
            Some(flat) => flat.read_arrived(buf, offset).map(|_| buf.len()),
            None => read_full(&**self, buf, offset.get()),
        }
    }

    /// Reads page descriptors as [`read_full`]; of a stream that broke off, those are 0 of which any
    /// byte is missing.
    pub(crate) fn read_descriptors(&self, buf: &mut [u8], offset: FileOffset) -> io::Result<usize> {
        let Some(flat) = self.broken_stream() else {
            return read_full(&**self, buf, offset.get());
        };
        for gap in flat.read_arrived(buf, offset)? {
            let first = in_memory(gap.start - offset) / PAGE_DESC_BYTES;
            let end = in_memory(gap.end - offset).div_ceil(PAGE_DESC_BYTES);
            let torn = buf.chunks_mut(PAGE_DESC_BYTES).take(end).skip(first);
            torn.for_each(|descriptor| descriptor.fill(0));
        }
        Ok(buf.len())
    }

    /// Why the file ends early, if it does.
    pub(crate) fn early_end(&self) -> EarlyEnd {
        match self {
            FileBytes::Plain(input) => EarlyEnd::of_plain(input),
            FileBytes::Flattened(flat) => EarlyEnd::of_flattened(flat),
        }
    }

    /// Why the file ends early; `None` if it does not, or was merely cut off.
    pub(crate) fn failure(&self) -> Option<InputFailure> {
        match self {
            FileBytes::Plain(input) => input.failure.clone(),
            FileBytes::Flattened(flat) => flat.failure(),
        }
    }

    /// Why the stream that the file was spooled from ended early, if it did.
    pub(crate) fn stream_failure(&self) -> Option<InputFailure> {
        self.input().failure.clone()
    }

    /// Bytes that the spool takes, if there is one.
    pub(crate) fn spooled_bytes(&self) -> u64 {
        self.input().spooled_bytes
    }

    /// The file itself, flattened or not.
    fn input(&self) -> &RandomInput {
        match self {
            FileBytes::Plain(input) => input,
            FileBytes::Flattened(flat) => flat.input(),
        }
    }
}

impl Deref for FileBytes {
    type Target = dyn ReadAt;

    fn deref(&self) -> &(dyn ReadAt + 'static) {
        match self {
            FileBytes::Plain(input) => &**input,
            FileBytes::Flattened(flat) => flat,
        }
    }
}
