//! Which pages are kept: what the kernel's own struct pages say of each.
//!
//! ```text
//! VMCOREINFO --> struct_page::StructPageFormat, mem_map --> scan (in parallel): each struct page to its class
//!            --> evidence: does a class contradict itself, or claim what cannot be? then without it
//!            --> Selection: the pages left out, the census of all of them
//! ```

mod census;
mod class;
mod classes;
mod evidence;
mod mask;
mod own;
mod rules;
mod scan;
mod struct_pages;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::dump::physical::DumpMemory;
use crate::dump::{Dump, Runs};
use crate::error::{Error, Result, chain};
use crate::format::dump_level::DumpLevel;
use crate::format::kdump::NewUtsname;
use crate::kernel::mem_map::MemMap;
use crate::kernel::nodes;
use crate::kernel::physical::PhysicalMemory;
use crate::kernel::struct_page::StructPageFormat;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::utsname;
use crate::pages::page_set::PageSet;
use crate::pages::{PhysAddr, Position};
use own::Own;
use rules::Rules;
use scan::{Counts, Subject};
use struct_pages::StructPages;

pub use census::{Census, Share};
pub use class::Class;

/// Of the struct pages, one in so many may be unreadable before the others are not trusted either.
const MAX_SHARE_UNREADABLE: u64 = 4;

/// Of the pages of a dump, one in so many may have no struct page before that is worth a warning.
const MAX_SHARE_WITHOUT: u64 = 16;

/// What is to be left out, and how to find it.
#[derive(Debug, Clone, Default)]
pub struct SelectRequest {
    /// What is to be left out; poisoned and offline pages are at every level.
    pub level: DumpLevel,
    /// Threads, the caller's included; 0 is 1. The result does not depend on their number.
    pub threads: usize,
    /// Set from elsewhere to stop; nothing is left out then.
    pub cancel: Arc<AtomicBool>,
}

/// Which pages are left out of a dump.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The pages that are left out.
    pub excluded: PageSet,
    /// Pages by class, whether left out or not.
    pub census: Census,
    /// What of the asked level could be honoured.
    pub level: DumpLevel,
    /// What the user should know: which class is off, and why.
    pub warnings: Vec<String>,
}

impl Selection {
    /// The runs of pages of `dump` that are kept.
    #[must_use]
    pub fn kept<'a>(&'a self, dump: &'a Dump) -> Runs<'a> {
        if self.excluded.count() == 0 {
            return dump.kept();
        }
        Box::new(dump.kept().flat_map(|run| self.excluded.gaps_within(run)))
    }

    /// A selection of nothing, as no class can be told.
    fn nothing(dump: &Dump, level: DumpLevel, why: &str) -> Self {
        let off = |class| Share { class, pages: 0, excluded: 0, off: Some(why.to_owned()) };
        let (_, pages) = dump.counts();
        let census = Census {
            shares: Class::ALL.map(off).to_vec(),
            unknown: pages,
            pages,
            ..Census::default()
        };
        Selection::new(PageSet::default(), census, level, &[])
    }

    /// Of the classes that are off, `distrusted` are those whose evidence contradicts itself.
    fn new(excluded: PageSet, census: Census, asked: DumpLevel, distrusted: &[Class]) -> Self {
        let is_missed = |share: &Share| {
            let class = share.class;
            // Where nothing can be told, nobody asked for those that go at every level.
            let matters = class.level_bit().is_some() || distrusted.contains(&class);
            share.off.is_some() && matters && class.is_excluded_by(asked)
        };
        let missed = census.shares.iter().filter(|share| is_missed(share));
        let bits = missed.filter_map(|share| share.class.level_bit());
        let level = asked.without(bits.fold(0, |bits, bit| bits | bit));
        let warnings = census
            .reasons(is_missed)
            .into_iter()
            .map(|(names, why)| format!("{} pages are all kept: {why}", names.join(", ")));
        Selection { excluded, level, warnings: warnings.collect(), census }
    }
}

/// Finds out what each page of `dump` is, and which are left out.
///
/// What cannot be proven stays in: a class that cannot be told, or whose evidence contradicts
/// itself, is off, which [`Census`] and the warnings say.
///
/// # Errors
/// [`crate::Error::Codec`] when a codec of a kdump file cannot start.
pub fn select(dump: &Dump, request: &SelectRequest) -> Result<Selection> {
    if dump.is_sequential() {
        let why = "the kernel's tables cannot be read from a pipe, or from a packed file";
        return Ok(Selection::nothing(dump, request.level, why));
    }
    let memories =
        (0..request.threads.max(1)).map(|_| DumpMemory::new(dump)).collect::<Result<Vec<_>>>()?;
    let found = memories.first().map(|memory| find(dump, memory, &memories, request));
    let mut selection = match found {
        Some(Ok(selection)) => selection,
        Some(Err(why)) => Selection::nothing(dump, request.level, &why),
        None => Selection::default(),
    };
    if request.cancel.load(Ordering::Relaxed) {
        // Whoever asked to stop knows why.
        selection.warnings.clear();
    }
    Ok(selection)
}

/// The same with the dump's memory at hand, `memories` are one a thread.
fn find(
    dump: &Dump,
    memory: &DumpMemory<'_>,
    memories: &[DumpMemory<'_>],
    request: &SelectRequest,
) -> Result<Selection, String> {
    let kernel = memory.kernel().ok_or("the dump has no VMCOREINFO")?;
    if kernel.page_size != dump.page_size() {
        let (block, page) = (dump.page_size(), kernel.page_size);
        return Err(format!("the dump counts in blocks of {block} bytes, the kernel in {page}"));
    }
    if dump.origin() != PhysAddr::ZERO {
        return Err("the dump does not count its pages from physical address 0".to_owned());
    }
    if dump.notes().of_xen {
        return Err("the memory is Xen's, where struct pages count otherwise".to_owned());
    }
    let format = StructPageFormat::of(&kernel).map_err(|why| chain(&why))?;
    let translator = Translator::new(&kernel).map_err(|why| chain(&why))?;
    let map = MemMap::find(&kernel, &translator, format.size as u64, &mut dump.known())
        .map_err(|why| chain(&why))?;
    let pages = StructPages::locate(&map, &translator, &mut dump.known(), &request.cancel)?;
    let own = Own::find(&kernel, &translator, &pages)?;
    check_release(&kernel, &translator)?;
    let zones = zones_free_pages(&kernel, &translator);
    let mut rules = Rules::new(kernel.info, &format, request.level);
    let memories: Vec<&(dyn PhysicalMemory + Sync)> =
        memories.iter().map(|memory| memory as &(dyn PhysicalMemory + Sync)).collect();
    let mut distrusted = Vec::new();
    loop {
        let subject = Subject { dump, format: &format, pages: &pages, own: &own, rules: &rules };
        let Some((excluded, counts)) = scan::scan(subject, &memories, &request.cancel) else {
            return Err("interrupted".to_owned());
        };
        // What the dump lacks, nobody finds.
        let is_whole = counts.unreadable == 0 && dump.missing().is_empty() && !dump.is_incomplete();
        let told = zones.filter(|_| is_whole && rules.off(Class::Free).is_none());
        let in_map = counts.looked_at + counts.unreadable;
        if counts.unreadable > in_map / MAX_SHARE_UNREADABLE {
            return Err(format!(
                "the struct pages of {} of {in_map} pages cannot be read",
                counts.unreadable
            ));
        }
        let mut contradictions = counts.evidence.contradictions(told);
        contradictions.retain(|(class, _)| rules.off(*class).is_none());
        if contradictions.is_empty() {
            let census = census(dump, &rules, &counts);
            let mut selection = Selection::new(excluded, census, request.level, &distrusted);
            selection.warnings.extend(doubts(&selection, &counts, told));
            return Ok(selection);
        }
        // Once more without them: what they had may be of another class.
        for (class, why) in contradictions {
            rules.switch_off(class, why);
            distrusted.push(class);
        }
    }
}

/// Looks whether VMCOREINFO is of this kernel: the memory has its release as well.
fn check_release(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Result<(), String> {
    let name = utsname::address(kernel.info);
    let mut bytes = [0; NewUtsname::BYTES];
    let is_read = name.is_some_and(|vaddr| translator.read(vaddr, &mut bytes).is_ok());
    if !is_read || utsname::recognise(&bytes, kernel.info).is_some() {
        return Ok(());
    }
    let release = kernel.info.get("OSRELEASE").unwrap_or_default();
    Err(format!(
        "VMCOREINFO is of a kernel {release}, which is not the name that this memory has where it says"
    ))
}

/// Free pages as the zones count them, where all of them can be read.
fn zones_free_pages(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Option<u64> {
    let nodes = nodes::nodes(kernel, translator).ok()?;
    nodes.iter().try_fold(0u64, |sum, node| sum.checked_add(node.free_pages?))
}

fn census(dump: &Dump, rules: &Rules, counts: &Counts) -> Census {
    let (_, pages) = dump.counts();
    let shares = Class::ALL.map(|class| Share {
        class,
        pages: counts.pages[class],
        excluded: counts.excluded[class],
        off: rules.off(class).map(str::to_owned),
    });
    Census {
        shares: shares.to_vec(),
        struct_pages: counts.looked_at,
        unknown: pages.saturating_sub(counts.looked_at),
        pages,
    }
}

/// What speaks against a selection that is made all the same.
fn doubts(selection: &Selection, counts: &Counts, zones: Option<u64>) -> Vec<String> {
    if !selection.level.leaves_out_classes() {
        return Vec::new();
    }
    let mut doubts = Vec::new();
    let census = &selection.census;
    if counts.unreadable > 0 {
        doubts.push(format!(
            "{} of {} pages are kept, as their struct pages cannot be read",
            counts.unreadable, census.pages
        ));
    }
    // Firmware has none, nor has what the kernel was told not to use.
    let without = census.unknown.saturating_sub(counts.unreadable);
    if without.saturating_mul(MAX_SHARE_WITHOUT) > census.pages {
        let pages = census.pages;
        doubts.push(format!("{without} of {pages} pages are kept, as they have no struct page"));
    }
    doubts.extend(zones.and_then(|zones| counts.evidence.missing_free(zones)));
    doubts
}

/// As [`select`], but if `strict`, what is not proven or contradicts itself is an error.
///
/// # Errors
/// As [`select`], and [`Error::NotProven`].
pub(crate) fn as_asked(dump: &Dump, request: &SelectRequest, strict: bool) -> Result<Selection> {
    let selection = select(dump, request)?;
    let is_cancelled = request.cancel.load(Ordering::Relaxed);
    match selection.warnings.first().filter(|_| strict && !is_cancelled) {
        Some(why) => Err(Error::NotProven(why.clone())),
        None => Ok(selection),
    }
}
