//! How an output gets its name: its own if it is complete, else one that says that it is not.
//!
//! Whatever fails here, nothing that was written is thrown away: a file that cannot be renamed keeps
//! the name it has.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::output::destination::Destination;
use crate::output::target::{folder, says_incomplete};

/// Maximum names to try for a dump that cannot have its own.
const MAX_OTHER_NAMES: u32 = 1000;

/// What became of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It has its name, or was written completely to an output without one.
    Named,
    /// It was kept, but under another name or incomplete.
    Kept,
    /// It was removed.
    Removed,
    /// It cannot be removed, because it went to a pipe or a device.
    Left,
}

/// What became of an output, with warnings about it.
#[derive(Debug)]
pub struct Published {
    /// What became of it.
    pub disposition: Disposition,
    /// Its name, if it has one.
    pub path: Option<PathBuf>,
    /// What went wrong.
    pub warnings: Vec<String>,
}

impl Published {
    fn new(disposition: Disposition, path: Option<PathBuf>) -> Self {
        Published { disposition, path, warnings: Vec::new() }
    }

    /// An output that has its name has the one that the caller gave, not the one that a link leads to.
    pub(super) fn named(mut self, given: Option<PathBuf>) -> Self {
        if self.disposition == Disposition::Named && self.path.is_some() {
            self.path = given;
        }
        self
    }

    fn warn(mut self, warning: Option<String>) -> Self {
        self.warnings.extend(warning);
        self
    }
}

impl Destination {
    /// [`Output::publish`](super::Output::publish).
    pub(super) fn publish(self, sync: bool) -> Published {
        match self {
            Destination::Stream => Published::new(Disposition::Named, None),
            Destination::InPlace { mut file, new_name } => {
                // A shell that shares the handle goes on writing after the dump.
                let _ = file.seek(SeekFrom::End(0));
                match sync_file(&file, sync) {
                    None => Published::new(Disposition::Named, new_name),
                    why => Published::new(Disposition::Kept, new_name).warn(why),
                }
            }
            Destination::Temporary { file, target, replace } => {
                if let Some(why) = sync_file(file.as_file(), sync) {
                    return keep_under(file, incomplete_names(&target)).warn(Some(why));
                }
                let mut published = if replace {
                    rename_over(file, &target)
                } else {
                    let names = std::iter::once(target.clone()).chain(numbered(&target, ""));
                    keep_under(file, names)
                };
                let unsynced = sync_folder(&target, sync);
                if published.path.as_ref() == Some(&target) {
                    // A name that a crash may undo cannot be relied on.
                    published.disposition =
                        if unsynced.is_some() { Disposition::Kept } else { Disposition::Named };
                } else if !replace && fs::symlink_metadata(&target).is_ok() {
                    let taken = format!("another process created {} meanwhile", target.display());
                    published = published.warn(Some(taken));
                }
                published.warn(unsynced)
            }
        }
    }

    /// [`Output::keep_incomplete`](super::Output::keep_incomplete).
    pub(super) fn keep_incomplete(self, sync: bool) -> Published {
        match self {
            Destination::Stream => Published::new(Disposition::Left, None),
            Destination::InPlace { mut file, new_name } => {
                let _ = file.seek(SeekFrom::End(0));
                Published::new(Disposition::Kept, new_name).warn(sync_file(&file, sync))
            }
            Destination::Temporary { file, target, replace } => {
                let why = sync_file(file.as_file(), sync);
                let published = if replace && says_incomplete(&target) {
                    rename_over(file, &target)
                } else {
                    // An earlier incomplete dump is never replaced.
                    keep_under(file, incomplete_names(&target))
                };
                published.warn(why).warn(sync_folder(&target, sync))
            }
        }
    }

    /// [`Output::discard`](super::Output::discard).
    pub(super) fn discard(self) -> Published {
        match self {
            Destination::Stream => Published::new(Disposition::Left, None),
            Destination::InPlace { new_name: Some(path), .. } => match fs::remove_file(&path) {
                Ok(()) => Published::new(Disposition::Removed, None),
                Err(error) => Published::new(Disposition::Left, Some(path))
                    .warn(Some(format!("the output cannot be removed: {error}"))),
            },
            Destination::InPlace { file, new_name: None } => {
                let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
                let emptied = is_file && file.set_len(0).is_ok();
                Published::new(if emptied { Disposition::Removed } else { Disposition::Left }, None)
            }
            // A temporary file is removed when it is dropped.
            Destination::Temporary { .. } => Published::new(Disposition::Removed, None),
        }
    }
}

/// Replaces `target`; if that fails, the file keeps its temporary name.
fn rename_over(file: NamedTempFile, target: &Path) -> Published {
    match file.persist(target) {
        Ok(_) => Published::new(Disposition::Kept, Some(target.to_owned())),
        Err(error) => keep_temporary_name(error.file, target, &error.error),
    }
}

/// Gives `file` the first of `names` that is free; if that fails, it keeps its temporary name.
fn keep_under(mut file: NamedTempFile, names: impl Iterator<Item = PathBuf>) -> Published {
    let mut last = (PathBuf::new(), io::ErrorKind::AlreadyExists.into());
    for name in names {
        let error = match file.persist_noclobber(&name) {
            Ok(_) => return Published::new(Disposition::Kept, Some(name)),
            Err(error) => error,
        };
        file = error.file;
        let taken = fs::symlink_metadata(&name).is_ok();
        last = (name, error.error);
        if !taken {
            // This file system cannot rename without replacing (FAT, some network file systems), but
            // there is nothing to replace.
            return rename_over(file, &last.0);
        }
    }
    keep_temporary_name(file, &last.0, &last.1)
}

fn keep_temporary_name(file: NamedTempFile, target: &Path, why: &io::Error) -> Published {
    let warning = format!("the output cannot be renamed to {}: {why}", target.display());
    match file.keep() {
        Ok((_, path)) => Published::new(Disposition::Kept, Some(path)).warn(Some(warning)),
        Err(_) => Published::new(Disposition::Removed, None).warn(Some(warning)),
    }
}

/// `TARGET.incomplete`, `TARGET.incomplete.1`, ...
fn incomplete_names(target: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let first = with_suffix(target, ".incomplete");
    std::iter::once(first).chain(numbered(target, ".incomplete"))
}

/// `TARGET<suffix>.1`, `TARGET<suffix>.2`, ...
fn numbered(target: &Path, suffix: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let stem = with_suffix(target, suffix);
    (1..MAX_OTHER_NAMES).map(move |n| with_suffix(&stem, &format!(".{n}")))
}

fn with_suffix(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Waits until the file is on disk; returns the reason if it may not be.
fn sync_file(file: &File, sync: bool) -> Option<String> {
    let error = if sync { file.sync_all().err()? } else { return None };
    Some(format!("the output may not be on disk as a whole: {error}"))
}

/// Waits until the file's name is on disk. Some file systems cannot open or synchronise a folder; that
/// is no reason to doubt the file, which was synchronised.
fn sync_folder(target: &Path, sync: bool) -> Option<String> {
    let folder = folder(target);
    let synced = if sync { File::open(&folder).ok()?.sync_all() } else { return None };
    match synced {
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => Some(format!(
            "the name of the output may not be on disk: folder {}: {error}",
            folder.display()
        )),
        _ => None,
    }
}
