//! What readers of a dump would stumble on.
//!
//! Seen by running crash 8.0.2 and 8.0.6, libkdumpfile 0.5.1 and its newest source, drgn 0.3.0 and
//! makedumpfile 1.7.2 to 1.7.9 on such files, or read in their code.

use crate::codec::Codec;
use crate::dump::elf::Core;
use crate::dump::kdump::Kdump;
use crate::dump::{Body, Dump};
use crate::format::kdump::{DUMP_DH_COMPRESSED_INCOMPLETE, DUMP_DH_EXCLUDED_VMEMMAP};
use crate::format::wire::{ByteOrder, StructLayout};
use crate::kernel::utsname;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::PageSize;

use super::{Pages, Stored};

/// One thing to stumble on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// A name for scripts, which stays.
    pub id: &'static str,
    /// What it is, who stumbles, and what helps.
    pub text: String,
}

/// Gathers remarks.
#[derive(Default)]
struct Remarks(Vec<Remark>);

impl Remarks {
    fn add(&mut self, applies: bool, id: &'static str, text: impl Into<String>) {
        if applies {
            self.0.push(Remark { id, text: text.into() });
        }
    }
}

/// All that there is to remark on a dump.
pub(super) fn of(dump: &Dump, pages: &Pages, stored: Option<&Stored>) -> Vec<Remark> {
    let mut remarks = Remarks::default();
    match &dump.body() {
        Body::Elf(core) => of_elf(core, pages, &mut remarks),
        Body::Kdump(kdump) => {
            of_lost(kdump, pages, stored, &mut remarks);
            of_flattened(kdump, &mut remarks);
            of_codecs(kdump, stored, &mut remarks);
            of_headers(dump, kdump, &mut remarks);
        }
    }
    of_kernel(dump, &mut remarks);
    remarks.0
}

fn of_elf(core: &Core, pages: &Pages, remarks: &mut Remarks) {
    let behind_header = if core.header.is_64bit { 64 } else { 52 };
    remarks.add(
        core.header.e_phoff != behind_header,
        "program-headers-moved",
        format!(
            "the program headers are at {:#x}, as QEMU >= 7.2 has them: makedumpfile looks for them at {behind_header:#x} and refuses the file",
            core.header.e_phoff
        ),
    );
    remarks.add(
        pages.absent > 0,
        "cut-off",
        format!("the file is cut off: {} pages are behind its end", pages.absent),
    );
}

fn of_lost(kdump: &Kdump, pages: &Pages, stored: Option<&Stored>, remarks: &mut Remarks) {
    remarks.add(
        kdump.header.status & DUMP_DH_COMPRESSED_INCOMPLETE != 0,
        "incomplete",
        "marked as incomplete: pages are missing that were to be written",
    );
    let lost = stored.map_or(0, |stored| stored.lost);
    remarks.add(
        lost > 0,
        "lost-pages",
        format!("{lost} pages cannot be had: their descriptors are empty, damaged, or of data behind the end of the file"),
    );
    remarks.add(
        kdump.sub_header.split != 0,
        "split",
        if pages.absent > 0 {
            "a file of a split set: crash, libkdumpfile and drgn want all of them; --part names the others"
        } else {
            "a split set: readers must be given all its files"
        },
    );
}

fn of_flattened(kdump: &Kdump, remarks: &mut Remarks) {
    let flat = || kdump.files.iter().filter_map(|file| file.flat.as_ref());
    remarks.add(
        flat().next().is_some(),
        "flattened",
        "flattened: crash and drgn open it, libkdumpfile before 0.5.3 does not, makedumpfile only rearranges it (-R)",
    );
    remarks.add(
        flat().any(|flat| !flat.ended),
        "no-end-mark",
        "the flattened stream was cut off: makedumpfile -R waits for the rest, and what came is all there is",
    );
}

fn of_codecs(kdump: &Kdump, stored: Option<&Stored>, remarks: &mut Remarks) {
    let used = stored.map(Stored::used).unwrap_or_default();
    let has = |codec: Codec| used.contains(&codec) || kdump.header.status & codec.flag() != 0;
    remarks.add(
        has(Codec::Snappy),
        "codec-snappy",
        "snappy: Debian's makedumpfile (1.7.2) is built without it; crash, libkdumpfile and drgn read it",
    );
    remarks.add(
        has(Codec::Zstd),
        "codec-zstd",
        "zstd: Debian 12's makedumpfile (1.7.2) is built without it; crash 8.0.2, libkdumpfile 0.5.1 and drgn read it",
    );
    let unnamed = used.iter().find(|codec| kdump.header.status & codec.flag() == 0);
    remarks.add(
        unnamed.is_some(),
        "codec-unnamed",
        format!(
            "pages are stored by {}, which the header does not name",
            unnamed.map_or("none", |codec| codec.name())
        ),
    );
}

fn of_headers(dump: &Dump, kdump: &Kdump, remarks: &mut Remarks) {
    let (header, sub) = (&kdump.header, &kdump.sub_header);
    remarks.add(
        !utsname::is_filled(&header.utsname),
        "empty-utsname",
        "the header does not name the kernel, as in QEMU's files: drgn refuses it, libkdumpfile gives pages alone; converting it again fills the name in",
    );
    remarks.add(
        header.status & DUMP_DH_EXCLUDED_VMEMMAP != 0,
        "excluded-vmemmap",
        "the kernel's page structs were partly left out (makedumpfile -e): what walks them fails",
    );
    let told = dump.vmcoreinfo().and_then(Vmcoreinfo::page_size);
    remarks.add(
        told.is_some_and(|told| told != dump.page_size()),
        "page-size",
        format!(
            "blocks of {} bytes, but PAGESIZE={}: libkdumpfile and drgn cannot decode it",
            dump.page_size(),
            told.unwrap_or(0)
        ),
    );
    remarks.add(
        matches!(dump.layout(), StructLayout::Bits64(_)) && PageSize::new(header.tv_usec).is_some(),
        "tv-usec",
        "the timestamp's microseconds look like a page size: libkdumpfile takes it for a 32-bit file, 0.5.1 crashes",
    );
    remarks.add(
        header.header_version >= 6 && sub.max_mapnr_64 == 0,
        "no-max-mapnr-64",
        "max_mapnr_64 is 0: libkdumpfile and drgn reject every read",
    );
    remarks.add(
        header.nr_cpus == 0,
        "no-cpus",
        "nr_cpus is 0: crash warns, and takes the number from the kernel",
    );
    remarks.add(
        matches!(dump.layout(), StructLayout::Padded32(_)),
        "padded-header",
        "the sub header has this architecture's padding: libkdumpfile 0.5.1 takes it for i386's, newer ones tell it by VMCOREINFO",
    );
    remarks.add(
        dump.arch().counts_pfns_from_phys_base(),
        "arm-pfn-origin",
        "32-bit arm: crash and makedumpfile count pages from the start of memory, libkdumpfile, drgn and QEMU from 0; one of them sees the dump shifted",
    );
}

fn of_kernel(dump: &Dump, remarks: &mut Remarks) {
    let has_info = dump.vmcoreinfo().is_some();
    remarks.add(
        !has_info,
        "no-vmcoreinfo",
        "no VMCOREINFO: drgn cannot open it, makedumpfile cannot filter it, and there is no way to the log; --find-vmcoreinfo looks for one in memory",
    );
    remarks.add(
        !has_info && dump.notes().bytes == 0,
        "no-notes",
        "no notes at all: crash cannot open it",
    );
    remarks.add(
        dump.notes().cpus == 0,
        "no-registers",
        "no CPU's registers (PRSTATUS notes): stack traces of running tasks cannot be had",
    );
    let order = dump.layout().byte_order();
    remarks.add(
        order == ByteOrder::Big || !matches!(dump.layout(), StructLayout::Bits64(_)),
        "foreign-host",
        "crash must be one for this word size and byte order; libkdumpfile and drgn read it anywhere",
    );
}
