//! Finds VMCOREINFO in a dump's memory. Dumps of QEMU guests without a vmcoreinfo device lack the note.
//!
//! The kernel stores the text at the start of a page (`vmcoreinfo_data` in kernel/vmcore_info.c,
//! before 6.9 in kernel/crash_core.c). The text begins with OSRELEASE=. A page may also have the text
//! of an earlier boot, of a guest of this machine, or a copy that a program made: memory has to prove
//! each.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::dump::Dump;
use crate::dump::long_text::{MAX_TEXT_BYTES, next_pages};
use crate::dump::physical::DumpMemory;
use crate::dump::reader::PageReader;
use crate::error::Result;
use crate::kernel::physical::PhysicalMemory;
use crate::kernel::proof::{Proof, prove};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{PageGrid, PageSize, Pfn, PfnRange, PhysAddr, Position};
use crate::progress::{Progress, Stage};

const FIRST_LINE: &[u8] = b"OSRELEASE=";

/// Maximum pages that are loaded at a time.
const BATCH_PAGES: u64 = 128;

/// Maximum candidates that are listed. A memory may be full of copies.
const MAX_LISTED: usize = 64;

/// Maximum candidates whose page is full, and whose next pages are looked for.
const MAX_LONG: usize = 8;

/// Maximum texts that are compared with the memory.
const MAX_PROOFS: u64 = 1 << 20;

/// Maximum looks at segments while texts are compared: each text looks at all of them.
const MAX_LOOKS: u64 = 1 << 28;

/// A VMCOREINFO that was found in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VmcoreinfoFound {
    /// Its text.
    pub text: Vec<u8>,
    /// The page that contains its first byte, counted in pages of the size that the text gives.
    pub pfn: Pfn,
    /// The physical address of its first byte.
    pub paddr: PhysAddr,
    /// Whether memory proves that it describes this kernel: by the phys_base, the addresses and the
    /// release of the text itself.
    pub proof: Proof,
}

/// The texts in memory that look like a VMCOREINFO.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VmcoreinfoCandidates {
    /// The texts in ascending order of their pages, 64 at most. The last of 64 is the first that is
    /// proved, if none before it is.
    pub list: Vec<VmcoreinfoFound>,
    /// How many more there are.
    pub more: u64,
}

impl VmcoreinfoCandidates {
    /// The first that is proved, or else the first that is not contradicted.
    #[must_use]
    pub fn best(&self) -> Option<&VmcoreinfoFound> {
        let proved = self.list.iter().find(|found| found.proof.is_proved());
        proved.or_else(|| self.list.iter().find(|found| !found.proof.is_contradicted()))
    }

    fn is_proved(&self) -> bool {
        self.list.iter().any(|found| found.proof.is_proved())
    }

    fn add(&mut self, found: VmcoreinfoFound) {
        let is_first_proof = found.proof.is_proved() && !self.is_proved();
        if self.list.len() >= MAX_LISTED {
            self.more += 1;
            if !is_first_proof {
                return;
            }
            self.list.pop();
        }
        self.list.push(found);
    }
}

/// How far to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchScope {
    /// Up to the first text that is proved.
    FirstProved,
    /// All of memory.
    All,
    /// The text with this [`pfn`](VmcoreinfoFound::pfn) alone.
    Page(Pfn),
}

/// Searches the start of every page of the dump for a VMCOREINFO. Stops when `cancel` is set.
///
/// # Errors
/// [`crate::Error::Codec`] if a codec cannot start. Unreadable pages are skipped.
pub fn find_vmcoreinfo(
    dump: &Dump,
    scope: SearchScope,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(Progress),
) -> Result<VmcoreinfoCandidates> {
    let memory = DumpMemory::new(dump)?;
    let mut reader = PageReader::new(dump)?;
    let found = VmcoreinfoCandidates::default();
    let segments = dump.segments().len().max(1) as u64;
    let proofs_left = MAX_PROOFS.min(MAX_LOOKS / segments);
    let mut search = Search { dump, memory: &memory, found, long: 0, proofs_left };
    if let SearchScope::Page(pfn) = scope {
        search.look_in_page(pfn);
        return Ok(search.found);
    }
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
                let is_proved = search.look(dump.grid().address_of(pfn), block);
                if is_proved && scope == SearchScope::FirstProved {
                    return Ok(search.found);
                }
            }
            done += batch.len();
            progress(Progress::of_pages(Stage::Searching, done, total, page_bytes));
            rest.start = batch.end;
        }
    }
    Ok(search.found)
}

struct Search<'a> {
    dump: &'a Dump,
    memory: &'a DumpMemory<'a>,
    found: VmcoreinfoCandidates,
    /// Texts whose next pages were looked for.
    long: usize,
    /// How many more texts are compared with the memory.
    proofs_left: u64,
}

impl Search<'_> {
    /// Looks for texts in a block, which is at `paddr`. Returns whether one is proved.
    fn look(&mut self, paddr: PhysAddr, block: &[u8]) -> bool {
        // A block of a kdump file may contain several pages of the kernel.
        for at in (0..block.len()).step_by(PageSize::MIN.in_memory()) {
            let Some(start) = block.get(at..).filter(|start| start.starts_with(FIRST_LINE)) else {
                continue;
            };
            let Some(place) = paddr.checked_add(at as u64) else { continue };
            if let Some(found) = self.candidate(place, start) {
                self.found.add(found);
            }
        }
        self.found.is_proved()
    }

    /// Looks for a text in page `pfn`, of whatever size its pages have.
    fn look_in_page(&mut self, pfn: Pfn) {
        let sizes = (0..u64::BITS).filter_map(|bits| PageSize::new(1 << bits));
        for size in sizes {
            let place = PageGrid::new(self.dump.grid().origin(), size).address_of(pfn);
            let read = |bytes: usize| {
                let mut page = vec![0; bytes];
                self.memory.read_physical(place, &mut page).ok().map(|()| page)
            };
            // The end of a large page may be missing.
            let page = read(size.in_memory()).or_else(|| read(PageSize::MIN.in_memory()));
            let Some(page) = page.filter(|page| page.starts_with(FIRST_LINE)) else { continue };
            let found = self.candidate(place, &page);
            found
                .filter(|found| found.pfn == pfn)
                .into_iter()
                .for_each(|found| self.found.add(found));
        }
    }

    /// The text that begins at `paddr`, with `start`, and its proof.
    fn candidate(&mut self, paddr: PhysAddr, start: &[u8]) -> Option<VmcoreinfoFound> {
        let (text, proof) = self.text(paddr, start)?;
        let size = Vmcoreinfo::parse(&text).page_size().and_then(PageSize::new);
        let grid = PageGrid::new(self.dump.grid().origin(), size.unwrap_or(self.dump.page_size()));
        let (pfn, _) = grid.locate(paddr)?;
        Some(VmcoreinfoFound { text, pfn, paddr, proof })
    }

    fn text(&mut self, paddr: PhysAddr, start: &[u8]) -> Option<(Vec<u8>, Proof)> {
        let limit = start.len().min(MAX_TEXT_BYTES);
        let (start, _) = start.split_at(limit);
        if let Some(end) = start.iter().position(|&byte| byte == 0) {
            let text = start.get(..end).filter(|text| is_vmcoreinfo(text))?;
            return Some((text.to_vec(), self.prove(text)));
        }
        // The page is full: whole lines of it, unless memory proves that the text goes on.
        let end = start.iter().rposition(|&byte| byte == b'\n')?;
        let cut = start.get(..=end).filter(|text| is_vmcoreinfo(text))?;
        let proof = self.prove(cut);
        if self.long < MAX_LONG || proof.is_proved() && !self.found.is_proved() {
            self.long += 1;
            let info = Vmcoreinfo::parse(cut);
            let kernel = self.memory.kernel_by(&info);
            for text in next_pages(&kernel, &proof, paddr, start) {
                if is_vmcoreinfo(&text) && self.prove(&text).is_proved() {
                    return Some((text, Proof::Proved));
                }
            }
        }
        Some((cut.to_vec(), proof))
    }

    fn prove(&mut self, text: &[u8]) -> Proof {
        if self.proofs_left == 0 {
            return Proof::Unprovable("too many texts were compared with the memory".to_owned());
        }
        self.proofs_left -= 1;
        prove(&self.memory.kernel_by(&Vmcoreinfo::parse(text)))
    }
}

/// Whether a text looks like VMCOREINFO: lines of ASCII, each with a key and a value.
fn is_vmcoreinfo(text: &[u8]) -> bool {
    let has = |key: &[u8]| text.windows(key.len()).any(|window| window == key);
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let is_line = |line: &[u8]| line.is_empty() || line.contains(&b'=');
    text.iter().all(is_text)
        && text.split(|&byte| byte == b'\n').all(is_line)
        && has(b"\nPAGESIZE=")
        && has(b"\nSYMBOL(")
}
