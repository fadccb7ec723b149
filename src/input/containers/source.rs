//! An input before it is known what it is: its first bytes can be looked at.

use std::io::{self, Cursor, Read};

use crate::error::{Error, Result};
use crate::input::{Compression, RandomInput, read_part};

/// Bytes that identify a container: a tar archive by its first block.
const MAGIC_BYTES: usize = 512;

/// An input that is perhaps a container.
pub(in crate::input) enum Source {
    /// It can be read at random.
    Random(RandomInput),
    /// It can only be read forward.
    Stream {
        /// The bytes.
        reader: Box<dyn Read + Send>,
        /// How many there are, if that is known.
        size: Option<u64>,
    },
}

impl Source {
    /// A stream of unknown length.
    pub(in crate::input) fn stream(reader: Box<dyn Read + Send>) -> Self {
        Source::Stream { reader, size: None }
    }

    /// The first bytes; fewer if there are no more, or if reading fails, as it then does again.
    ///
    /// # Errors
    /// [`Error::Read`] if a file that can be read at random cannot be read.
    pub(super) fn first_bytes(&mut self) -> Result<Vec<u8>> {
        match self {
            Source::Random(random) => {
                let mut magic = [0; MAGIC_BYTES];
                let magic = read_part(&**random, &mut magic, 0);
                Ok(magic.map_err(Error::read("the input's first bytes"))?.to_vec())
            }
            Source::Stream { reader, .. } => {
                let rest = std::mem::replace(reader, Box::new(io::empty()));
                let (magic, all) = peek(rest, MAGIC_BYTES as u64);
                *reader = all;
                Ok(magic)
            }
        }
    }

    /// What it decompresses to; it begins with `magic`.
    ///
    /// # Errors
    /// [`Error::Read`] if the decoder cannot start.
    pub(super) fn decompressed(self, compression: Compression, magic: &[u8]) -> Result<Self> {
        let size = compression.stated_size(magic);
        let reader = compression.decoder(self.into_reader());
        Ok(Source::Stream { reader: reader.map_err(Error::read("the input"))?, size })
    }

    /// All bytes from the first on.
    pub(super) fn into_reader(self) -> Box<dyn Read + Send> {
        match self {
            Source::Random(random) => Box::new(Forward { random, position: 0 }),
            Source::Stream { reader, .. } => reader,
        }
    }
}

/// Reads `count` bytes, or those before the end or an error. Returns them, and a reader of all bytes,
/// which ends in the same way.
pub(super) fn peek(
    mut reader: Box<dyn Read + Send>,
    count: u64,
) -> (Vec<u8>, Box<dyn Read + Send>) {
    let mut first = Vec::new();
    let failure = reader.by_ref().take(count).read_to_end(&mut first).err();
    let all = Cursor::new(first.clone()).chain(Failing(failure)).chain(reader);
    (first, Box::new(all))
}

/// Fails once, if it has a reason to, and is empty.
pub(super) struct Failing(pub(super) Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Reads an input from its start to its end.
struct Forward {
    random: RandomInput,
    position: u64,
}

impl Read for Forward {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.random.read_ahead(self.position);
        let n = self.random.read_at(buf, self.position)?;
        // A stream that was stored may have failed where it ends.
        if let (0, false, Some(failure)) = (n, buf.is_empty(), self.random.failure.take()) {
            return Err(failure.to_io());
        }
        self.position += n as u64;
        Ok(n)
    }
}
