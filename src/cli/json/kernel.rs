//! The crashed kernel: its name, when it crashed, and what its log says about that.

use kdumpconv::log::LogReport;
use kdumpconv::summary::{CrashTime, KernelName, LogError, LogGlance, NameSource};
use serde::Serialize;

use super::number::Count;
use crate::cli::ui::messages::error_chain;
use crate::cli::ui::utc::utc;

/// The crashed kernel, as uname(2) names it. Parts that are unknown are empty.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Kernel"))]
pub(super) struct KernelJson {
    /// Such as "Linux".
    sysname: String,
    /// The name of the host.
    nodename: String,
    /// Such as "6.1.0-39-amd64".
    release: String,
    /// Such as "#1 SMP Debian 6.1.148-1".
    version: String,
    /// Such as "x86_64".
    machine: String,
    /// The NIS domain.
    domainname: String,
    /// Where the name was found.
    source: NameSourceJson,
}

/// Where the kernel's name was found.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "NameSource"))]
enum NameSourceJson {
    /// In the header of the kdump file.
    Header,
    /// In the kernel's memory.
    Memory,
    /// In VMCOREINFO, which has the release alone.
    Vmcoreinfo,
}

/// When the kernel crashed.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "CrashTime"))]
pub(super) struct CrashTimeJson {
    /// Seconds since 1970-01-01 00:00:00 UTC.
    unix: Count,
    /// The same as date and time, such as "2025-11-21 22:39:30 UTC".
    utc: String,
    /// Where the time comes from.
    source: TimeSource,
}

/// Where the time of the crash comes from.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
enum TimeSource {
    /// The kernel, in VMCOREINFO.
    Vmcoreinfo,
    /// The header of the kdump file, where some writers put the time of the conversion.
    Header,
}

/// What the kernel's log says about the crash.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Log"))]
pub(super) struct LogJson {
    /// Why the log cannot be read; null if it can.
    error: Option<String>,
    /// The line of the panic; null if there is none, or the log cannot be read.
    panic: Option<String>,
    /// The first line of the oops that caused the panic; null if there is none, or the log cannot be
    /// read.
    cause: Option<String>,
    /// Records that were read.
    records: Count,
    /// Records that could not be read. Where a part of the log is lost, it counts as one.
    unreadable: Count,
    /// Why the first of them could not be read; null if all could.
    first_unreadable: Option<String>,
}

impl From<&KernelName> for KernelJson {
    fn from(kernel: &KernelName) -> Self {
        let name = kernel.name.clone();
        KernelJson {
            sysname: name.sysname,
            nodename: name.nodename,
            release: name.release,
            version: name.version,
            machine: name.machine,
            domainname: name.domainname,
            source: match kernel.source {
                NameSource::Header => NameSourceJson::Header,
                NameSource::Memory => NameSourceJson::Memory,
                NameSource::Vmcoreinfo => NameSourceJson::Vmcoreinfo,
            },
        }
    }
}

impl From<CrashTime> for CrashTimeJson {
    fn from(time: CrashTime) -> Self {
        CrashTimeJson {
            unix: time.seconds.into(),
            utc: utc(time.seconds),
            source: if time.by_kernel { TimeSource::Vmcoreinfo } else { TimeSource::Header },
        }
    }
}

impl LogJson {
    pub(super) fn new(log: &Result<LogGlance, LogError>) -> Self {
        match log {
            Err(error) => LogJson { error: Some(error_chain(error)), ..LogJson::default() },
            Ok(LogGlance { panic, report: LogReport { records, lost, why, .. } }) => LogJson {
                error: None,
                panic: panic.message.clone(),
                cause: panic.cause.clone(),
                records: (*records).into(),
                unreadable: (*lost).into(),
                first_unreadable: why.clone(),
            },
        }
    }
}
