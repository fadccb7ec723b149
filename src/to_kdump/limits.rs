//! How much a file may have, and what it means that it takes no more.

use std::io;

use crate::pipeline::outcome::IncompleteReason;

/// How many bytes a file may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// As the caller asked.
    pub(super) max_size: Option<u64>,
    /// As the device has.
    pub(super) capacity: Option<u64>,
}

/// Why an output takes no more.
#[derive(Debug)]
pub(super) enum Full {
    /// The file would become too large.
    Space,
    /// Writing failed.
    Failed(io::Error),
}

impl Limits {
    /// The smaller one.
    pub(super) fn least(self) -> Option<u64> {
        [self.max_size, self.capacity].into_iter().flatten().min()
    }

    /// Why the file takes no more.
    pub(super) fn reason(self, full: Full) -> IncompleteReason {
        match (full, self.max_size, self.capacity) {
            (Full::Failed(error), ..) => IncompleteReason::Output(error),
            (Full::Space, Some(limit), None) => IncompleteReason::MaxSize { limit },
            (Full::Space, Some(limit), Some(bytes)) if limit <= bytes => {
                IncompleteReason::MaxSize { limit }
            }
            (Full::Space, _, Some(bytes)) => IncompleteReason::Capacity { bytes },
            // The table was planned for the space that was free.
            (Full::Space, None, None) => {
                IncompleteReason::Output(io::ErrorKind::StorageFull.into())
            }
        }
    }
}
