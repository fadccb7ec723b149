//! How far a long operation is.

/// How far something is, in pages or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How much is done.
    pub done: u64,
    /// How much there is in all; 0 as long as that is not known.
    pub total: u64,
}
