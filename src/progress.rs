//! How far a long operation is.

/// What a long operation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Storing an input that can only be read forward, unpacked.
    Unpacking,
    /// Searching memory for VMCOREINFO.
    Searching,
    /// Reading the kernel's struct pages, to select the pages to keep.
    Selecting,
    /// Reading pages, and writing the output.
    Writing,
    /// Reading pages, and checking them.
    Verifying,
}

/// How far a long operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Bytes done in this stage: of memory, of an unpacked input, or of a flattened stream.
    pub done: u64,
    /// Bytes in all; 0 as long as that is not known.
    pub total: u64,
}

impl Progress {
    /// A stage that starts.
    pub(crate) fn start(stage: Stage) -> Self {
        Progress { stage, done: 0, total: 0 }
    }

    /// Progress counted in pages of `page_bytes`.
    pub(crate) fn of_pages(stage: Stage, done: u64, total: u64, page_bytes: u64) -> Self {
        let bytes = |pages: u64| pages.saturating_mul(page_bytes);
        Progress { stage, done: bytes(done), total: bytes(total) }
    }
}
