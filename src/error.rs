//! What can go wrong, sorted by what the caller can do about it.

use std::io;
use std::path::PathBuf;

use crate::fixtures::BuildError;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a dump could not be converted, read or built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input is not a file that we know.
    #[error("{0}")]
    NotRecognised(String),

    /// The input is of a known kind, but damaged beyond use.
    #[error("{what} at offset {offset:#x}: {why}")]
    Damaged {
        /// The record.
        what: String,
        /// Where it is in the input, in bytes.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },

    /// The input's page size is not known.
    #[error("the page size is not known: {0}")]
    PageSize(String),

    /// What is to be left out is not proven by the kernel's tables, and was to be.
    #[error("the dump level cannot be honoured: {0}")]
    NotProven(String),

    /// A vmcore cannot be built as it was described.
    #[error(transparent)]
    Build(BuildError),

    /// A value does not fit its field in the output.
    #[error("{field}: {value:#x} does not fit in {bits} bits")]
    FieldOverflow {
        /// The field's name in C.
        field: &'static str,
        /// The value.
        value: u64,
        /// The field's width.
        bits: usize,
    },

    /// The input could not be read where it must be: headers, notes.
    #[error("cannot read {what}")]
    Read {
        /// What was read.
        what: String,
        /// Why not.
        source: io::Error,
    },

    /// The output could not be written.
    #[error("cannot write {what}")]
    Write {
        /// What was written.
        what: String,
        /// Why not.
        source: io::Error,
    },

    /// The codec refused a page or a level.
    #[error("{codec}: {why}")]
    Codec {
        /// The codec's name.
        codec: &'static str,
        /// What it said.
        why: String,
    },

    /// The output is there already and may not be replaced.
    #[error("{} exists already; --force replaces it", .0.display())]
    Exists(PathBuf),

    /// The output cannot seek, and is to be a plain file.
    #[error("{0} cannot seek: only a flattened stream can be written to it")]
    CannotSeek(String),

    /// The output would be larger than allowed before the first page.
    #[error("headers and bitmaps alone take {needed} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Bytes that come before the page data.
        needed: u64,
        /// The limit.
        limit: u64,
    },
}

impl Error {
    /// For `map_err`: an I/O error of the input, with what was read.
    pub(crate) fn read(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Read { what, source }
    }

    /// Of an input that failed before it came to its end: what is missing in it is that failure's
    /// doing, and no damage.
    pub(crate) fn or_failure(self, broke_off: Option<io::Error>) -> Error {
        match (self, broke_off) {
            (error @ (Error::Damaged { .. } | Error::NotRecognised(_)), Some(source)) => {
                Error::Read { what: error.to_string(), source }
            }
            (error, _) => error,
        }
    }

    /// As an I/O error that says all of it: the source's text is not lost where one is shown alone.
    pub(crate) fn into_io(self) -> io::Error {
        let text = self.to_string();
        match self {
            Error::Read { source, .. } | Error::Write { source, .. } => {
                io::Error::new(source.kind(), format!("{text}: {source}"))
            }
            _ => io::Error::other(text),
        }
    }

    /// For `map_err`: an I/O error of the output, with what was written.
    pub(crate) fn write(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Write { what, source }
    }
}

/// An error with all that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut parts: Vec<String> = causes.map(ToString::to_string).collect();
    parts.dedup();
    parts.join(": ")
}
