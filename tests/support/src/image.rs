//! The bytes of a kdump file, wherever they are: in memory, in a file, in a flattened stream.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::flattened::{self, Record};

/// A kdump file that can be read anywhere; only what is asked for is read.
pub enum Image {
    Bytes(Vec<u8>),
    File {
        file: File,
        len: u64,
    },
    /// Records, ascending by target, of a flattened stream; where none is, reading fails or gives zeros.
    Flattened {
        stream: Box<Image>,
        records: Vec<Record>,
        len: u64,
        gaps_are_zero: bool,
    },
}

impl Image {
    /// An image of bytes; a flattened stream is recognised and checked.
    ///
    /// # Errors
    /// What is wrong with the flattened stream.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        Image::Bytes(bytes.to_vec()).unwrap_flattened()
    }

    /// An image of a file, read as needed; a flattened stream is recognised and checked.
    ///
    /// # Errors
    /// What the file system says, or what is wrong with the flattened stream.
    pub fn from_path(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let len = file.metadata().map_err(|e| e.to_string())?.len();
        Image::File { file, len }.unwrap_flattened()
    }

    /// The size of the (un-flattened) file in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Image::Bytes(bytes) => bytes.len() as u64,
            Image::File { len, .. } | Image::Flattened { len, .. } => *len,
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it came as a flattened stream.
    #[must_use]
    pub fn is_flattened(&self) -> bool {
        matches!(self, Image::Flattened { .. })
    }

    /// Reads bytes that no record of a flattened stream has as zeros, as `makedumpfile -R` does.
    #[must_use]
    pub fn allow_gaps(mut self) -> Self {
        if let Image::Flattened { gaps_are_zero, .. } = &mut self {
            *gaps_are_zero = true;
        }
        self
    }

    /// Exactly `len` bytes at `offset`.
    ///
    /// # Errors
    /// When they reach past the end, or into a gap of a flattened stream.
    pub fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>, String> {
        let end = offset.checked_add(len);
        if end.is_none_or(|end| end > self.len()) {
            return Err(format!(
                "{len} bytes at {offset:#x} reach past the end of the file at {:#x}",
                self.len()
            ));
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|e| e.to_string())?];
        match self {
            Image::Bytes(all) => {
                let start = usize::try_from(offset).map_err(|e| e.to_string())?;
                bytes = all[start..][..bytes.len()].to_vec();
            }
            Image::File { file, .. } => {
                let result = file.read_exact_at(&mut bytes, offset);
                result.map_err(|e| format!("{len} bytes at {offset:#x}: {e}"))?;
            }
            Image::Flattened { stream, records, gaps_are_zero, .. } => {
                let filled = flattened::read(stream, records, offset, &mut bytes)?;
                if filled < len && !gaps_are_zero {
                    return Err(format!(
                        "flattened: no record for some of {len} bytes at {offset:#x}"
                    ));
                }
            }
        }
        Ok(bytes)
    }

    fn unwrap_flattened(self) -> Result<Self, String> {
        if self.len() < 16 || !self.read(0, 16)?.starts_with(flattened::SIGNATURE) {
            return Ok(self);
        }
        let records = flattened::records(&self)?;
        let len = records.iter().map(|record| record.target + record.size).max().unwrap_or(0);
        Ok(Image::Flattened { stream: Box::new(self), records, len, gaps_are_zero: false })
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Image::Bytes(_) => "in memory",
            Image::File { .. } => "in a file",
            Image::Flattened { .. } => "flattened",
        };
        write!(f, "{} bytes {kind}", self.len())
    }
}
