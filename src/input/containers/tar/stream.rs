//! The dump in a tar archive that can only be read forward.

use std::io::{self, Cursor, Read};
use std::vec;

use super::entries::{Blocks, Entry, next_entry};
use super::{KIND, cannot_read};
use crate::error::Result;
use crate::input::containers::archive::{Contents, is_dump, two_dumps};
use crate::input::containers::source::Source;
use crate::input::containers::window::Extent;
use crate::pages::{FileOffset, Position, at_most};

/// Bytes that are passed at a time.
const PASS_BYTES: usize = 64 << 10;

/// Maximum bytes of a dump: a hole takes no space in an archive, but time. 16 TiB take an hour.
const MAX_STREAM_BYTES: u64 = 16 << 40;

/// The first dump in an archive, and its name. Whether there is another one is known at its end.
pub(super) fn open(reader: Box<dyn Read + Send>) -> Result<(Source, String)> {
    let mut archive = StreamBlocks { reader, position: FileOffset::ZERO };
    let mut contents = Contents::default();
    while let Some(entry) = next_entry(&mut archive).map_err(cannot_read)? {
        let (name, is_file) = (entry.name.clone(), entry.is_file);
        let mut data = EntryData::new(entry);
        if is_file {
            contents.add(&name);
            let (first, failure) = data.first_bytes(&mut archive);
            if is_dump(&first) {
                if data.size.get() > MAX_STREAM_BYTES {
                    let why = "its holes take too long to read forward: unpack it";
                    return Err(cannot_read(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
                let size = Some(data.size.get());
                let first = Cursor::new(first);
                let dump = DumpReader { archive, data, name: name.clone(), first, failure };
                return Ok((Source::Stream { reader: Box::new(dump), size }, name));
            }
            failure.map_or(Ok(()), Err).map_err(cannot_read)?;
        }
        archive.pass(data.end).map_err(cannot_read)?;
    }
    Err(contents.no_dump(KIND))
}

/// The blocks of an archive that can only be read forward.
struct StreamBlocks {
    reader: Box<dyn Read + Send>,
    position: FileOffset,
}

impl StreamBlocks {
    /// Reads some bytes, of which 0 are the end.
    fn read_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buf)?;
        self.position += n as u64;
        Ok(n)
    }

    /// Passes the bytes before `end`, or those that there are.
    fn pass(&mut self, end: FileOffset) -> io::Result<()> {
        let mut buf = vec![0; PASS_BYTES];
        while let Some(left) = end.checked_sub(self.position).filter(|left| *left > 0) {
            match self.read_some(buf.split_at_mut(at_most(left, PASS_BYTES)).0) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Blocks for StreamBlocks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_some(rest) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn position(&self) -> FileOffset {
        self.position
    }
}

/// The bytes of an entry, read forward.
struct EntryData {
    /// The rest of its extents.
    extents: vec::IntoIter<Extent>,
    extent: Option<Extent>,
    at: FileOffset,
    size: FileOffset,
    /// The end of its data in the archive.
    end: FileOffset,
    /// [`Entry::telling_bytes`].
    telling: u64,
}

impl EntryData {
    fn new(entry: Entry) -> Self {
        let telling = entry.telling_bytes();
        let mut extents = entry.extents.into_iter();
        let extent = extents.next();
        let size = FileOffset::new(entry.size);
        EntryData { extents, extent, at: FileOffset::ZERO, size, end: entry.end, telling }
    }

    /// Reads some bytes; 0 at the end, or where the archive is cut off.
    fn read(&mut self, archive: &mut StreamBlocks, buf: &mut [u8]) -> io::Result<usize> {
        let next = self.extent.map_or(self.size, |extent| extent.range.start);
        if let Some(zeros) = next.checked_sub(self.at).filter(|zeros| *zeros > 0) {
            let (zeros, _) = buf.split_at_mut(at_most(zeros, buf.len()));
            zeros.fill(0);
            self.at += zeros.len() as u64;
            return Ok(zeros.len());
        }
        let Some(extent) = self.extent else { return Ok(0) };
        let most = at_most(extent.range.end - self.at, buf.len());
        let n = archive.read_some(buf.split_at_mut(most).0)?;
        self.at += n as u64;
        if self.at == extent.range.end {
            self.extent = self.extents.next();
        }
        Ok(n)
    }

    /// The bytes by which a dump is recognised, and why there are no more if reading failed.
    fn first_bytes(&mut self, archive: &mut StreamBlocks) -> (Vec<u8>, Option<io::Error>) {
        struct Both<'a>(&'a mut EntryData, &'a mut StreamBlocks);
        impl Read for Both<'_> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.read(self.1, buf)
            }
        }
        let (mut first, telling) = (Vec::new(), self.telling);
        let failure = Both(self, archive).take(telling).read_to_end(&mut first).err();
        (first, failure)
    }
}

/// Reads the dump, and then the rest of the archive.
struct DumpReader {
    archive: StreamBlocks,
    data: EntryData,
    name: String,
    first: Cursor<Vec<u8>>,
    /// Why there is nothing after `first`.
    failure: Option<io::Error>,
}

impl Read for DumpReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.first.read(buf)?;
        if n > 0 || buf.is_empty() {
            return Ok(n);
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        match self.data.read(&mut self.archive, buf)? {
            0 if self.data.at == self.data.size => self.finish().map(|()| 0),
            n => Ok(n),
        }
    }
}

impl DumpReader {
    /// Reads the rest of the archive, in which there must not be another dump. What the archive is
    /// packed in may have a checksum at its end.
    fn finish(&mut self) -> io::Result<()> {
        self.archive.pass(self.data.end)?;
        while let Some(entry) = next_entry(&mut self.archive)? {
            let (name, is_file) = (entry.name.clone(), entry.is_file);
            let mut data = EntryData::new(entry);
            if is_file && is_dump(&data.first_bytes(&mut self.archive).0) {
                return Err(io::Error::other(two_dumps(KIND, &self.name, &name)));
            }
            self.archive.pass(data.end)?;
        }
        self.archive.pass(FileOffset::MAX)
    }
}
