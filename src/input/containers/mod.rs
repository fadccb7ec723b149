//! What surrounds a dump, undone layer by layer: compression, and an archive with one dump in it.
//!
//! A file that can be read at random stays so as far as possible: an entry that an archive stores as it
//! is becomes a [window](window) of the file. What is compressed, and what comes from a pipe, becomes a
//! stream.
//!
//! `source` is an input before it is known what it is; `archive` chooses the entry; `tar` and `zip` read
//! archives, `libvirt` skips a header. What a dump is, `format` says by its first bytes.

mod archive;
mod libvirt;
mod source;
mod tar;
mod window;
mod zip;

use std::io::Read;

use crate::error::{Error, Result};
use crate::format::libvirt::SaveHeader;
use crate::input::spool::SpoolDir;
use crate::input::stream::StreamInput;
use crate::input::{Compression, Input};

use source::Failing;
pub(super) use source::Source;

/// Maximum number of containers in one another. More are no dump's, and a file may contain itself.
const MAX_CONTAINERS: usize = 3;

/// What surrounds a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Container {
    /// It is compressed.
    Compressed(Compression),
    /// It comes after libvirt's header of a saved guest.
    Libvirt {
        /// Where what is in it begins.
        stream_offset: u64,
    },
    /// It is an entry of a tar archive.
    Tar {
        /// The name of the entry.
        entry: String,
    },
    /// It is an entry of a zip archive.
    Zip {
        /// The name of the entry.
        entry: String,
    },
}

/// Opens what is in `source`, and in that, until it is no container.
///
/// # Errors
/// [`Error::NotRecognised`] for an archive without a dump, or with more than one, and for too many
/// containers; [`Error::Unsupported`] for one that is not read; [`Error::Read`] if an archive cannot
/// be read.
pub(super) fn open(mut source: Source, spool_dir: SpoolDir) -> Result<Input> {
    let mut containers = Vec::new();
    let mut unfinished = None;
    loop {
        let magic = source.first_bytes()?;
        let Some(kind) = Kind::of(&magic)? else { break };
        if containers.len() == MAX_CONTAINERS {
            let why = format!("the input is packed more than {MAX_CONTAINERS} times");
            return Err(Error::NotRecognised(why));
        }
        let container;
        (source, container) = match kind {
            Kind::Compressed(compression) => {
                let container = Container::Compressed(compression);
                (source.decompressed(compression, &magic)?, container)
            }
            Kind::Libvirt(header) => {
                let SaveHeader { stream_offset, .. } = header;
                unfinished = libvirt::unfinished(header);
                (libvirt::open(source, header)?, Container::Libvirt { stream_offset })
            }
            Kind::Tar => {
                let (source, entry) = tar::open(source)?;
                (source, Container::Tar { entry })
            }
            Kind::Zip => {
                let (source, entry) = zip::open(source, &spool_dir)?;
                (source, Container::Zip { entry })
            }
        };
        containers.push(container);
    }
    Ok(match source {
        Source::Random(random) => Input::Random(random),
        Source::Stream { reader, size } => {
            // A decoder need not read on to an error after the end of what it decodes.
            let reader = Box::new(reader.chain(Failing(unfinished)));
            Input::Stream(StreamInput::new(reader, containers, size, spool_dir))
        }
    })
}

/// The kinds of containers.
enum Kind {
    Compressed(Compression),
    Libvirt(SaveHeader),
    Tar,
    Zip,
}

impl Kind {
    /// That of a file that begins with `magic`, if it is a container.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a container that is not read.
    fn of(magic: &[u8]) -> Result<Option<Kind>> {
        Ok(match Compression::of(magic) {
            Some(compression) => Some(Kind::Compressed(compression)),
            None if tar::is_tar(magic) => Some(Kind::Tar),
            None if zip::is_zip(magic) => Some(Kind::Zip),
            None => libvirt::header(magic)?.map(Kind::Libvirt),
        })
    }
}
