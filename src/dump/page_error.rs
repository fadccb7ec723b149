//! Why a page cannot be read.

/// Why a page that the dump should have cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct PageError {
    /// What is at fault.
    pub fault: PageFault,
    /// Where in the file, if it is at one place of it.
    pub offset: Option<u64>,
    why: String,
}

impl PageError {
    /// An error that says `why`.
    pub(crate) fn new(fault: PageFault, offset: Option<u64>, why: String) -> Self {
        PageError { fault, offset, why }
    }
}

/// What is at fault if a page cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageFault {
    /// The page is in a file of the split set that was not given.
    NotGiven,
    /// Its descriptor is empty: the writer broke off before this page.
    Empty,
    /// Its descriptor is implausible, or points outside the file.
    Descriptor,
    /// Its descriptor or data cannot be read.
    Unreadable,
    /// Its data cannot be decoded.
    Data,
}
