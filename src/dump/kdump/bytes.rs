//! The bytes of one kdump file, plain or flattened.

use std::ops::{Deref, Range};

use crate::input::flattened::FlattenedInput;
use crate::input::{InputFailure, RandomInput, ReadAt};

/// The bytes of a kdump file, at the offsets that its headers give.
pub(crate) enum FileBytes {
    /// The input itself.
    Plain(RandomInput),
    /// The file that a flattened input stands for.
    Flattened(FlattenedInput),
}

impl FileBytes {
    /// The end of the bytes from `offset` on that are known to be 0 without reading them;
    /// `offset` itself where that is unknown.
    pub(crate) fn zeros_until(&self, offset: u64) -> u64 {
        match self {
            FileBytes::Plain(_) => offset,
            FileBytes::Flattened(flat) => flat.zeros_until(offset),
        }
    }

    /// Whether a writer wrote all bytes of a range: those that are in no record of a flattened
    /// file read as 0, but no page is there.
    pub(crate) fn has_written(&self, range: &Range<u64>) -> bool {
        match self {
            FileBytes::Plain(_) => true,
            FileBytes::Flattened(flat) => flat.has(range),
        }
    }

    /// Why the file ends early, if it is not simply cut.
    pub(crate) fn failure(&self) -> Option<InputFailure> {
        match self {
            FileBytes::Plain(input) => input.failure.clone(),
            FileBytes::Flattened(flat) => flat.failure(),
        }
    }

    /// Why the stream that the file was spooled from ended early, if it did.
    pub(crate) fn stream_failure(&self) -> Option<InputFailure> {
        match self {
            FileBytes::Plain(input) => input.failure.clone(),
            FileBytes::Flattened(flat) => flat.stream_failure(),
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
