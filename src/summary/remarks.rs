//! What readers of a dump would stumble on.
//!
//! These remarks come from running crash 8.0.2 and 8.0.6, libkdumpfile 0.5.1 and its newest source,
//! drgn 0.3.0 and makedumpfile 1.7.2 to 1.7.9 on such files, or from reading their code.

use std::sync::atomic::AtomicBool;

use crate::codec::Codec;
use crate::dump::Dump;
use crate::dump::elf::ElfCore;
use crate::dump::kdump::Kdump;
use crate::error::counted;
use crate::format::kdump::DUMP_DH_EXCLUDED_VMEMMAP;
use crate::format::wire::{ByteOrder, StructLayout};
use crate::kernel::utsname;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::PageSize;

use super::{Pages, Stored};

/// Maximum pages that are compared with those of other segments: as many as take no time.
const COMPARED_PAGES: u64 = 256;

/// One thing that readers would stumble on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// A name for scripts; it never changes.
    pub id: &'static str,
    /// What it is, and who stumbles.
    pub text: String,
}

/// Collects remarks.
#[derive(Default)]
struct Remarks(Vec<Remark>);

impl Remarks {
    fn add(&mut self, applies: bool, id: &'static str, text: impl Into<String>) {
        if applies {
            self.0.push(Remark { id, text: text.into() });
        }
    }
}

/// All remarks on a dump.
pub(super) fn of(dump: &Dump, pages: &Pages, stored: Option<&Stored>) -> Vec<Remark> {
    let mut remarks = Remarks::default();
    if let Some(core) = dump.elf() {
        of_elf(core, pages, &mut remarks);
    }
    if let Some(kdump) = dump.kdump() {
        of_missing_pages(kdump, pages, stored, &mut remarks);
    }
    of_flattened(dump, &mut remarks);
    if let Some(kdump) = dump.kdump() {
        of_codecs(kdump, stored, &mut remarks);
        of_headers(dump, kdump, &mut remarks);
    }
    of_kernel(dump, &mut remarks);
    remarks.0
}

fn of_elf(core: &ElfCore, pages: &Pages, remarks: &mut Remarks) {
    let after_header = if core.header.is_64bit { 64 } else { 52 };
    remarks.add(
        core.header.e_phoff != after_header,
        "program-headers-moved",
        format!(
            "the program headers are at {:#x}, as QEMU >= 7.2 has them: makedumpfile looks for them at {after_header:#x} and refuses the file",
            core.header.e_phoff
        ),
    );
    of_cut(pages.absent, remarks);
    // Memory that changes differs from what was read of it before.
    if !core.input.is_sequential() && !core.input.is_live() {
        let compared = core.compare_overlaps(COMPARED_PAGES, &AtomicBool::new(false));
        let differ = compared.is_different();
        remarks.add(differ, "segments-disagree", compared.to_string());
    }
}

fn of_cut(lost: u64, remarks: &mut Remarks) {
    let text = format!("the file is cut off: it lacks {}", counted(lost, "page"));
    remarks.add(lost > 0, "cut-off", text);
}

fn of_missing_pages(kdump: &Kdump, pages: &Pages, stored: Option<&Stored>, remarks: &mut Remarks) {
    remarks.add(
        kdump.is_marked_incomplete() && !kdump.is_broken_stream(),
        "incomplete",
        "marked as incomplete: pages that were to be written are missing",
    );
    let cut_off = stored.map_or(0, Stored::cut_off);
    of_cut(cut_off, remarks);
    let lost = stored.map_or(0, |stored| stored.unreadable - cut_off);
    remarks.add(
        lost > 0,
        "lost-pages",
        format!(
            "{} unreadable: descriptors are empty, damaged, or point beyond the end of the file",
            counted(lost, "page")
        ),
    );
    remarks.add(
        kdump.sub_header.split != 0,
        "split",
        if pages.absent > 0 {
            "one file of a split set: crash, libkdumpfile and drgn need all of them"
        } else {
            "a split set: readers must be given all its files"
        },
    );
}

fn of_flattened(dump: &Dump, remarks: &mut Remarks) {
    let of_files = dump.kdump().into_iter().flat_map(|kdump| &kdump.files);
    let of_files = of_files.filter_map(|file| file.flattened.as_ref());
    let mut streams = of_files.chain(dump.flattened()).peekable();
    let is_flattened = streams.peek().is_some();
    let is_broken = streams.any(|flat| flat.cut_off.is_some());
    remarks.add(
        is_flattened && !is_broken,
        "flattened",
        "flattened: crash and drgn open it, libkdumpfile before 0.5.3 does not, makedumpfile only rearranges it (-R)",
    );
    remarks.add(
        is_broken,
        "no-end-mark",
        "the flattened stream is cut off: crash and drgn refuse it, makedumpfile -R waits for the rest",
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
    let is_unnamed = |codec: &&Codec| kdump.header.status & codec.flag() == 0;
    // The header of a stream that broke off may lack its last fields.
    let unnamed = used.iter().find(is_unnamed).filter(|_| !kdump.is_broken_stream());
    if let Some(codec) = unnamed {
        let text =
            format!("pages are compressed with {}, which the header does not name", codec.name());
        remarks.add(true, "codec-unnamed", text);
    }
}

fn of_headers(dump: &Dump, kdump: &Kdump, remarks: &mut Remarks) {
    let (header, sub) = (&kdump.header, &kdump.sub_header);
    remarks.add(
        !utsname::is_filled(&header.utsname) && !kdump.is_broken_stream(),
        "empty-utsname",
        "the header does not name the kernel, as in QEMU's files: drgn refuses the file, libkdumpfile gives only its pages; a conversion fills in the name",
    );
    remarks.add(
        header.status & DUMP_DH_EXCLUDED_VMEMMAP != 0,
        "excluded-vmemmap",
        "struct pages of pages that are not in the dump were excluded (--exclude vmemmap, makedumpfile -e): programs that walk all of them fail",
    );
    let page_size = dump.vmcoreinfo().and_then(Vmcoreinfo::page_size);
    let block_size = kdump.blocks.size;
    if let Some(page_size) = page_size.filter(|page_size| *page_size != block_size.bytes()) {
        let text = format!(
            "blocks of {block_size} bytes, but PAGESIZE={page_size}: libkdumpfile and drgn cannot decode it; a conversion makes a block of each page",
        );
        remarks.add(true, "page-size", text);
    }
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
        "the sub header has this architecture's padding: libkdumpfile 0.5.1 takes it for i386's, newer versions identify it by VMCOREINFO",
    );
    remarks.add(
        dump.arch().counts_pfns_from_phys_base(),
        "arm-pfn-origin",
        "32-bit arm: crash and makedumpfile count pages from the start of memory, libkdumpfile, drgn and QEMU from 0; one of them sees the dump shifted",
    );
}

fn of_kernel(dump: &Dump, remarks: &mut Remarks) {
    remarks.add(
        dump.is_encrypted(),
        "secure-execution",
        if dump.elf().is_some() {
            "the memory of a protected guest of s390x (Secure Execution): it is encrypted, and no other file can carry what decrypts it"
        } else {
            "the memory of a protected guest of s390x (Secure Execution): it is encrypted, and this file lacks what decrypts it"
        },
    );
    let has_info = dump.vmcoreinfo().is_some();
    remarks.add(
        !has_info,
        "no-vmcoreinfo",
        "no VMCOREINFO: drgn cannot open it, makedumpfile cannot filter it, and the log cannot be found",
    );
    remarks.add(
        !has_info && dump.notes().bytes == 0,
        "no-notes",
        "no notes at all: crash cannot open it",
    );
    remarks.add(
        dump.notes().cpus == 0,
        "no-registers",
        "no CPU's registers (PRSTATUS notes): running tasks have no stack traces",
    );
    let order = dump.layout().byte_order();
    remarks.add(
        order == ByteOrder::Big || !matches!(dump.layout(), StructLayout::Bits64(_)),
        "foreign-host",
        "crash must be built for this word size and byte order; libkdumpfile and drgn read it anywhere",
    );
}
