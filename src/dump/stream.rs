//! What differs if an input can only be read forward, because it is a pipe or compressed as a whole.

use std::io;
use std::sync::atomic::AtomicBool;

use super::{Body, Dump, elf};
use crate::error::{Error, Result};
use crate::input::{Container, Input};
use crate::pages::{FileOffset, PfnRange};
use crate::progress::Progress;

impl Dump {
    /// Whether the input is a [stream](Input::Stream): an ELF core from a pipe, or compressed as a
    /// whole.
    ///
    /// What is read at random, such as the kernel's log, is stored up to there. A conversion or
    /// verification reads the pages once, in ascending order, with one thread; after that, most of
    /// them have passed and cannot be read again.
    #[must_use]
    pub fn is_sequential(&self) -> bool {
        match &self.body {
            Body::Elf(core) => core.input.is_sequential(),
            Body::Kdump(_) => false,
        }
    }

    /// What the bytes of a [sequential](Self::is_sequential) input are in, the outermost first.
    #[must_use]
    pub fn containers(&self) -> &[Container] {
        match &self.body {
            Body::Elf(core) => core.input.containers(),
            Body::Kdump(_) => &[],
        }
    }

    /// Stores a stream in the folder that it was opened with, and opens the dump again from there,
    /// with the same options as before. Does nothing if the input can be read at random anyway.
    ///
    /// If the stream breaks off, or `cancel` is set, the dump has the pages up to there.
    ///
    /// # Errors
    /// [`Error::Spool`] if the stream cannot be stored. The dump can still be read as before, as far
    /// as its bytes have not passed. As [`open`](Self::open), if the headers changed meanwhile.
    pub fn make_random(
        &mut self,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let Body::Elf(core) = &self.body else { return Ok(()) };
        let Input::Stream(stream) = &core.input else { return Ok(()) };
        let ends = core.segments.iter().map(|s| s.p_offset.saturating_add(s.p_filesz));
        let stored = stream.store(ends.max(), cancel, progress)?;
        *self = elf::open(stored.into(), &core.options)?;
        Ok(())
    }

    /// Bytes of disk space that a stream takes so far, stored to be read at random or again.
    #[must_use]
    pub fn spooled_bytes(&self) -> u64 {
        match &self.body {
            Body::Elf(core) => core.input.spooled_bytes(),
            Body::Kdump(kdump) => kdump.files.iter().map(|file| file.input.spooled_bytes()).sum(),
        }
    }

    /// Ensures that the dump can be read at random: a stream is stored as far as it is read.
    ///
    /// # Errors
    /// [`Error::Spool`] if it cannot be stored, [`Error::Read`] if some of it has passed.
    pub(crate) fn prepare_spool(&self) -> Result<()> {
        match &self.body {
            Body::Elf(core) => core.input.prepare_spool(),
            Body::Kdump(_) => Ok(()),
        }
    }

    /// Why a stream that was read at random could not be stored as far as that, if it could not: then
    /// what was read may be less than there is.
    #[must_use]
    pub fn spool_error(&self) -> Option<Error> {
        match &self.body {
            Body::Elf(core) => core.input.spool_error(),
            Body::Kdump(_) => None,
        }
    }

    /// Announces that from now on the notes are read, and then all pages once, in ascending order.
    pub(crate) fn expect_forward_pass(&self) {
        if let Body::Elf(core) = &self.body {
            core.input.expect_reads(self.notes.reads().chain(core.memory.reads()));
        }
    }

    /// Reads a stream to its end: a checksum there may show that what was read before is damaged.
    ///
    /// # Errors
    /// What is wrong with the stream; also for a stream that was stored in a temporary file.
    pub(crate) fn read_to_end(&self) -> io::Result<()> {
        match &self.body {
            Body::Elf(core) => core.input.read_to_end(),
            Body::Kdump(kdump) => kdump.stream_failure().map_or(Ok(()), |f| Err(f.to_io())),
        }
    }

    /// Why the input ended early, if it did.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        let failure = match &self.body {
            Body::Elf(core) => core.input.failure(),
            Body::Kdump(kdump) => kdump.files.iter().find_map(|file| file.input.failure()),
        };
        failure.map(|failure| failure.to_io())
    }

    /// The pages that a stream turned out to contain. `None` until the stream has ended, and for
    /// an input that can be read at any offset.
    pub(crate) fn kept_by_ended_stream(&self) -> Option<Vec<PfnRange>> {
        let Body::Elf(core) = &self.body else { return None };
        let end = core.input.size().filter(|_| core.input.is_sequential())?;
        Some(core.memory.with_data_before(FileOffset::new(end)))
    }
}
