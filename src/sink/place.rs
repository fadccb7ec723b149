//! How an output gets its name: only when it is whole, or a name that says it is not.
//!
//! A new file is written under a temporary name beside its own, and renamed when it is complete
//! and on disk. What cannot be renamed (a pipe, a device, standard output) or has a name that
//! says "incomplete" already is written in place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::sink::Sink;
use crate::sink::file::FileSink;
use crate::sink::flat::FlatSink;

/// What kind of file to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Flattened exactly when the output cannot seek.
    #[default]
    Auto,
    /// A kdump file.
    File,
    /// A flattened stream.
    Flat,
}

/// Names that are tried for a dump that cannot have its own.
const MAX_OTHER_NAMES: u32 = 1000;

/// An output that does not have its name yet.
pub struct Output {
    sink: Box<dyn Sink>,
    flat: bool,
    place: Place,
}

enum Place {
    /// Cannot be named or synchronised: a pipe, a terminal, /dev/null.
    Stream,
    /// Has its name from the start, and only its content can be lost.
    Direct {
        file: File,
        remove_on_discard: Option<PathBuf>,
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
    /// [`Error::Exists`]; [`Error::Write`] when it cannot be made, or cannot seek and the format
    /// is [`Format::File`].
    pub fn create(target: &Path, format: Format, replace: bool) -> Result<Self> {
        let what = target.display().to_string();
        let failed = || Error::write(what.as_str());
        if let Ok(metadata) = fs::metadata(target) {
            let kind = metadata.file_type();
            if kind.is_dir() {
                return Err(failed()(io::ErrorKind::IsADirectory.into()));
            }
            if !kind.is_file() {
                let file = OpenOptions::new().write(true).open(target).map_err(failed())?;
                let place = if kind.is_block_device() {
                    Place::Direct { file, remove_on_discard: None }
                } else {
                    return Self::stream(file, format, &what);
                };
                return Self::with_file(place, format, &what);
            }
        }
        if is_open_file(target) {
            return Self::reopened(target, format, replace);
        }
        if fs::symlink_metadata(target).is_ok() && !replace {
            return Err(Error::Exists(target.to_owned()));
        }
        // What is replaced is the file that a link leads to, not the link.
        let resolved = fs::canonicalize(target).unwrap_or_else(|_| target.to_owned());
        let target = resolved.as_path();
        let name = target.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name else {
            return Err(failed()(io::ErrorKind::InvalidInput.into()));
        };
        let place = if name.ends_with("-incomplete") {
            if replace {
                let _ = fs::remove_file(target);
            }
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(target);
            Place::Direct {
                file: file.map_err(failed())?,
                remove_on_discard: Some(target.to_owned()),
            }
        } else {
            // O_EXCL and 0600, by tempfile's own rules.
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
    fn reopened(target: &Path, format: Format, replace: bool) -> Result<Self> {
        let what = target.display().to_string();
        let failed = || Error::write(what.as_str());
        let file = OpenOptions::new().write(true).open(target).map_err(failed())?;
        if !replace && file.metadata().map_err(failed())?.len() > 0 {
            return Err(Error::Exists(target.to_owned()));
        }
        file.set_len(0).map_err(failed())?;
        Self::with_file(Place::Direct { file, remove_on_discard: None }, format, &what)
    }

    /// Prepares standard output: a plain file if it is one, from its start, not appended to.
    ///
    /// # Errors
    /// [`Error::Write`] when it cannot seek and the format is [`Format::File`].
    pub fn stdout(format: Format) -> Result<Self> {
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
            return Self::with_file(Place::Direct { file, remove_on_discard: None }, format, what);
        }
        Self::stream(file, format, what)
    }

    fn stream(file: File, format: Format, what: &str) -> Result<Self> {
        if format == Format::File {
            let why = "it cannot seek, so only a flattened stream can be written to it";
            return Err(Error::write(what)(io::Error::other(why)));
        }
        Ok(Output { sink: Box::new(FlatSink::new(file)), flat: true, place: Place::Stream })
    }

    fn with_file(place: Place, format: Format, what: &str) -> Result<Self> {
        let (file, is_new) = match &place {
            Place::Direct { file, .. } => {
                (file.try_clone(), file.metadata().is_ok_and(|metadata| metadata.is_file()))
            }
            Place::Temporary { file, .. } => (file.as_file().try_clone(), true),
            Place::Stream => (Err(io::ErrorKind::Unsupported.into()), false),
        };
        let file = file.map_err(Error::write(what))?;
        let flat = format == Format::Flat;
        let sink: Box<dyn Sink> = match (flat, is_new) {
            (true, true) => Box::new(FlatSink::to_file(file).map_err(Error::write(what))?),
            (true, false) => Box::new(FlatSink::new(file)),
            (false, true) => Box::new(FileSink::new_file(file)),
            (false, false) => Box::new(FileSink::device(file)),
        };
        Ok(Output { sink, flat, place })
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

    /// Gives a complete output its name, once it is on disk if `sync`.
    ///
    /// # Errors
    /// [`Error::NameTaken`] when the name was taken meanwhile: the dump has another, then.
    /// [`Error::Write`].
    pub fn commit(self, sync: bool) -> Result<()> {
        match self.place {
            Place::Stream => Ok(()),
            Place::Direct { file, .. } => sync_file(&file, sync),
            Place::Temporary { file, target, replace: true } => {
                sync_file(file.as_file(), sync)?;
                let named = file.persist(&target);
                named.map_err(|e| Error::write(target.display().to_string())(e.error))?;
                sync_folder(&target, sync)
            }
            Place::Temporary { file, target, replace: false } => {
                sync_file(file.as_file(), sync)?;
                let names = std::iter::once(target.clone()).chain(numbered(&target, ""));
                let kept = name_first_free(file, names)?;
                sync_folder(&target, sync)?;
                if kept == target { Ok(()) } else { Err(Error::NameTaken { target, kept }) }
            }
        }
    }

    /// Keeps an incomplete output under a name that says so, which it returns; `None` for one
    /// that was written in place.
    ///
    /// # Errors
    /// [`Error::Write`] when it cannot be renamed; it is gone then.
    pub fn keep_incomplete(self, sync: bool) -> Result<Option<PathBuf>> {
        match self.place {
            Place::Stream => Ok(None),
            Place::Direct { file, .. } => sync_file(&file, sync).map(|()| None),
            Place::Temporary { file, target, .. } => {
                sync_file(file.as_file(), sync)?;
                // An earlier incomplete dump is a dump too: it is not replaced.
                let first = with_suffix(&target, ".incomplete");
                let names = std::iter::once(first).chain(numbered(&target, ".incomplete"));
                let kept = name_first_free(file, names)?;
                sync_folder(&target, sync)?;
                Ok(Some(kept))
            }
        }
    }

    /// Removes what was written, where it was not there before.
    pub fn discard(self) {
        // A temporary file is removed when it is dropped.
        if let Place::Direct { remove_on_discard: Some(path), .. } = self.place {
            let _ = fs::remove_file(path);
        }
    }
}

/// Gives `file` the first of `names` that is free, and returns it.
fn name_first_free(
    mut file: NamedTempFile,
    names: impl Iterator<Item = PathBuf>,
) -> Result<PathBuf> {
    let mut last = PathBuf::new();
    for name in names {
        match file.persist_noclobber(&name) {
            Ok(_) => return Ok(name),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => file = error.file,
            Err(error) => return Err(Error::write(name.display().to_string())(error.error)),
        }
        last = name;
    }
    Err(Error::Exists(last))
}

/// `TARGET<suffix>.1`, `TARGET<suffix>.2`, ...
fn numbered(target: &Path, suffix: &str) -> impl Iterator<Item = PathBuf> {
    (1..MAX_OTHER_NAMES).map(move |n| with_suffix(target, &format!("{suffix}.{n}")))
}

fn with_suffix(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
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

fn sync_file(file: &File, sync: bool) -> Result<()> {
    if sync { file.sync_all().map_err(Error::write("to disk")) } else { Ok(()) }
}

fn sync_folder(target: &Path, sync: bool) -> Result<()> {
    if !sync {
        return Ok(());
    }
    let folder = folder(target);
    match File::open(&folder).and_then(|open| open.sync_all()) {
        // Some file systems (FUSE) cannot synchronise a folder; the file itself is on disk.
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => {
            Err(Error::write(format!("the folder {}", folder.display()))(error))
        }
        _ => Ok(()),
    }
}
