//! Where an output is written before it has its name.
//!
//! A new file is written under a temporary name beside its own, and renamed when it is complete
//! and on disk (see `naming`). What cannot be renamed (a pipe, a device, standard output), or is
//! new and has a name that says "incomplete" already, is written in place.

mod publish;

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Advice, Mode, OFlags};
use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::input::FileInput;
use crate::sink::Sink;
use crate::sink::file::FileSink;
use crate::sink::flattened::FlattenedSink;
use crate::sink::ordered::OrderedSink;
pub use publish::{Disposition, Published};

/// Characters of OUTPUT's name in the temporary one, of 4 bytes at the most.
const MAX_NAME_CHARS: usize = 48;

/// What kind of file to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputFormat {
    /// Flattened exactly when the output cannot seek.
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
    place: Place,
}

pub(super) enum Place {
    /// Cannot be named or synchronised: a pipe, a terminal, /dev/null.
    Stream,
    /// Has its name from the start, and only its content can be lost.
    Direct {
        file: File,
        /// Its name, if it was not there before.
        own: Option<PathBuf>,
    },
    Temporary {
        file: NamedTempFile,
        target: PathBuf,
        replace: bool,
    },
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("flat", &self.flat).finish_non_exhaustive()
    }
}

impl Output {
    /// Prepares the output at `target`; one that is there already is replaced only if `replace`.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Write`] when it cannot be made; [`Error::CannotSeek`] when the
    /// format is [`OutputFormat::File`].
    pub fn create(target: &Path, format: OutputFormat, replace: bool) -> Result<Self> {
        let what = target.display().to_string();
        let failed = || Error::write(what.as_str());
        if is_planted(target).map_err(failed())? {
            let why = "a link of another user's in a folder that everybody writes to";
            return Err(failed()(io::Error::new(io::ErrorKind::PermissionDenied, why)));
        }
        if let Some(metadata) = there(fs::metadata(target)).map_err(failed())? {
            let kind = metadata.file_type();
            if kind.is_dir() {
                return Err(failed()(io::ErrorKind::IsADirectory.into()));
            }
            if kind.is_block_device() {
                // Without O_CREAT, O_EXCL refuses a device that is mounted.
                let exclusive = i32::try_from(OFlags::EXCL.bits()).unwrap_or(0);
                let file = OpenOptions::new().write(true).custom_flags(exclusive).open(target);
                let file = file.map_err(failed())?;
                if file.metadata().map_err(failed())?.file_type() != kind {
                    return Err(Error::Exists(target.to_owned()));
                }
                let place = Place::Direct { file, own: None };
                return Self::with_file(place, format, &what);
            }
            if !kind.is_file() {
                if format == OutputFormat::File {
                    return Err(Error::CannotSeek(what)); // a FIFO would wait for its reader
                }
                let file = OpenOptions::new().write(true).open(target).map_err(failed())?;
                // What has taken its name meanwhile is not written over.
                if file.metadata().map_err(failed())?.file_type() != kind {
                    return Err(Error::Exists(target.to_owned()));
                }
                return Self::stream(file, format, &what);
            }
        }
        if is_open_file(target) {
            return Self::reopened(target, format, replace);
        }
        let is_there = there(fs::symlink_metadata(target)).map_err(failed())?.is_some();
        if is_there && !replace {
            return Err(Error::Exists(target.to_owned()));
        }
        // What is replaced is the file that a link leads to, not the link.
        let resolved = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        let target = resolved.as_path();
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name else {
            return Err(failed()(io::ErrorKind::InvalidInput.into()));
        };
        let place = if says_incomplete(target) && fs::symlink_metadata(target).is_err() {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create_new(true).mode(0o600).open(target);
            Place::Direct { file: file.map_err(failed())?, own: Some(target.to_owned()) }
        } else {
            // A name may be as long as a file system allows.
            let name: String = name.chars().take(MAX_NAME_CHARS).collect();
            // O_EXCL, which follows no link, and 0600, by tempfile's own rules.
            let file = tempfile::Builder::new()
                .prefix(&format!(".{name}."))
                .suffix(".partial")
                .tempfile_in(folder(target))
                .map_err(failed())?;
            Place::Temporary { file, target: target.to_owned(), replace }
        };
        Self::with_file(place, format, &what)
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
        Self::with_file(Place::Direct { file, own: None }, format, &what)
    }

    /// Prepares standard output: a plain file if it is one, from its start, not appended to.
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
            return Self::with_file(Place::Direct { file, own: None }, format, what);
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
        Ok(Output { sink, flat, place: Place::Stream })
    }

    fn with_file(place: Place, format: OutputFormat, what: &str) -> Result<Self> {
        let flat = format == OutputFormat::Flat;
        match Self::sink_of(&place, flat, what) {
            Ok(sink) => Ok(Output { sink, flat, place }),
            Err(error) => {
                // An empty file is of no use to anybody.
                let _ = publish::discard(place);
                Err(error)
            }
        }
    }

    fn sink_of(place: &Place, flat: bool, what: &str) -> Result<Box<dyn Sink>> {
        let (file, is_new) = match place {
            Place::Direct { file, .. } => {
                (file.try_clone(), file.metadata().is_ok_and(|metadata| metadata.is_file()))
            }
            Place::Temporary { file, .. } => (file.as_file().try_clone(), true),
            Place::Stream => (Err(io::ErrorKind::Unsupported.into()), false),
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

    /// Whether there is something to keep when the writing is broken off.
    #[must_use]
    pub fn outlives_an_interruption(&self) -> bool {
        !matches!(self.place, Place::Stream)
    }

    /// What was written, `bytes` of it, to be read back; `None` for what cannot be, as a pipe.
    ///
    /// It is on disk then, and the kernel is asked to forget what it holds of it, so that it is
    /// read from there; that is but a hint, and what the drive itself holds nobody can tell.
    ///
    /// # Errors
    /// [`Error::Write`] when it did not come to the disk, [`Error::Read`] when it cannot be opened.
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

    /// Writes over bytes of a closed output, whose header must not stay as it is.
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
        match &self.place {
            Place::Stream => None,
            Place::Direct { file, .. } => Some(file),
            Place::Temporary { file, .. } => Some(file.as_file()),
        }
    }

    /// Gives a complete output its name, once it is on disk if `sync`.
    #[must_use]
    pub fn commit(self, sync: bool) -> Published {
        publish::commit(self.place, sync)
    }

    /// Keeps an incomplete output under a name that says so.
    #[must_use]
    pub fn keep_incomplete(self, sync: bool) -> Published {
        publish::keep_incomplete(self.place, sync)
    }

    /// Removes what was written, where it can be.
    #[must_use]
    pub fn discard(self) -> Published {
        publish::discard(self.place)
    }
}

/// A pipe that another process may have made non-blocking: waits until it takes more.
struct BlockingPipe(File);

impl Write for BlockingPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None)?;
                }
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is known of a file; `None` if there is none. Where that cannot be told, a device or a FIFO
/// must not be taken for a name that is free.
fn there(metadata: io::Result<Metadata>) -> io::Result<Option<Metadata>> {
    match metadata {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a name says that the file may be incomplete, as kdump scripts name theirs.
pub(super) fn says_incomplete(target: &Path) -> bool {
    target.file_name().is_some_and(|name| name.as_bytes().ends_with(b"-incomplete"))
}

/// Whether `target` is a link that anybody may have put there: in a sticky folder that all may
/// write to, owned by neither this user nor the folder's owner. What `fs.protected_symlinks` has
/// the kernel refuse, which resolving a link oneself goes around.
fn is_planted(target: &Path) -> io::Result<bool> {
    let Some(link) = there(fs::symlink_metadata(target))?.filter(Metadata::is_symlink) else {
        return Ok(false);
    };
    let folder = fs::metadata(folder(target))?;
    let for_all = Mode::SVTX | Mode::WOTH;
    let is_shared = Mode::from_raw_mode(folder.mode()).contains(for_all);
    let own = [rustix::process::geteuid().as_raw(), folder.uid()];
    Ok(is_shared && !own.contains(&link.uid()))
}

/// Whether `target` is a regular file by way of /dev/stdout, /dev/fd/N or /proc/PID/fd/N: links
/// that must not be renamed over.
fn is_open_file(target: &Path) -> bool {
    let linked_from = |parent: PathBuf| parent == Path::new("/dev") || parent.starts_with("/proc");
    fs::metadata(target).is_ok_and(|metadata| metadata.is_file())
        && fs::canonicalize(folder(target)).is_ok_and(linked_from)
}

/// The folder that `target` is or will be in.
#[must_use]
pub fn folder(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
