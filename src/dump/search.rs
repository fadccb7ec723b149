//! Looking for VMCOREINFO in a dump's memory: QEMU guests without a vmcoreinfo device have no note.
//!
//! The kernel keeps the text in a page of its own (`vmcoreinfo_data`, kernel/vmcore_info.c; before
//! 6.9 kernel/crash_core.c), and it begins with OSRELEASE=.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::dump::Dump;
use crate::dump::physical::DumpMemory;
use crate::dump::reader::PageReader;
use crate::error::Result;
use crate::format::kdump::NewUtsname;
use crate::kernel::physical::PhysicalMemory;
use crate::kernel::utsname;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::progress::Progress;

const FIRST_LINE: &[u8] = b"OSRELEASE=";

/// The text is in one page, and no kernel has smaller ones.
const MIN_PAGE_BYTES: usize = 4096;

/// Pages that are read at a time.
const BATCH_PAGES: u64 = 128;

/// A VMCOREINFO that was found in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its text.
    pub text: Vec<u8>,
    /// The page that it is in.
    pub pfn: u64,
    /// Whether the kernel's own name is where the text says, with the release that it says.
    pub is_proven: bool,
}

/// Looks at the start of every page that the dump has, until one holds a text that proves right,
/// or `cancel` is set; else the first that looks right is taken.
///
/// # Errors
/// [`crate::Error::Codec`] when a codec cannot start. Pages that cannot be read are passed over.
pub fn find_vmcoreinfo(
    dump: &Dump,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<Found>> {
    let memory = DumpMemory::new(dump)?;
    let mut reader = PageReader::new(dump)?;
    let page_size = usize::try_from(dump.page_size).unwrap_or(usize::MAX);
    let mut buf = Vec::new();
    let mut first: Option<Found> = None;
    let (mut done, (_, total)) = (0, dump.counts());
    for run in dump.kept() {
        let mut at = run.start;
        while at < run.end && !cancel.load(Ordering::Relaxed) {
            let batch = (run.end - at).min(BATCH_PAGES);
            buf.resize(usize::try_from(batch).unwrap_or(0) * page_size, 0);
            let mut missing = Vec::new();
            reader.read(at, &mut buf, &mut |index, _| missing.push(index));
            let readable = (0..)
                .zip(buf.chunks_exact(page_size))
                .filter(|(index, _)| !missing.contains(index));
            // A block of a kdump file may be several of the kernel's pages.
            let pages = readable.flat_map(|(index, block)| {
                block.chunks(MIN_PAGE_BYTES).map(move |page| (index, page))
            });
            for (index, page) in pages {
                let Some(text) = text_of(page) else { continue };
                let is_proven = proves_right(dump, &memory, &Vmcoreinfo::parse(text));
                let found = Found { text: text.to_vec(), pfn: at + index, is_proven };
                if is_proven {
                    return Ok(Some(found));
                }
                first.get_or_insert(found);
            }
            at += batch;
            done += batch;
            progress(Progress { done, total });
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

/// Whether `init_uts_ns` is where the text says.
fn proves_right(dump: &Dump, memory: &DumpMemory<'_>, info: &Vmcoreinfo) -> bool {
    utsname::candidates(dump.arch, info, dump.phys_base, dump.segments()).into_iter().any(|paddr| {
        let mut bytes = [0; NewUtsname::BYTES];
        memory.read_physical(paddr, &mut bytes).is_ok()
            && utsname::recognise(&bytes, info).is_some()
    })
}
