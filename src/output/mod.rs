//! What OUTPUT is, and how it is published.
//!
//! [`Output::create`] finds out what OUTPUT is (`target`, `destination`) and gives the sink that
//! writes it. A new file is written under a temporary name beside its own. What cannot be renamed
//! (a pipe, a device, standard output), or is new and has a name that says "incomplete" already,
//! is written in place. When all is written, [`Output::publish`], [`Output::keep_incomplete`] or
//! [`Output::discard`] ends it and says what became of it: [`Published`].
//!
//! What is written, and whether it is complete, is decided elsewhere: by `to_kdump`, `to_elf`,
//! `unflatten` and the command.

mod destination;
mod pipe;
mod publish;
mod target;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, OFlags};

use crate::error::{Error, Result};
use crate::input::FileInput;
use crate::sink::Sink;
use crate::sink::file::FileSink;
use crate::sink::flattened::FlattenedSink;
use crate::sink::ordered::OrderedSink;
use destination::Destination;
use pipe::BlockingPipe;
pub use publish::{Disposition, Published};

use target::{create_new, folder, is_open_file, is_planted, metadata_if_any, says_incomplete};

/// Maximum characters of the name of OUTPUT in the temporary name, each up to 4 bytes.
const MAX_NAME_CHARS: usize = 48;

/// What kind of file to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputFormat {
    /// Flattened if the output cannot seek, else a plain file.
    #[default]
    Auto,
    /// A kdump file.
    File,
    /// A flattened stream.
    Flat,
    /// The file itself, even where the output cannot seek: it is written in order then.
    InOrder,
}

/// An output that does not have its name yet.
pub struct Output {
    sink: Box<dyn Sink>,
    flat: bool,
    destination: Destination,
    /// The name that the caller gave, if there is one.
    given: Option<PathBuf>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("flat", &self.flat).finish_non_exhaustive()
    }
}

impl Output {
    /// Prepares the output at `target`. An existing file is replaced only if `replace` is set.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Write`] when it cannot be made; [`Error::CannotSeek`] when the
    /// format is [`OutputFormat::File`].
    pub fn create(target: &Path, format: OutputFormat, replace: bool) -> Result<Self> {
        let output = Self::prepare(target, format, replace)?;
        Ok(Output { given: Some(target.to_owned()), ..output })
    }

    fn prepare(target: &Path, format: OutputFormat, replace: bool) -> Result<Self> {
        let what = target.display().to_string();
        let failed = || Error::write(what.as_str());
        if is_planted(target).map_err(failed())? {
            let why = "it is another user's link in a folder that everybody may write to";
            return Err(failed()(io::Error::new(io::ErrorKind::PermissionDenied, why)));
        }
        if let Some(metadata) = metadata_if_any(fs::metadata(target)).map_err(failed())? {
            let kind = metadata.file_type();
            if kind.is_dir() {
                return Err(failed()(io::ErrorKind::IsADirectory.into()));
            }
            if kind.is_block_device() {
                // Without O_CREAT, O_EXCL refuses a device that is mounted.
                #[expect(clippy::cast_possible_wrap, reason = "a flag of open(2), a C int")]
                let exclusive = OFlags::EXCL.bits() as i32;
                let file = OpenOptions::new().write(true).custom_flags(exclusive).open(target);
                let file = file.map_err(failed())?;
                if file.metadata().map_err(failed())?.file_type() != kind {
                    return Err(Error::Exists(target.to_owned()));
                }
                let destination = Destination::InPlace { file, new_name: None };
                return Self::with_file(destination, format, &what);
            }
            if !kind.is_file() {
                if format == OutputFormat::File {
                    return Err(Error::CannotSeek(what)); // a FIFO would wait for its reader
                }
                let file = OpenOptions::new().write(true).open(target).map_err(failed())?;
                // Another file may have taken the name meanwhile: it is not written over.
                if file.metadata().map_err(failed())?.file_type() != kind {
                    return Err(Error::Exists(target.to_owned()));
                }
                return Self::stream(file, format, &what);
            }
        }
        if is_open_file(target) {
            return Self::reopened(target, format, replace);
        }
        let there = metadata_if_any(fs::symlink_metadata(target)).map_err(failed())?;
        if there.is_some() && !replace {
            return Err(Error::Exists(target.to_owned()));
        }
        // What is replaced is the file that a link leads to, not the link.
        let resolved = there.filter(Metadata::is_symlink);
        let resolved = resolved.and_then(|_| fs::canonicalize(target).ok());
        let target = resolved.as_deref().unwrap_or(target);
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name else {
            return Err(failed()(io::ErrorKind::InvalidInput.into()));
        };
        let destination = if says_incomplete(target) && fs::symlink_metadata(target).is_err() {
            let file = create_new(target).map_err(failed())?;
            Destination::InPlace { file, new_name: Some(target.to_owned()) }
        } else {
            // A name may be as long as a file system allows.
            let name: String = name.chars().take(MAX_NAME_CHARS).collect();
            // Not tempfile_in(), whose errors name the temporary path.
            let file = tempfile::Builder::new()
                .prefix(&format!(".{name}."))
                .suffix(".partial")
                .make_in(folder(target), create_new)
                .map_err(failed())?;
            Destination::Temporary { file, target: target.to_owned(), replace }
        };
        Self::with_file(destination, format, &what)
    }

    /// Prepares a file that is open already, by its name in /dev or /proc.
    fn reopened(target: &Path, format: OutputFormat, replace: bool) -> Result<Self> {
        let what = target.display().to_string();
        let failed = || Error::write(what.as_str());
        let file = OpenOptions::new().write(true).open(target).map_err(failed())?;
        if !replace && file.metadata().map_err(failed())?.len() > 0 {
            return Err(Error::Exists(target.to_owned()));
        }
        file.set_len(0).map_err(failed())?;
        Self::with_file(Destination::InPlace { file, new_name: None }, format, &what)
    }

    /// Prepares standard output. If it is a file, it is written from its start, not appended to.
    ///
    /// # Errors
    /// [`Error::CannotSeek`] when the format is [`OutputFormat::File`].
    pub fn stdout(format: OutputFormat) -> Result<Self> {
        let what = "standard output";
        let failed = || Error::write(what);
        let fd = io::stdout().as_fd().try_clone_to_owned().map_err(failed())?;
        let mut file = File::from(fd);
        let kind = file.metadata().map_err(failed())?.file_type();
        let appends =
            rustix::fs::fcntl_getfl(&file).is_ok_and(|flags| flags.contains(OFlags::APPEND));
        let at_start = file.stream_position().is_ok_and(|position| position == 0);
        // pwrite(2) on a file open for appending appends, wherever it is told to write.
        if (kind.is_file() || kind.is_block_device()) && !appends && at_start {
            if kind.is_file() {
                file.set_len(0).map_err(failed())?;
            }
            return Self::with_file(Destination::InPlace { file, new_name: None }, format, what);
        }
        Self::stream(file, format, what)
    }

    fn stream(file: File, format: OutputFormat, what: &str) -> Result<Self> {
        if format == OutputFormat::File {
            return Err(Error::CannotSeek(what.to_owned()));
        }
        let pipe = BlockingPipe(file);
        let flat = format != OutputFormat::InOrder;
        let sink: Box<dyn Sink> = if flat {
            Box::new(FlattenedSink::new(pipe))
        } else {
            Box::new(OrderedSink::new(pipe))
        };
        Ok(Output { sink, flat, destination: Destination::Stream, given: None })
    }

    fn with_file(destination: Destination, format: OutputFormat, what: &str) -> Result<Self> {
        let flat = format == OutputFormat::Flat;
        match Self::sink_of(&destination, flat, what) {
            Ok(sink) => Ok(Output { sink, flat, destination, given: None }),
            Err(error) => {
                // Nobody needs an empty file.
                let _ = destination.discard();
                Err(error)
            }
        }
    }

    fn sink_of(destination: &Destination, flat: bool, what: &str) -> Result<Box<dyn Sink>> {
        let (file, is_new) = match destination {
            Destination::InPlace { file, .. } => {
                (file.try_clone(), file.metadata().is_ok_and(|metadata| metadata.is_file()))
            }
            Destination::Temporary { file, .. } => (file.as_file().try_clone(), true),
            Destination::Stream => (Err(io::ErrorKind::Unsupported.into()), false),
        };
        let file = file.map_err(Error::write(what))?;
        Ok(match (flat, is_new) {
            (true, true) => Box::new(FlattenedSink::to_file(file).map_err(Error::write(what))?),
            (true, false) => Box::new(FlattenedSink::new(file)),
            (false, true) => Box::new(FileSink::new_file(file)),
            (false, false) => Box::new(FileSink::device(file)),
        })
    }

    /// Where to write.
    pub fn sink(&mut self) -> &mut dyn Sink {
        &mut *self.sink
    }

    /// Whether a flattened stream is written.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.flat
    }

    /// Whether an interruption leaves something to keep: false for a stream.
    #[must_use]
    pub fn outlives_an_interruption(&self) -> bool {
        !matches!(self.destination, Destination::Stream)
    }

    /// Opens the `bytes` that were written, to read them back; `None` if that is impossible, as for
    /// a pipe.
    ///
    /// The output is synced first, and the kernel is asked to drop its cached pages, so that the
    /// bytes come from the disk. That is only a hint, and the cache of the drive is out of reach.
    ///
    /// # Errors
    /// [`Error::Write`] if the output cannot be synced, [`Error::Read`] if it cannot be opened.
    pub fn read_back(&self, bytes: u64) -> Result<Option<FileInput>> {
        let Some(file) = self.file() else { return Ok(None) };
        let what = "what was written";
        file.sync_data().map_err(Error::write(what))?;
        let readable = rustix::fs::fcntl_getfl(file)
            .is_ok_and(|flags| flags.intersection(OFlags::RWMODE) == OFlags::RDWR);
        let again = if readable {
            file.try_clone()
        } else {
            // Standard output and devices are open for writing alone.
            File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        };
        let again = again.map_err(Error::read(what))?;
        let _ = rustix::fs::fadvise(&again, 0, None, Advice::DontNeed);
        Ok(Some(FileInput::new(again, bytes)))
    }

    /// Overwrites bytes of a closed output, to correct its header.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn overwrite(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let written = match self.file() {
            Some(file) => file.write_all_at(bytes, offset),
            None => Err(io::ErrorKind::Unsupported.into()),
        };
        written.map_err(Error::write("what was written"))
    }

    /// The file that is written; `None` for a stream.
    fn file(&self) -> Option<&File> {
        self.destination.file()
    }

    /// Gives a complete output its name; if `sync` is set, after it is on disk.
    #[must_use]
    pub fn publish(self, sync: bool) -> Published {
        let Output { destination, given, .. } = self;
        destination.publish(sync).named(given)
    }

    /// Keeps an incomplete output under a name that marks it as incomplete.
    #[must_use]
    pub fn keep_incomplete(self, sync: bool) -> Published {
        self.destination.keep_incomplete(sync)
    }

    /// Removes what was written, if it can be removed.
    #[must_use]
    pub fn discard(self) -> Published {
        self.destination.discard()
    }
}
