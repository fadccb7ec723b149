//! How to convert.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::codec::Codec;
use crate::format::dump_level::DumpLevel;
use crate::select::{ClassSet, KeepSet};

/// How to convert a dump to a kdump file.
///
/// ```
/// use kdumpconv::{Codec, ConvertOptions, DumpLevel};
///
/// let options = ConvertOptions::default().codec(Codec::Zstd).dump_level(DumpLevel::new(31).unwrap());
/// assert_eq!(options.threads, 1);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConvertOptions {
    /// The codec that pages are compressed with. Default: zlib.
    pub codec: Codec,
    /// The codec's level. Default: `None`, the fastest that makes files as small as makedumpfile's.
    pub level: Option<i32>,
    /// The classes of pages to exclude, as far as the kernel's tables prove them; see
    /// [`select`](fn@crate::select). Default: level 1, by which pages of zeros share one stored page.
    pub dump_level: DumpLevel,
    /// Classes of pages to exclude besides, by the same rules. Default: none.
    pub classes: ClassSet,
    /// What to keep although its class is excluded. Default: nothing.
    pub keep: KeepSet,
    /// Whether to fail if those classes cannot be excluded, or if there is any doubt about it. Default:
    /// `false`; such pages are kept, and the report has a warning.
    pub strict: bool,
    /// Worker threads, including the caller's; the output does not depend on their number. Default: 1,
    /// which 0 means as well; the maximum is [`MAX_THREADS`](crate::MAX_THREADS).
    pub threads: usize,
    /// Maximum size of the (unflattened) file in bytes. Default: `None`, no limit.
    pub max_size: Option<u64>,
    /// How often to wait until all that was written is on disk: after a power failure, a plain file on
    /// a journalling file system has what was written up to then. Default: every 5 seconds; `None` for
    /// never.
    pub sync_interval: Option<Duration>,
    /// The crash time of a core without `CRASHTIME=`, in seconds since the epoch. Default: 0. The
    /// library does not look at `SOURCE_DATE_EPOCH`; the command does.
    pub timestamp: u64,
    /// Set by another thread to stop; the pages written so far are kept. Default: a new flag, not set.
    pub cancel: Arc<AtomicBool>,
}

impl Default for ConvertOptions {
    fn default() -> Self {
        ConvertOptions {
            codec: Codec::Zlib,
            level: None,
            dump_level: DumpLevel::default(),
            classes: ClassSet::default(),
            keep: KeepSet::default(),
            strict: false,
            threads: 1,
            max_size: None,
            sync_interval: Some(Duration::from_secs(5)),
            timestamp: 0,
            cancel: Arc::default(),
        }
    }
}

impl ConvertOptions {
    /// Sets the codec.
    #[must_use]
    pub fn codec(self, codec: Codec) -> Self {
        ConvertOptions { codec, ..self }
    }

    /// Sets the codec's level.
    #[must_use]
    pub fn level(self, level: impl Into<Option<i32>>) -> Self {
        ConvertOptions { level: level.into(), ..self }
    }

    /// Sets the dump level.
    #[must_use]
    pub fn dump_level(self, dump_level: DumpLevel) -> Self {
        ConvertOptions { dump_level, ..self }
    }

    /// Sets the classes to exclude besides those of the dump level.
    #[must_use]
    pub fn classes(self, classes: ClassSet) -> Self {
        ConvertOptions { classes, ..self }
    }

    /// Sets what to keep although its class is excluded.
    #[must_use]
    pub fn keep(self, keep: KeepSet) -> Self {
        ConvertOptions { keep, ..self }
    }

    /// Sets whether to fail if the classes cannot be excluded.
    #[must_use]
    pub fn strict(self, strict: bool) -> Self {
        ConvertOptions { strict, ..self }
    }

    /// Sets the number of worker threads.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        ConvertOptions { threads, ..self }
    }

    /// Sets the maximum size of the file in bytes.
    #[must_use]
    pub fn max_size(self, bytes: impl Into<Option<u64>>) -> Self {
        ConvertOptions { max_size: bytes.into(), ..self }
    }

    /// Sets how often to wait until all that was written is on disk.
    #[must_use]
    pub fn sync_interval(self, interval: impl Into<Option<Duration>>) -> Self {
        ConvertOptions { sync_interval: interval.into(), ..self }
    }

    /// Sets the crash time of a core without one, in seconds since the epoch.
    #[must_use]
    pub fn timestamp(self, seconds: u64) -> Self {
        ConvertOptions { timestamp: seconds, ..self }
    }

    /// Sets the flag that stops the conversion.
    #[must_use]
    pub fn cancel(self, cancel: Arc<AtomicBool>) -> Self {
        ConvertOptions { cancel, ..self }
    }
}
