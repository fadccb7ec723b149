//! The dump in a tar archive: a window of a file, or a part of a stream.
//!
//! The crate `tar` decodes headers and pax records. Its own iterator is not used: it lends each entry
//! as long as the archive lives, and a stream needs a reader that owns both.

mod entries;
mod sparse;
mod stream;

use std::io;
use std::sync::Arc;

use super::archive::{Contents, is_dump, two_dumps};
use super::source::Source;
use super::window::Window;
use crate::error::{Error, Result};
use crate::input::{InputFailure, RandomInput, read_full, read_part};
use crate::pages::{FileOffset, Position, in_memory};
use entries::{Blocks, Entry, next_entry};

/// What messages call it.
const KIND: &str = "tar";

/// Whether a file that begins so is a tar archive, of POSIX or of GNU.
pub(super) fn is_tar(first: &[u8]) -> bool {
    first.get(257..).is_some_and(|magic| magic.starts_with(b"ustar"))
}

/// The dump in an archive, and its name.
///
/// # Errors
/// [`Error::NotRecognised`] if there is none, or if there are two; [`Error::Read`] if the archive is
/// damaged before the first, or cannot be read.
pub(super) fn open(source: Source) -> Result<(Source, String)> {
    match source {
        Source::Random(archive) => open_file(archive),
        Source::Stream { reader, .. } => stream::open(reader),
    }
}

fn cannot_read(error: io::Error) -> Error {
    Error::read("the tar archive")(error)
}

fn open_file(archive: RandomInput) -> Result<(Source, String)> {
    let archive = Arc::new(archive);
    let mut blocks = FileBlocks { archive: Arc::clone(&archive), position: FileOffset::ZERO };
    let mut contents = Contents::default();
    let mut found: Option<(String, Window)> = None;
    let mut failure = None;
    loop {
        let entry = match next_entry(&mut blocks) {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            // The dump is none the worse for what follows it, but there may be another.
            Err(error) if found.is_some() => {
                failure = Some(InputFailure::new(&error));
                break;
            }
            Err(error) => return Err(cannot_read(error)),
        };
        blocks.position = entry.end;
        let telling = entry.telling_bytes();
        let Entry { name, is_file: true, extents, size, .. } = entry else { continue };
        contents.add(&name);
        let window = Window::new(Arc::clone(&archive), extents, size);
        let mut first = vec![0; in_memory(telling)];
        let is_dump = is_dump(read_part(&window, &mut first, 0).map_err(cannot_read)?);
        match found {
            Some((first, _)) if is_dump => {
                return Err(Error::NotRecognised(two_dumps(KIND, &first, &name)));
            }
            None if is_dump => found = Some((name, window)),
            _ => {}
        }
    }
    let (name, window) = found.ok_or_else(|| contents.no_dump(KIND))?;
    let mut dump = archive.with_bytes(window);
    dump.failure = dump.failure.or(failure);
    Ok((Source::Random(dump), name))
}

/// The blocks of an archive that can be read at random.
struct FileBlocks {
    archive: Arc<RandomInput>,
    position: FileOffset,
}

impl Blocks for FileBlocks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = read_full(&**self.archive, buf, self.position.get())?;
        self.position += n as u64;
        Ok(n)
    }

    fn position(&self) -> FileOffset {
        self.position
    }
}
