//! An input as it was opened: readable at random, or a stream.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::error::{Error, Result};
use crate::input::spool::SpoolDir;
use crate::input::stream::StreamInput;
use crate::input::{Container, FlattenedInput, FlattenedStats, ReadAt, open};
use crate::pages::FileRange;
use crate::progress::Progress;

/// An open input.
///
/// `into()` makes one of anything that is [`ReadAt`]: a file, bytes in memory. It dereferences to
/// its bytes.
pub enum Input {
    /// Bytes that any thread can read in any order, at no cost.
    Random(RandomInput),
    /// A pipe or compressed file, which is read once, front to back. What has passed is stored in the
    /// [`SpoolDir`], so that it can be read again: [`at_random`](Input::at_random) stores all of it at
    /// once. While a dump is converted or verified page by page, only pages are stored that come
    /// before their turn.
    Stream(StreamInput),
}

/// Bytes that can be read at random.
pub struct RandomInput {
    bytes: Box<dyn ReadAt>,
    /// Why the stream that they were spooled from ended early or is damaged, if it did or is.
    pub(crate) failure: Option<InputFailure>,
    /// Bytes that the spool takes, if there is one.
    pub(crate) spooled_bytes: u64,
    /// Facts about the flattened stream that they are in, if they are in one.
    flattened: Option<FlattenedStats>,
    /// Whether they change while they are read.
    is_live: bool,
}

/// Why an input ended early. Unlike an [`io::Error`], it can be reported more than once.
#[derive(Debug, Clone)]
pub(crate) struct InputFailure {
    kind: io::ErrorKind,
    why: String,
}

impl Input {
    /// Opens a file, block device, FIFO, /proc/vmcore or /proc/kcore, which may be packed: compressed as a whole, or
    /// the only dump in an archive (see [`Container`]). `spool_dir` is as for
    /// [`from_reader`](Self::from_reader).
    ///
    /// # Errors
    /// [`Error::Read`](crate::Error::Read) when it cannot be opened,
    /// [`Error::Unsupported`](crate::Error::Unsupported) for a folder,
    /// [`Error::NotRecognised`](crate::Error::NotRecognised) for an archive without a dump or with
    /// more than one.
    pub fn open(path: &Path, spool_dir: impl Into<SpoolDir>) -> Result<Input> {
        open::open(path, spool_dir.into())
    }

    /// Takes a pipe or anything else that can only be read forward, packed or not.
    ///
    /// What is read again or at random is stored in a file without a name in `spool_dir`.
    ///
    /// # Errors
    /// [`Error::Read`](crate::Error::Read) when its first bytes cannot be read.
    pub fn from_reader(
        reader: Box<dyn io::Read + Send>,
        spool_dir: impl Into<SpoolDir>,
    ) -> Result<Input> {
        open::from_reader(reader, spool_dir.into())
    }

    /// Takes bytes that can be read at random, which may be packed: as [`open`](Self::open) takes
    /// those of a file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn unpacked(
        bytes: impl Into<RandomInput>,
        spool_dir: impl Into<SpoolDir>,
    ) -> Result<Input> {
        open::unpacked(bytes.into(), spool_dir.into())
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

    /// What the bytes of a stream are in, the outermost first.
    #[must_use]
    pub fn containers(&self) -> &[Container] {
        match self {
            Input::Random(_) => &[],
            Input::Stream(stream) => &stream.containers,
        }
    }

    /// The same input, readable at random: a stream is first stored in a file without a name. If the
    /// stream breaks off, the file has the bytes before that point.
    ///
    /// # Errors
    /// [`Error::Spool`](crate::Error::Spool) when the file cannot be made, or has no space.
    pub fn at_random(self) -> Result<RandomInput> {
        self.store(&AtomicBool::new(false), &mut |_| ())
    }

    /// As [`at_random`](Self::at_random), with [`Stage::Unpacking`](crate::Stage) as the progress. If
    /// `cancel` is set, the file has what was read until then.
    ///
    /// # Errors
    /// As [`at_random`](Self::at_random).
    pub fn store(
        self,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<RandomInput> {
        match self {
            Input::Random(random) => Ok(random),
            Input::Stream(stream) => stream.store(None, cancel, progress),
        }
    }

    /// Whether the bytes change while they are read: those of /proc/kcore do.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Input::Random(random) if random.is_live)
    }

    /// Memory of a running kernel that changes while it is read, as an ELF core: /proc/kcore, by
    /// another way than its path.
    #[must_use]
    pub fn live(bytes: impl ReadAt + 'static) -> Self {
        Input::Random(RandomInput { is_live: true, ..RandomInput::from(bytes) })
    }

    /// Bytes that the spool of a stream takes.
    pub(crate) fn spooled_bytes(&self) -> u64 {
        match self {
            Input::Random(random) => random.spooled_bytes,
            Input::Stream(stream) => stream.spooled_bytes(),
        }
    }

    /// Facts about the flattened stream that it was in, if it was in one.
    pub(crate) fn flattened(&self) -> Option<&FlattenedStats> {
        match self {
            Input::Random(random) => random.flattened.as_ref(),
            Input::Stream(_) => None,
        }
    }

    /// Ensures that a stream can be read at random.
    ///
    /// # Errors
    /// [`Error::Spool`](crate::Error::Spool) if it cannot be stored.
    pub(crate) fn prepare_spool(&self) -> Result<()> {
        match self {
            Input::Random(_) => Ok(()),
            Input::Stream(stream) => stream.prepare_spool(None),
        }
    }

    /// Why a stream that was read at random could not be stored, if it could not.
    pub(crate) fn spool_error(&self) -> Option<Error> {
        match self {
            Input::Random(_) => None,
            Input::Stream(stream) => stream.spool_error(),
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

impl RandomInput {
    /// A stream that was stored.
    pub(crate) fn stored(
        bytes: impl ReadAt + 'static,
        failure: Option<InputFailure>,
        spooled_bytes: u64,
    ) -> Self {
        let (bytes, flattened) = (Box::new(bytes), None);
        RandomInput { bytes, failure, spooled_bytes, flattened, is_live: false }
    }

    /// The bytes of a flattened file, as those of the file that it represents.
    pub(crate) fn unflattened(flat: FlattenedInput) -> Self {
        let spooled_bytes = flat.input().spooled_bytes;
        let (flattened, failure) = (Some(flat.stats()), flat.failure());
        RandomInput { flattened, ..RandomInput::stored(flat, failure, spooled_bytes) }
    }

    /// Other bytes that are made from this input.
    pub(crate) fn with_bytes(&self, bytes: impl ReadAt + 'static) -> Self {
        let flattened = self.flattened.clone();
        RandomInput { flattened, ..Self::stored(bytes, self.failure.clone(), self.spooled_bytes) }
    }
}

impl InputFailure {
    pub(crate) fn new(error: &io::Error) -> Self {
        InputFailure { kind: error.kind(), why: error.to_string() }
    }

    pub(crate) fn kind(&self) -> io::ErrorKind {
        self.kind
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
        RandomInput::stored(bytes, None, 0)
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
