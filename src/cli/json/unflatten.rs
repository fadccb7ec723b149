//! The report on a flattened file that was turned back into a plain one.

use serde::Serialize;

use super::number::{Count, Rate};
use super::version::SchemaVersion;

/// `unflatten --json`: a flattened file was turned back into a plain one.
#[derive(Debug, Serialize)]
#[cfg_attr(
    feature = "generate",
    derive(schemars::JsonSchema),
    schemars(rename = "unflatten", title = "unflatten")
)]
pub(crate) struct UnflattenJson {
    /// The version of the JSON reports.
    pub(crate) schema: SchemaVersion,
    /// The input as it was named, or "standard input".
    pub(crate) input: String,
    /// The file that was written; null if it has no name, or was removed.
    pub(crate) output: Option<String>,
    /// Whether the stream ended with its end mark.
    pub(crate) complete: bool,
    /// Why the output is incomplete; empty if it is complete.
    pub(crate) incomplete_because: Vec<String>,
    /// Warnings about input and output.
    pub(crate) warnings: Vec<String>,
    /// The number of whole records in the stream.
    pub(crate) records: Count,
    /// Sizes in bytes.
    pub(crate) bytes: UnflattenBytes,
    /// Seconds from start to end.
    pub(crate) seconds: f64,
    /// Bytes of the stream per second.
    pub(crate) bytes_per_second: Rate,
}

/// Sizes in bytes.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) struct UnflattenBytes {
    /// The stream up to its end mark, or to where it broke off.
    pub(crate) stream: Count,
    /// The plain file.
    pub(crate) file: Count,
}
