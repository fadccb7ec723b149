//! What an output is written to.

use std::fs::File;
use std::path::PathBuf;

use tempfile::NamedTempFile;

/// What an output is written to until it is published.
pub(super) enum Destination {
    /// A pipe, a terminal, /dev/null: cannot be named or synchronised.
    Stream,
    /// A file or device under its final name: only its content can be lost.
    InPlace {
        file: File,
        /// Its name, if it was created for this output.
        new_name: Option<PathBuf>,
    },
    /// A new file under a temporary name.
    Temporary {
        file: NamedTempFile,
        /// The name that it gets.
        target: PathBuf,
        /// Whether a file of that name is replaced.
        replace: bool,
    },
}

impl Destination {
    /// The file that is written; `None` for a stream.
    pub(super) fn file(&self) -> Option<&File> {
        match self {
            Destination::Stream => None,
            Destination::InPlace { file, .. } => Some(file),
            Destination::Temporary { file, .. } => Some(file.as_file()),
        }
    }
}
