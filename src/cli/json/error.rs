//! What is printed in place of a report when a command fails.

use serde::Serialize;

use super::version::SchemaVersion;
use crate::cli::exit::Exit;

/// Any command with --json that fails prints this in place of its report, on one line. `dmesg` prints
/// it after the records if not all of the log could be read.
#[derive(Debug, Serialize)]
#[cfg_attr(
    feature = "generate",
    derive(schemars::JsonSchema),
    schemars(rename = "error", title = "error")
)]
pub(crate) struct ErrorJson {
    /// The version of the JSON reports.
    schema: SchemaVersion,
    /// What failed, where and why.
    error: String,
    /// What has to change before it can work.
    kind: ErrorKind,
    /// The exit code for it. The command ends with that of its worst input.
    exit_code: u8,
    /// The input that has no report, if the command is `info` or `verify`, which goes on with the
    /// next input. Else null.
    input: Option<String>,
}

/// What has to change before a command that failed can work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
enum ErrorKind {
    /// The arguments are wrong (exit code 2).
    Usage,
    /// The input is not recognised, or damaged beyond use (exit code 3).
    Input,
    /// Records of the kernel's log could not be read, after those that precede this object (exit code
    /// 4).
    Incomplete,
    /// Anything else (exit code 1), such as a file that cannot be read or written, or does not exist.
    Failed,
}

impl ErrorJson {
    /// The JSON of an error that ends the command, or the work on `input`, as `exit`.
    pub(crate) fn new(error: String, input: Option<&str>, exit: Exit) -> Self {
        ErrorJson {
            schema: SchemaVersion,
            error,
            kind: match exit {
                Exit::Usage => ErrorKind::Usage,
                Exit::Input => ErrorKind::Input,
                Exit::Incomplete => ErrorKind::Incomplete,
                _ => ErrorKind::Failed,
            },
            exit_code: exit.code(),
            input: input.map(str::to_owned),
        }
    }
}
