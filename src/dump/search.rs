//! Finds VMCOREINFO in a dump's memory. Dumps of QEMU guests without a vmcoreinfo device lack the note.
//!
//! The kernel stores the text at the start of a page (`vmcoreinfo_data` in kernel/vmcore_info.c,
//! before 6.9 in kernel/crash_core.c). The text begins with OSRELEASE=.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::dump::Dump;
use crate::dump::physical::DumpMemory;
use crate::dump::reader::PageReader;
use crate::error::Result;
use crate::format::kdump::NewUtsname;
use crate::kernel::physical::PhysicalMemory;
use crate::kernel::utsname;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{Pfn, PfnRange};
use crate::progress::{Progress, Stage};

const FIRST_LINE: &[u8] = b"OSRELEASE=";

/// The smallest page size of any kernel. The text does not cross a page boundary.
const MIN_PAGE_BYTES: usize = 4096;

/// Maximum pages that are loaded at a time.
const BATCH_PAGES: u64 = 128;

/// A VMCOREINFO that was found in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VmcoreinfoFound {
    /// Its text.
    pub text: Vec<u8>,
    /// The page that contains it.
    pub pfn: Pfn,
    /// Whether the text is proven to be this kernel's: at the address that it gives for the kernel's
    /// name, memory contains that name, with the same release.
    pub is_proven: bool,
}

/// Searches the start of every page of the dump for a VMCOREINFO. Returns the first that is
/// [proven](VmcoreinfoFound::is_proven), or else the first of all. Stops when `cancel` is set.
///
/// # Errors
/// [`crate::Error::Codec`] if a codec cannot start. Unreadable pages are skipped.
pub fn find_vmcoreinfo(
    dump: &Dump,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<VmcoreinfoFound>> {
    let memory = DumpMemory::new(dump)?;
    let mut reader = PageReader::new(dump)?;
    let mut first: Option<VmcoreinfoFound> = None;
    let (mut done, (_, total)) = (0, dump.counts());
    let page_bytes = dump.page_size().bytes();
    for run in dump.kept() {
        let mut rest = run;
        while !rest.is_empty() && !cancel.load(Ordering::Relaxed) {
            let batch = PfnRange::of(rest.start, rest.len().min(BATCH_PAGES));
            let (pages, decoder) = reader.load(&[batch]);
            for (pfn, page) in pages {
                let Ok(block) = page.map_err(Clone::clone).and_then(|page| decoder.plain(page))
                else {
                    continue;
                };
                // A block of a kdump file may contain several pages of the kernel.
                for text in block.chunks(MIN_PAGE_BYTES).filter_map(text_of) {
                    let is_proven = is_proven(dump, &memory, &Vmcoreinfo::parse(text));
                    let found = VmcoreinfoFound { text: text.to_vec(), pfn, is_proven };
                    if is_proven {
                        return Ok(Some(found));
                    }
                    first.get_or_insert(found);
                }
            }
            done += batch.len();
            progress(Progress::of_pages(Stage::Searching, done, total, page_bytes));
            rest.start = batch.end;
        }
    }
    Ok(first)
}

/// The text at the start of a page, if it looks like VMCOREINFO.
fn text_of(page: &[u8]) -> Option<&[u8]> {
    if !page.starts_with(FIRST_LINE) {
        return None;
    }
    let end = page.iter().position(|&byte| byte == 0).unwrap_or(page.len());
    let text = page.get(..end)?;
    let has = |key: &[u8]| text.windows(key.len()).any(|window| window == key);
    let is_text = text.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    (is_text && has(b"\nPAGESIZE=") && has(b"\nSYMBOL(")).then_some(text)
}

/// Whether memory contains the kernel's name at the address that the text gives for `init_uts_ns`.
fn is_proven(dump: &Dump, memory: &DumpMemory<'_>, info: &Vmcoreinfo) -> bool {
    utsname::candidates(dump.arch, info, dump.phys_base, dump.segments()).into_iter().any(|paddr| {
        let mut bytes = [0; NewUtsname::BYTES];
        memory.read_physical(paddr, &mut bytes).is_ok()
            && utsname::recognise(&bytes, info).is_some()
    })
}
