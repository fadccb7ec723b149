//! The main header of the new file.

use crate::dump::Dump;
use crate::format::kdump::{DUMP_DH_EXCLUDED_VMEMMAP, DiskDumpHeader, HEADER_VERSION};
use crate::format::wire::StructLayout;
use crate::kernel::utsname;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::PageSize;
use crate::to_kdump::ConvertOptions;
use crate::to_kdump::layout::KdumpLayout;

/// Maximum `nr_cpus` that is believed: the field is an `int`, and no machine has that many CPUs.
const MAX_CPUS: u32 = 1 << 20;

/// Microseconds per second.
const MICROSECONDS: u64 = 1_000_000;

/// The main header; `lacks_vmemmap` if struct pages were excluded as a class. If the input is a kdump file, fields of its header are kept unless readers fail on
/// them.
pub(super) fn main_header(
    dump: &Dump,
    layout: &KdumpLayout,
    options: &ConvertOptions,
    lacks_vmemmap: bool,
    warnings: &mut Vec<String>,
) -> DiskDumpHeader {
    let info = dump.vmcoreinfo();
    let old = dump.header().cloned().unwrap_or_default();
    let crash_time = || info.and_then(Vmcoreinfo::crash_time).unwrap_or(options.timestamp);
    let (mut tv_sec, mut tv_usec) = match old.tv_sec {
        0 => (crash_time(), 0),
        tv_sec => (tv_sec, old.tv_usec),
    };
    if !matches!(dump.layout(), StructLayout::Bits64(_)) && tv_sec > u64::from(u32::MAX) {
        warnings.push(format!("timestamp {tv_sec} does not fit the 32-bit header: 0 is written"));
        tv_sec = 0;
    }
    // libkdumpfile mistakes a 64-bit header for a 32-bit one if its tv_usec is a valid page size.
    if PageSize::new(tv_usec).is_some() || tv_usec >= MICROSECONDS {
        tv_usec = 0;
    }
    let vmemmap = if lacks_vmemmap { DUMP_DH_EXCLUDED_VMEMMAP } else { 0 };
    let utsname = Some(old.utsname).filter(utsname::is_usable);
    DiskDumpHeader {
        header_version: HEADER_VERSION,
        utsname: utsname
            .unwrap_or_else(|| utsname::fallback(dump.arch(), dump.layout().byte_order(), info)),
        tv_sec,
        tv_usec,
        status: options.codec.flag() | (old.status & DUMP_DH_EXCLUDED_VMEMMAP) | vmemmap,
        block_size: layout.block_size,
        sub_hdr_size: layout.sub_hdr_size,
        bitmap_blocks: layout.bitmap_blocks,
        max_mapnr: layout.sub_header.max_mapnr_32(),
        unused: old.unused,
        nr_cpus: Some(old.nr_cpus)
            .filter(|cpus| (1..=MAX_CPUS).contains(cpus))
            .unwrap_or(dump.notes().cpus.max(1)),
    }
}
