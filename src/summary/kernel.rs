//! The crashed kernel: its name, and when it crashed.

use crate::dump::Dump;
use crate::dump::physical::DumpMemory;
use crate::format::kdump::NewUtsname;
use crate::kernel::utsname;
use crate::kernel::vmcoreinfo::Vmcoreinfo;

/// The name of a kernel, as uname(2) returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelName {
    /// The name; parts that are unknown are empty.
    pub name: NewUtsname,
    /// Where it was found.
    pub source: NameSource,
}

/// Where the name of a kernel was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameSource {
    /// In the header of the kdump file.
    Header,
    /// In the kernel's memory.
    Memory,
    /// In VMCOREINFO: `OSRELEASE=`, the release alone.
    Vmcoreinfo,
}

/// When a kernel crashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashTime {
    /// Seconds since the epoch.
    pub seconds: u64,
    /// Whether the kernel itself says so (`CRASHTIME=`). Else the header does, where some writers
    /// put the time of the conversion.
    pub by_kernel: bool,
}

impl CrashTime {
    pub(super) fn of(dump: &Dump) -> Option<Self> {
        let by_kernel = dump.vmcoreinfo().and_then(Vmcoreinfo::crash_time);
        let by_header = || dump.header().map(|header| header.tv_sec);
        let seconds = by_kernel.or_else(by_header).filter(|seconds| *seconds > 0)?;
        Some(CrashTime { seconds, by_kernel: by_kernel.is_some() })
    }
}

impl KernelName {
    /// The whole name from the header, or else from memory; if neither has it, the release from
    /// the header, or else from VMCOREINFO.
    pub(super) fn of(dump: &Dump, memory: Option<&DumpMemory<'_>>) -> Option<Self> {
        let found = |name: NewUtsname, source| Some(KernelName { name, source });
        let header = dump.header().map(|header| &header.utsname);
        if let Some(name) = header.filter(|name| utsname::is_usable(name)) {
            return found(name.clone(), NameSource::Header);
        }
        let info = dump.vmcoreinfo();
        if let Some(name) =
            memory.zip(info).and_then(|(memory, info)| in_memory(dump, memory, info))
        {
            return found(name, NameSource::Memory);
        }
        if let Some(name) = header.filter(|name| !name.release.is_empty()) {
            return found(name.clone(), NameSource::Header);
        }
        let release = info?.get("OSRELEASE").filter(|release| !release.is_empty())?.to_owned();
        found(NewUtsname { release, ..NewUtsname::default() }, NameSource::Vmcoreinfo)
    }
}

fn in_memory(dump: &Dump, memory: &DumpMemory<'_>, info: &Vmcoreinfo) -> Option<NewUtsname> {
    utsname::in_memory(dump.arch(), info, dump.phys_base(), dump.segments(), memory)
}
