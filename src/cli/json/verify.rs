//! The report on a dump that was verified.

use serde::Serialize;

use super::findings::FindingsJson;
use super::number::Rate;
use super::version::SchemaVersion;

/// `verify --json`: a dump was checked.
#[derive(Debug, Serialize)]
#[cfg_attr(
    feature = "generate",
    derive(schemars::JsonSchema),
    schemars(rename = "verify", title = "verify")
)]
pub(crate) struct VerifyJson {
    /// The version of the JSON reports.
    pub(crate) schema: SchemaVersion,
    /// The input as it was named, or "standard input".
    pub(crate) input: String,
    /// The dump that it was compared with; null without --against.
    pub(crate) against: Option<String>,
    /// Warnings about the input's headers.
    pub(crate) warnings: Vec<String>,
    /// Bytes of a page.
    pub(crate) page_size: u64,
    /// The dump level that the input was made with, as its header says, or, for an ELF vmcore, -d; 0 if
    /// neither does.
    pub(crate) dump_level: u32,
    /// Threads that were used.
    pub(crate) threads: usize,
    /// Seconds from start to end.
    pub(crate) seconds: f64,
    /// Bytes of memory per second.
    pub(crate) bytes_per_second: Rate,
    /// What was found.
    #[serde(flatten)]
    pub(crate) found: FindingsJson,
}
