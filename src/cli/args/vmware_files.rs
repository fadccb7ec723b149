//! The two files of a VMware guest: its state and its memory, which lie beside each other.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The other file of a guest: with guest.vmss or guest.vmsn, the state, goes guest.vmem, the memory;
/// with the memory goes the state. `None` if there is none, or `file` is of no guest by its name.
pub(crate) fn file_beside(file: &Path) -> Option<PathBuf> {
    let extension = file.extension().and_then(OsStr::to_str)?;
    let others = match extension {
        "vmss" | "vmsn" => &["vmem"][..],
        "vmem" => &["vmss", "vmsn"],
        _ => return None,
    };
    others.iter().map(|other| file.with_extension(other)).find(|other| other.is_file())
}

/// The usual name of the file of the memory that goes with a state.
pub(crate) fn memory_of(state: &Path) -> PathBuf {
    state.with_extension("vmem")
}
