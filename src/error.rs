//! What can go wrong, sorted by what the caller can do about it.

mod unsupported_kind;

use std::io;
use std::path::PathBuf;

pub use unsupported_kind::UnsupportedKind;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a dump could not be read, converted or checked.
///
/// The text says what failed, where and why. It starts in lower case and has no full stop; the
/// cause of an I/O error is its [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Another input may do.
    /// The input is no file that this crate reads.
    #[error("{0}")]
    NotRecognised(String),

    /// The input is a file of another kind.
    #[error("the input is {0}, not an ELF vmcore or kdump file")]
    Unsupported(UnsupportedKind),

    /// The input is damaged beyond use.
    #[error("{what} at offset {offset:#x}: {why}")]
    Damaged {
        /// The record.
        what: String,
        /// Where the record is in the input, in bytes.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },

    /// The input is a flattened stream that was cut off before the headers of the dump arrived.
    #[error("{cut_off}")]
    CutFlattened {
        /// Where it was cut off, in words.
        cut_off: String,
        /// What cannot be read because of that.
        source: Box<Error>,
    },

    /// A part of the input could not be read: a header without which nothing can be done, or the page
    /// or memory that was asked for. Of these, the cause of the source is an
    /// [`Unreadable`](crate::Unreadable), which says why.
    #[error("cannot read {what}")]
    Read {
        /// The part.
        what: String,
        /// The cause.
        source: io::Error,
    },

    /// The input can only be read forward, and cannot be stored to be read at random.
    #[error("the input cannot be {} in {}", if *is_packed { "unpacked" } else { "stored" }, dir.display())]
    Spool {
        /// Whether it is compressed as a whole.
        is_packed: bool,
        /// The folder.
        dir: PathBuf,
        /// The cause.
        source: io::Error,
    },

    /// The dump to be checked and the one to compare it with have pages of different sizes.
    #[error("pages of {dump_bytes} bytes cannot be compared with pages of {source_bytes}")]
    PageSizesDiffer {
        /// Bytes of the dump's pages.
        dump_bytes: u64,
        /// Bytes of the other dump's pages.
        source_bytes: u64,
    },

    /// The dump to be checked and the one to compare it with are not of the same crash.
    #[error("the dumps are of different kernels or crashes: {differences}")]
    DifferentCrash {
        /// What identifies a crash and differs, in words.
        differences: String,
    },

    // Other options may do.
    /// The VMCOREINFO that was given is of another kernel or another boot.
    #[error("this VMCOREINFO contradicts the memory: {why}")]
    OtherVmcoreinfo {
        /// What contradicts it.
        why: String,
    },

    /// The page size given is none that Linux has.
    #[error("a page size of {bytes} is not a power of two from 4096 to 262144")]
    UnsupportedPageSize {
        /// The size given, in bytes.
        bytes: u64,
    },

    /// The core does not say how large a page is, and neither did the caller.
    #[error(
        "the page size is unknown: VMCOREINFO does not have it, and there is no usual one on {architecture}"
    )]
    UnknownPageSize {
        /// The architecture, as messages name it.
        architecture: String,
    },

    /// The input is an image of a machine whose memory is in another file, which was not given.
    #[error("the {image} has no memory in it: it is in another file")]
    MemoryElsewhere {
        /// What the input is, as messages name it.
        image: String,
    },

    /// Neither a memory image nor a VMCOREINFO in its memory says which machine it is of, and neither
    /// did the caller.
    #[error(
        "the {image} does not say which architecture it is of, and no VMCOREINFO was found in its memory"
    )]
    UnknownMachine {
        /// What the input is, as messages name it.
        image: String,
    },

    /// A memory image proves its VMCOREINFO at none of the places where its memory may belong, and
    /// neither it nor the caller says where that is.
    #[error(
        "it is unknown where in memory this {image} belongs: no place proves a VMCOREINFO in it"
    )]
    UnknownPlace {
        /// What the input is, as messages name it.
        image: String,
    },

    /// The input has no header, but a VMCOREINFO that proves it to be
    /// [raw memory](crate::OpenOptions::raw).
    #[error("this looks like raw memory of a {release} {architecture} kernel")]
    RawMemory {
        /// The kernel's release.
        release: String,
        /// The architecture, as messages name it.
        architecture: String,
    },

    /// A strict selection of pages was asked for, and the kernel's tables do not prove it.
    #[error("the dump level cannot be honoured: {0}")]
    NotProven(String),

    /// The codec refused a page or a level.
    #[error("{codec}: {why}")]
    Codec {
        /// The codec's name.
        codec: &'static str,
        /// The codec's own message.
        why: String,
    },

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

    // Another output may do.
    /// The output file exists, and may not be replaced.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),

    /// The output cannot seek, but the format needs that.
    #[error("{0} cannot seek: only a flattened stream can be written to it")]
    CannotSeek(String),

    /// The headers alone would be larger than the output may be.
    #[error("headers and bitmaps alone take {needed} bytes, more than the size limit of {limit}")]
    TooLarge {
        /// Bytes that come before the page data.
        needed: u64,
        /// The limit.
        limit: u64,
    },

    /// The output could not be written.
    #[error("cannot write {what}")]
    Write {
        /// The part that was being written.
        what: String,
        /// The cause.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: an I/O error of the input while `what` was read.
    pub(crate) fn read(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Read { what, source }
    }

    /// For `map_err`: an I/O error of the output while `what` was written.
    pub(crate) fn write(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Write { what, source }
    }

    /// The error, unless the input `broke_off`: then what looks like damage is only what the failed
    /// read left missing, and that read is the error.
    pub(crate) fn or_failure(self, broke_off: Option<io::Error>) -> Error {
        match (self, broke_off) {
            (
                error @ (Error::Damaged { .. } | Error::NotRecognised(_) | Error::Unsupported(_)),
                Some(source),
            ) => Error::Read { what: error.to_string(), source },
            (error, _) => error,
        }
    }

    /// Turns it into an I/O error. Its text includes the source's: many callers show it alone.
    pub(crate) fn into_io(self) -> io::Error {
        let text = self.to_string();
        match self {
            Error::Read { source, .. } | Error::Write { source, .. } => {
                io::Error::new(source.kind(), format!("{text}: {source}"))
            }
            _ => io::Error::other(text),
        }
    }
}

/// Such as "1 page" or "2 pages".
pub(crate) fn counted(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// The text of an error and of everything that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut parts: Vec<String> = causes.map(ToString::to_string).collect();
    parts.dedup();
    parts.join(": ")
}
