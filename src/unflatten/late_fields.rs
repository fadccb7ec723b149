//! The fields of the main header that a writer of streams sends last, if they did not arrive.

use crate::format::kdump::DiskDumpHeader;
use crate::format::wire::StructLayout;
use crate::kernel::arch::Architecture;
use crate::kernel::utsname;
use crate::kernel::vmcoreinfo::Vmcoreinfo;

/// Fills in the kernel's name and the time of the crash by VMCOREINFO: without a name, drgn and
/// libkdumpfile refuse the file.
pub(super) fn fill_in(header: &mut DiskDumpHeader, layout: StructLayout, info: &Vmcoreinfo) {
    let arch = Architecture::of_vmcoreinfo(info, layout).or(Architecture::of_layout(layout));
    let is_64bit = matches!(layout, StructLayout::Bits64(_));
    let arch = arch.unwrap_or(Architecture::Other { machine: 0, is_64bit });
    header.utsname = utsname::fallback(arch, layout.byte_order(), Some(info));
    (header.tv_sec, header.tv_usec) = (info.crash_time().unwrap_or(0), 0);
    if header.check(layout).is_err() {
        header.tv_sec = 0;
    }
}
