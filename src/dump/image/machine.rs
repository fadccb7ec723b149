//! Which machine an image is of: the VMCOREINFO in its memory tells, once memory proves it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::dump::image::{Image, ImageLayout, ImageRange, Machine, view};
use crate::dump::physical::DumpMemory;
use crate::dump::search::{SearchScope, VmcoreinfoCandidates, VmcoreinfoFound, find_vmcoreinfo};
use crate::dump::{Dump, OpenOptions, elf};
use crate::error::{Error, Result};
use crate::format::wire::ByteOrder::{Big, Little};
use crate::input::RandomInput;
use crate::kernel::arch::Architecture;
use crate::kernel::mem_map::{MemMap, granularity};
use crate::kernel::proof::{Proof, prove};
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::utsname;
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::ranges::{count, merge, without};
use crate::pages::{
    FileOffset, PageGrid, PageSize, Pfn, PfnRange, PhysAddr, PhysRange, Position, Span,
};
use crate::progress::Progress;

/// The machine of an image before anything is known of it. Most VMCOREINFOs tell the architecture to
/// a reader that knows the width and the byte order.
const UNKNOWN: Machine =
    Machine { arch: Architecture::Other { machine: 0, is_64bit: true }, order: Little };

/// The machines whose page tables this crate can walk, and so prove a VMCOREINFO.
const KNOWN: [Machine; 10] = [
    UNKNOWN,
    Machine { arch: Architecture::X86_64, order: Little },
    Machine { arch: Architecture::Aarch64, order: Little },
    Machine { arch: Architecture::Riscv64, order: Little },
    Machine { arch: Architecture::S390x, order: Big },
    Machine { arch: Architecture::Ppc64, order: Little },
    Machine { arch: Architecture::Ppc64, order: Big },
    Machine { arch: Architecture::LoongArch64, order: Little },
    Machine { arch: Architecture::I386, order: Little },
    Machine { arch: Architecture::Arm, order: Little },
];

/// Items of VMCOREINFO that say where RAM begins.
const RAM_START: [&str; 2] = ["PHYS_OFFSET", "phys_ram_base"];

/// What was found out about an image.
pub(super) struct Found {
    /// Where in memory its bytes belong.
    pub layout: ImageLayout,
    /// The machine, if VMCOREINFO tells it.
    pub machine: Option<Machine>,
    /// The VMCOREINFO, and whether memory proves it.
    pub vmcoreinfo: Option<(Vec<u8>, Proof)>,
}

/// The search for the machine of an image.
pub(super) struct Search<'a> {
    image: &'a Image,
    bytes: &'a Arc<RandomInput>,
    options: &'a OpenOptions,
    /// The machines to try.
    machines: Vec<Machine>,
}

/// A text that looks like a VMCOREINFO, and where in the image it begins, if it was found there.
struct Text {
    bytes: Vec<u8>,
    place: Option<FileOffset>,
}

impl<'a> Search<'a> {
    /// A search in `image`, whose bytes are `bytes`. The machine of `options` is tried alone, that of
    /// the image first: it may be one in which a CPU has not yet begun to run the kernel.
    pub(super) fn new(
        image: &'a Image,
        bytes: &'a Arc<RandomInput>,
        options: &'a OpenOptions,
    ) -> Self {
        let machines = match options.machine {
            Some(machine) => vec![machine],
            None => image.machine.into_iter().chain(KNOWN).collect(),
        };
        Search { image, bytes, options, machines }
    }

    /// Searches memory for a VMCOREINFO that it proves, in one of the layouts.
    ///
    /// # Errors
    /// [`Error::UnknownPlace`] if nothing tells which of several layouts it is; as [`elf::open`].
    pub(super) fn run(
        &self,
        cancel: &AtomicBool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Found> {
        let first = self.layouts(&[]).into_iter().next().map(|(_, layout)| layout);
        let first = first.unwrap_or_default();
        let machine = self.machines.first().copied().unwrap_or(UNKNOWN);
        let dump = self.dump(&first, machine)?;
        let (texts, found) = match &self.options.vmcoreinfo {
            Some(given) => (vec![Text { bytes: given.clone(), place: None }], None),
            None => {
                let scope = SearchScope::FirstProved;
                let found = find_vmcoreinfo(&dump, scope, cancel, progress)?;
                (self.texts(&found, &first), found.best().cloned())
            }
        };
        if let Some(proved) = self.prove(&texts, cancel)? {
            return Ok(proved);
        }
        let has_likeliest = !self.image.layouts.is_empty() || self.layouts(&texts).len() == 1;
        if self.image.is_guessed || !has_likeliest {
            return Err(Error::UnknownPlace { image: self.image.kind.to_string() });
        }
        Ok(match found {
            Some(best) => Found::with(first, &dump, best.text, best.proof),
            None => Found::nothing(first),
        })
    }

    /// The image in one layout, as a dump of `machine`.
    fn dump(&self, layout: &ImageLayout, machine: Machine) -> Result<Dump> {
        let core = view::core(self.bytes, layout, machine, &[])?;
        let page_size = self.options.page_size.or(PageSize::new(PageSize::MIN.bytes()));
        elf::open(core.into(), &OpenOptions::default().page_size(page_size).encrypted(true))
    }

    /// The texts of the search, with their places in the image.
    fn texts(&self, found: &VmcoreinfoCandidates, layout: &ImageLayout) -> Vec<Text> {
        let place = |paddr: PhysAddr| {
            let range = layout.iter().find(|range| range.addresses.contains(paddr))?;
            Some(range.offset + (paddr - range.addresses.start))
        };
        let text =
            |found: &VmcoreinfoFound| Text { bytes: found.text.clone(), place: place(found.paddr) };
        found.list.iter().map(text).collect()
    }

    /// The layout and machine in which memory proves one of the texts. Of several layouts, the one
    /// that the kernel's own map of memory agrees with: a text is also proved where the parts of
    /// memory above it are in the wrong places.
    fn prove(&self, texts: &[Text], cancel: &AtomicBool) -> Result<Option<Found>> {
        if texts.is_empty() {
            return Ok(None);
        }
        let layouts = self.layouts(texts);
        let end = layouts.iter().flat_map(|(_, layout)| layout).map(|range| range.addresses.end);
        let end = end.max().unwrap_or_default();
        let infos = texts.iter().map(|text| (text, Vmcoreinfo::parse(&text.bytes)));
        let infos: Vec<(&Text, Vmcoreinfo)> = infos.collect();
        let mut proved = Vec::new();
        for (arch, layout) in &layouts {
            for machine in &self.machines {
                let dump = self.dump(layout, *machine)?;
                let memory = DumpMemory::new(&dump)?;
                let text = infos.iter().find(|(_, info)| {
                    let kernel = memory.kernel_by(info);
                    arch.is_none_or(|arch| arch == kernel.arch)
                        && prove(&kernel).is_proved()
                        && names_its_machine(&kernel)
                });
                let Some((text, info)) = text else { continue };
                let fit = match &*layouts {
                    [_] => Fit::Differs(0),
                    _ => Fit::of(layout, &memory.kernel_by(info), end),
                };
                if fit != Fit::Elsewhere {
                    let text = longer(&dump, layout, text, cancel)?;
                    let found = Found::with(layout.clone(), &dump, text, Proof::Proved);
                    proved.push((fit, found));
                }
                break;
            }
        }
        // Some kernels are proved at any place.
        let is_certain = |fit: &Fit| matches!(fit, Fit::Differs(_)) || proved.len() == 1;
        let best = proved.iter().map(|(fit, _)| *fit).min().filter(is_certain);
        Ok(proved.into_iter().find(|(fit, _)| Some(*fit) == best).map(|(_, found)| found))
    }

    /// All layouts to try, with the architecture whose machines alone have it.
    fn layouts(&self, texts: &[Text]) -> Vec<(Option<Architecture>, ImageLayout)> {
        let Image { layouts, layouts_of, .. } = self.image;
        let moved = texts.iter().filter_map(|text| self.moved(text));
        let any = layouts.iter().cloned().chain(moved).map(|layout| (None, layout));
        let known = self.options.machine.map(|machine| machine.arch);
        let of_one = layouts_of.iter().filter(|(arch, _)| known.is_none_or(|known| known == *arch));
        let of_one = of_one.map(|(arch, layout)| (Some(*arch), layout.clone()));
        let mut all: Vec<(Option<Architecture>, ImageLayout)> = Vec::new();
        for candidate in any.chain(of_one) {
            // Small machines have no memory after their holes.
            if all.iter().all(|(_, layout)| *layout != candidate.1) {
                all.push(candidate);
            }
        }
        all
    }

    /// The layout that begins where a text says that RAM begins, if the image may be anywhere.
    fn moved(&self, text: &Text) -> Option<ImageLayout> {
        let info = Vmcoreinfo::parse(&text.bytes);
        let start = RAM_START.into_iter().find_map(|item| info.number(item));
        let start = PhysAddr::new(start.filter(|_| self.image.is_guessed)?);
        let moved = |range: &ImageRange| {
            let (from, to) = (range.addresses.start, range.addresses.end);
            let shift = |address: PhysAddr| start.checked_add(address.get());
            Some(ImageRange { addresses: Span::new(shift(from)?, shift(to)?), ..*range })
        };
        self.image.layouts.first()?.iter().map(moved).collect()
    }
}

impl Found {
    fn nothing(layout: ImageLayout) -> Self {
        Found { layout, machine: None, vmcoreinfo: None }
    }

    fn with(layout: ImageLayout, dump: &Dump, text: Vec<u8>, proof: Proof) -> Self {
        let order = dump.layout().byte_order();
        let arch = dump.arch_by(&Vmcoreinfo::parse(&text));
        let machine = arch.map(|arch| Machine { arch, order });
        Found { layout, machine, vmcoreinfo: Some((text, proof)) }
    }
}

/// The text that begins where `text` does: it may go on in further pages, as far as its kernel is known.
fn longer(dump: &Dump, layout: &ImageLayout, text: &Text, cancel: &AtomicBool) -> Result<Vec<u8>> {
    let paddr = text.place.and_then(|place| address(layout, place));
    let Some((pfn, _)) = paddr.and_then(|paddr| dump.grid().locate(paddr)) else {
        return Ok(text.bytes.clone());
    };
    let found = find_vmcoreinfo(dump, SearchScope::Page(pfn), cancel, &mut |_| ())?;
    let proved = found.list.into_iter().find(|found| found.proof.is_proved());
    Ok(proved.map_or_else(|| text.bytes.clone(), |found| found.text))
}

/// How a layout fits the kernel's own map of memory; the least is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// The bytes of memory that either has, but not both.
    Differs(u64),
    /// The map cannot be read.
    Unknown,
    /// The map has memory that the layout does not have.
    Elsewhere,
}

impl Fit {
    /// Compares `layout` with the map of `kernel`, below `end`.
    fn of(layout: &ImageLayout, kernel: &Kernel<'_>, end: PhysAddr) -> Self {
        let map = mapped(layout, kernel, end).zip(granularity(kernel));
        let Some((mapped, section)) = map else { return Fit::Unknown };
        let present = merge(layout.iter().map(|range| range.addresses).collect());
        // A section with any memory has struct pages for all of it.
        let whole = |range: &PhysRange| {
            let (start, end) = (range.start.get(), range.end.get());
            let end = end.checked_next_multiple_of(section).unwrap_or(u64::MAX);
            Span::new(PhysAddr::new(start - start % section), PhysAddr::new(end))
        };
        let sections = merge(present.iter().map(whole).collect());
        if !without(mapped.clone(), &sections).is_empty() {
            return Fit::Elsewhere;
        }
        let absent = count(&without(mapped.clone(), &present));
        Fit::Differs(absent + count(&without(present, &mapped)))
    }
}

/// The memory below `end` that the map of `kernel` has; `None` if it cannot be read.
pub(super) fn mapped(
    layout: &ImageLayout,
    kernel: &Kernel<'_>,
    end: PhysAddr,
) -> Option<Vec<PhysRange>> {
    let translator = Translator::new(kernel).ok()?;
    let grid = PageGrid::new(PhysAddr::ZERO, PageSize::new(kernel.page_size)?);
    let struct_bytes = kernel.info.size("page")?;
    let find = |runs: Vec<PfnRange>| {
        MemMap::find(kernel, &translator, struct_bytes, &mut runs.into_iter()).ok()
    };
    // An array of sections may end with memory.
    let all = PfnRange::new(Pfn::ZERO, grid.locate(end)?.0);
    let own = || grid.runs_touched(layout.iter().map(|range| range.addresses));
    let map = find(vec![all]).or_else(|| find(own()))?;
    let address = |pfn: Pfn| grid.address_of(pfn.saturating_add(kernel.pages_before));
    let ranges = map.runs.iter().map(|run| (address(run.pfns.start), address(run.pfns.end)));
    Some(merge(ranges.map(|(start, end)| PhysRange::new(start, end)).collect()))
}

/// Whether the kernel's name is that of its architecture. Some machines differ so little in where they
/// have the name that the page tables of one seem to prove the VMCOREINFO of another.
fn names_its_machine(kernel: &Kernel<'_>) -> bool {
    let Kernel { arch, info, phys_base, segments, memory, .. } = *kernel;
    let name = utsname::in_memory(arch, info, phys_base, segments, memory);
    let named = name.and_then(|name| Architecture::of_uts_machine(&name.machine));
    named.is_none_or(|named| named == arch)
}

/// The address of the byte at `place` of an image.
fn address(layout: &ImageLayout, place: FileOffset) -> Option<PhysAddr> {
    let at = |range: &ImageRange| {
        let skip = place.checked_sub(range.offset).filter(|skip| *skip < range.addresses.len())?;
        range.addresses.start.checked_add(skip)
    };
    layout.iter().find_map(at)
}
