//! The bytes of one kdump file, which may be plain or flattened.

use std::ops::Deref;

use crate::error::Error;
use crate::input::flattened::FlattenedInput;
use crate::input::{InputFailure, RandomInput, ReadAt};
use crate::pages::{FileOffset, FileRange};

/// The bytes of a kdump file at the offsets that its headers use.
pub(crate) enum FileBytes {
    /// The input itself.
    Plain(RandomInput),
    /// A flattened input, read as the file that it represents.
    Flattened(FlattenedInput),
}

/// Why a file ends early, if it does.
pub(crate) struct EarlyEnd {
    failure: Option<InputFailure>,
    /// Where a flattened stream was cut off, in words.
    cut_off: Option<String>,
}

impl EarlyEnd {
    /// Turns an error about the file into one that names the early end as its reason.
    pub(crate) fn explain(self, error: Error) -> Error {
        match (error, self) {
            (error @ (Error::Unsupported(_) | Error::CutFlattened { .. }), _) => error,
            (error, EarlyEnd { failure: None, cut_off: Some(cut_off) }) => {
                Error::CutFlattened { cut_off, source: Box::new(error) }
            }
            (error, EarlyEnd { failure, .. }) => error.or_failure(failure.map(|f| f.to_io())),
        }
    }
}

impl FileBytes {
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

    /// Why the file ends early, if it does.
    pub(crate) fn early_end(&self) -> EarlyEnd {
        let cut_off = match self {
            FileBytes::Plain(_) => None,
            FileBytes::Flattened(flat) => flat.damage(),
        };
        EarlyEnd { failure: self.failure(), cut_off }
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
