//! What the name of OUTPUT says, and what is there already.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

/// The metadata of a file; `None` if there is no such file. Another error is one: the name may be
/// that of a device or a FIFO, and must not be taken for a free one.
pub(super) fn metadata_if_any(metadata: io::Result<Metadata>) -> io::Result<Option<Metadata>> {
    match metadata {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates a file that did not exist, which follows no link, for this user alone.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Whether a name says that the file may be incomplete, as kdump scripts name theirs.
pub(super) fn says_incomplete(target: &Path) -> bool {
    target.file_name().is_some_and(|name| name.as_bytes().ends_with(b"-incomplete"))
}

/// Whether `target` is a link that anybody may have put there: in a sticky folder that all users
/// may write to, owned by neither this user nor the owner of the folder. With
/// `fs.protected_symlinks`, the kernel refuses to follow such a link; but we resolve links
/// ourselves, and so must refuse them ourselves.
pub(super) fn is_planted(target: &Path) -> io::Result<bool> {
    let Some(link) = metadata_if_any(fs::symlink_metadata(target))?.filter(Metadata::is_symlink)
    else {
        return Ok(false);
    };
    let folder = fs::metadata(folder(target))?;
    let for_all = Mode::SVTX | Mode::WOTH;
    let is_shared = Mode::from_raw_mode(folder.mode()).contains(for_all);
    let own = [rustix::process::geteuid().as_raw(), folder.uid()];
    Ok(is_shared && !own.contains(&link.uid()))
}

/// Whether `target` is /dev/stdout, /dev/fd/N or /proc/PID/fd/N and leads to a regular file:
/// nothing may be renamed over such a link.
pub(super) fn is_open_file(target: &Path) -> bool {
    let linked_from = |parent: PathBuf| parent == Path::new("/dev") || parent.starts_with("/proc");
    fs::metadata(target).is_ok_and(|metadata| metadata.is_file())
        && fs::canonicalize(folder(target)).is_ok_and(linked_from)
}

/// The folder that `target` is or will be in.
pub(super) fn folder(target: &Path) -> PathBuf {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
