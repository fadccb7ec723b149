//! An input as it was opened: readable at random, or a stream.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::input::stream::StreamInput;
use crate::input::{Compression, ReadAt, open};
use crate::pages::FileRange;

/// An open input.
///
/// `into()` makes one of anything that is [`ReadAt`]: a file, bytes in memory. It dereferences to
/// its bytes; those of a stream must be read in the order that was announced.
pub enum Input {
    /// Bytes that any thread can read in any order.
    Random(RandomInput),
    /// A pipe or compressed file: one thread at a time reads it, once, front to back.
    Stream(StreamInput),
}

/// Bytes that can be read at random.
pub struct RandomInput {
    bytes: Box<dyn ReadAt>,
    /// Why the stream that they were spooled from ended early or is damaged, if it did or is.
    pub(crate) failure: Option<InputFailure>,
}

/// Why an input ended early. Unlike an [`io::Error`], it can be reported more than once.
#[derive(Debug, Clone)]
pub(crate) struct InputFailure {
    kind: io::ErrorKind,
    why: String,
}

impl Input {
    /// Opens a file, block device, FIFO or /proc/vmcore, which may be compressed as a whole (.gz,
    /// .zst); `spool_dir` as for [`from_reader`](Self::from_reader).
    ///
    /// # Errors
    /// [`Error::Read`] when it cannot be opened, [`Error::Unsupported`] for a folder and /proc/kcore.
    pub fn open(path: &Path, spool_dir: PathBuf) -> Result<Input> {
        open::open(path, spool_dir)
    }

    /// Takes a pipe or anything else that can only be read forward, compressed as a whole or not.
    ///
    /// Pages that come out of order are spooled to a file without a name in `spool_dir`.
    ///
    /// # Errors
    /// [`Error::Read`] when its first bytes cannot be read.
    pub fn from_reader(reader: Box<dyn io::Read + Send>, spool_dir: PathBuf) -> Result<Input> {
        open::from_reader(reader, spool_dir)
    }

    /// Whether `path` is a pipe or the like, which can only be read forward.
    #[must_use]
    pub fn is_pipe(path: &Path) -> bool {
        open::is_pipe(path)
    }

    /// Whether it must be read in one forward pass, by one thread at a time.
    #[must_use]
    pub fn is_sequential(&self) -> bool {
        matches!(self, Input::Stream(_))
    }

    /// How the input is compressed as a whole, if it is a stream that is decompressed.
    #[must_use]
    pub fn compression(&self) -> Option<Compression> {
        match self {
            Input::Random(_) => None,
            Input::Stream(stream) => stream.compression,
        }
    }

    /// The same input, readable at random: a stream is first spooled to a file without a name. If
    /// the stream breaks off, the file has the bytes before that point.
    ///
    /// # Errors
    /// [`Error::Read`] when there is no space for the file.
    pub fn at_random(self) -> Result<RandomInput> {
        match self {
            Input::Random(random) => Ok(random),
            Input::Stream(stream) => {
                let (file, failure) = stream.spool().map_err(Error::read("the input"))?;
                Ok(RandomInput { bytes: Box::new(file), failure })
            }
        }
    }

    /// Announces all reads that will follow, in their order: a stream keeps only the bytes that
    /// are read again or after it has passed them.
    pub(crate) fn expect_reads(&self, reads: impl Iterator<Item = FileRange>) {
        if let Input::Stream(stream) = self {
            stream.expect_reads(reads);
        }
    }

    /// Reads the rest of a stream, whose end may prove everything before it wrong: .gz and .zst end
    /// with a checksum.
    ///
    /// # Errors
    /// What is wrong with the rest or the whole, also if the stream was spooled before.
    pub(crate) fn read_to_end(&self) -> io::Result<()> {
        match self {
            Input::Random(random) => random.failure.as_ref().map_or(Ok(()), |f| Err(f.to_io())),
            Input::Stream(stream) => stream.read_to_end(),
        }
    }

    /// Why a stream, spooled or not, ended early, if it did.
    pub(crate) fn failure(&self) -> Option<InputFailure> {
        match self {
            Input::Random(random) => random.failure.clone(),
            Input::Stream(stream) => stream.failure(),
        }
    }
}

impl InputFailure {
    pub(crate) fn new(error: &io::Error) -> Self {
        InputFailure { kind: error.kind(), why: error.to_string() }
    }

    pub(crate) fn to_io(&self) -> io::Error {
        io::Error::new(self.kind, self.why.as_str())
    }
}

impl fmt::Display for InputFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Deref for Input {
    type Target = dyn ReadAt;

    fn deref(&self) -> &(dyn ReadAt + 'static) {
        match self {
            Input::Random(random) => &**random,
            Input::Stream(stream) => stream,
        }
    }
}

impl Deref for RandomInput {
    type Target = dyn ReadAt;

    fn deref(&self) -> &(dyn ReadAt + 'static) {
        &*self.bytes
    }
}

impl<T: ReadAt + 'static> From<T> for RandomInput {
    fn from(bytes: T) -> Self {
        RandomInput { bytes: Box::new(bytes), failure: None }
    }
}

impl<T: ReadAt + 'static> From<T> for Input {
    fn from(bytes: T) -> Self {
        Input::Random(bytes.into())
    }
}

impl From<RandomInput> for Input {
    fn from(random: RandomInput) -> Self {
        Input::Random(random)
    }
}

/// A boxed input becomes an [`Input`] like any other.
impl<T: ReadAt + ?Sized> ReadAt for Box<T> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buf, offset)
    }

    fn size(&self) -> Option<u64> {
        (**self).size()
    }

    fn read_ahead(&self, offset: u64) {
        (**self).read_ahead(offset);
    }
}
