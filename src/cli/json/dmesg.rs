//! A record of the crashed kernel's log.

use kdumpconv::log::{Caller, Record};
use serde::Serialize;

use super::version::SchemaVersion;

/// `dmesg --json`: one record of the kernel's log, an object on one line for each.
#[derive(Debug, Serialize)]
#[cfg_attr(
    feature = "generate",
    derive(schemars::JsonSchema),
    schemars(rename = "dmesg", title = "dmesg")
)]
pub(crate) struct RecordJson {
    /// The version of the JSON reports.
    schema: SchemaVersion,
    /// The time since boot; null if the kernel has it only in the text (before 3.5).
    time: Option<TimeSinceBoot>,
    /// Who logged it; null if the kernel does not record that.
    caller: Option<CallerJson>,
    /// The severity, from 0 (emergency) to 7 (debug); null if it is unknown.
    level: Option<u8>,
    /// syslog's facility, of which 0 is the kernel; null if it is unknown.
    facility: Option<u8>,
    /// The text, perhaps of several lines; bytes that are no UTF-8 are replaced by U+FFFD.
    text: String,
}

/// A time since boot.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
struct TimeSinceBoot {
    /// Whole seconds.
    seconds: u64,
    /// Nanoseconds of the second that follows, up to 999999999.
    nanoseconds: u64,
}

/// Who logged a record.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Caller"))]
enum CallerJson {
    /// A task, by its process id.
    Task(u32),
    /// A CPU that ran no task, by its number.
    Cpu(u32),
}

impl From<&Record<'_>> for RecordJson {
    fn from(record: &Record<'_>) -> Self {
        const SECOND: u64 = 1_000_000_000;
        RecordJson {
            schema: SchemaVersion,
            time: record
                .ts_nsec
                .map(|time| TimeSinceBoot { seconds: time / SECOND, nanoseconds: time % SECOND }),
            caller: record.caller.map(|caller| match caller {
                Caller::Task(pid) => CallerJson::Task(pid),
                Caller::Cpu(cpu) => CallerJson::Cpu(cpu),
            }),
            level: record.level,
            facility: record.facility,
            text: String::from_utf8_lossy(record.text).into_owned(),
        }
    }
}
