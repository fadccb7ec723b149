//! The kernel's memory nodes: which pages each has, and how many of them are free.
//!
//! ```text
//! SYMBOL(node_data) --> pglist_data *[MAX_NUMNODES], of which SYMBOL(node_online_map) has those
//!   in use; without NUMA, SYMBOL(contig_page_data) is the only pglist_data
//! pglist_data { node_zones[nr_zones], node_start_pfn, node_spanned_pages, node_mem_map, node_id }
//! zone { free_area[MAX_ORDER] }, free_area { free_list[MIGRATE_TYPES], nr_free }
//! ```
//!
//! Source: include/linux/mmzone.h; what of it VMCOREINFO has, kernel/vmcore_info.c (before 6.9
//! kernel/crash_core.c).

use crate::kernel::error::Error;
use crate::kernel::kallsyms::Kallsyms;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::vmcoreinfo::{Item, Vmcoreinfo};
use crate::pages::{Position, VirtAddr};

/// No kernel has more nodes (NODES_SHIFT is at most 10), with room for those to come.
const MAX_NODES: u64 = 4096;

/// No kernel has more zones (enum zone_type), with room for those to come.
const MAX_ZONES: u64 = 16;

/// No kernel has more orders of free blocks (MAX_ORDER), with room for those to come.
const MAX_ORDERS: u64 = 32;

/// One past the highest pfn that makes sense: 64 bits of physical address, 4 KiB pages.
const MAX_PFN: u64 = 1 << 52;

/// A memory node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its first page frame.
    pub start_pfn: u64,
    /// Page frames from there on, holes included.
    pub spanned_pages: u64,
    /// Virtual address of its array of struct pages, in kernels that have one for each node
    /// (FLATMEM, DISCONTIGMEM).
    pub mem_map: Option<VirtAddr>,
    /// Pages on its zones' lists of free blocks, by the lists' own counts, if those make sense.
    /// Exact, unlike NR_FREE_PAGES, which counts pages not accepted yet and none of isolated blocks.
    pub free_pages: Option<u64>,
}

/// The nodes that are online, in the order of their numbers.
///
/// # Errors
/// What VMCOREINFO lacks, or what could not be read or makes no sense.
pub fn nodes(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Result<Vec<Node>, Error> {
    let reader = Reader { kernel, translator, layout: Layout::of(kernel.info)? };
    let online = reader.online()?;
    online.into_iter().map(|(id, pgdat)| reader.node(id, pgdat)).collect()
}

/// Where members are.
struct Layout {
    start_pfn: u64,
    spanned_pages: u64,
    node_id: Option<u64>,
    mem_map: Option<u64>,
    zones: Option<Zones>,
}

struct Zones {
    first: u64,
    nr_zones: u64,
    zone_bytes: u64,
    /// Of the first list's count within a zone.
    nr_free: u64,
    free_area_bytes: u64,
    orders: u64,
}

impl Layout {
    fn of(info: &Vmcoreinfo) -> Result<Self, Error> {
        let offset = |member: &str| info.offset(&format!("pglist_data.{member}"));
        let needed = |member: &str| info.require_offset(&format!("pglist_data.{member}"));
        Ok(Layout {
            start_pfn: needed("node_start_pfn")?,
            spanned_pages: needed("node_spanned_pages")?,
            node_id: offset("node_id"),
            mem_map: offset("node_mem_map"),
            zones: Zones::of(info),
        })
    }
}

impl Zones {
    fn of(info: &Vmcoreinfo) -> Option<Self> {
        // VMCOREINFO does not tell where nr_free is: behind the lists.
        let list_bytes = info.size("list_head")?;
        let lists_bytes = info.length("free_area.free_list")?.checked_mul(list_bytes)?;
        let free_area_bytes = info.size("free_area")?;
        let nr_free = info.offset("free_area.free_list")?.checked_add(lists_bytes)?;
        let is_inside = nr_free < free_area_bytes;
        Some(Zones {
            first: info.offset("pglist_data.node_zones")?,
            nr_zones: info.offset("pglist_data.nr_zones")?,
            zone_bytes: info.size("zone")?,
            nr_free: info.offset("zone.free_area")?.checked_add(nr_free).filter(|_| is_inside)?,
            free_area_bytes,
            orders: info.length("zone.free_area").filter(|&orders| orders <= MAX_ORDERS)?,
        })
    }
}

struct Reader<'t, 'a> {
    kernel: &'t Kernel<'a>,
    translator: &'t Translator<'a>,
    layout: Layout,
}

impl Reader<'_, '_> {
    /// Of each node in use its number and the address of its pglist_data.
    fn online(&self) -> Result<Vec<(u64, VirtAddr)>, Error> {
        let info = self.kernel.info;
        if let Some(only) = info.symbol("contig_page_data") {
            return Ok(vec![(0, only)]);
        }
        let either = ["contig_page_data", "node_online_map"];
        let map = info
            .symbol("node_online_map")
            .ok_or_else(|| Error::MissingItem(either.map(Item::symbol).to_vec()))?;
        let node_data = self.node_data()?;
        let long_bytes = self.kernel.layout.long_bytes() as u64;
        let long_bits = long_bytes * 8;
        let mut nodes = Vec::new();
        for first in (0..self.max_nodes()?).step_by(usize::try_from(long_bits).unwrap_or(64)) {
            let at = map.wrapping_add(first / 8);
            let bits = self.long(at, "node_online_map")?;
            for id in (first..first + long_bits).filter(|id| bits >> (id - first) & 1 == 1) {
                let pointer = node_data.wrapping_add(id * long_bytes);
                nodes.push((id, VirtAddr::new(self.long(pointer, "node_data")?)));
            }
        }
        if nodes.is_empty() {
            return Err(Error::implausible("node_online_map", "no node is online"));
        }
        Ok(nodes)
    }

    /// The array of pointers; VMCOREINFO has it on x86_64 alone.
    fn node_data(&self) -> Result<VirtAddr, Error> {
        if let Some(node_data) = self.kernel.info.symbol("node_data") {
            return Ok(node_data);
        }
        let by_kallsyms = || {
            let found = Kallsyms::open(self.kernel, self.translator)?.find(&["node_data"])?;
            let node_data = found.first().copied().flatten();
            node_data
                .ok_or_else(|| Error::implausible("kallsyms_names", "no symbol is named node_data"))
        };
        by_kallsyms()
            .map_err(Error::no_substitute(Item::symbol("node_data"), "the kernel's symbol table"))
    }

    /// Bits of node_online_map.
    fn max_nodes(&self) -> Result<u64, Error> {
        let info = self.kernel.info;
        let by_mask = || info.size("nodemask_t")?.checked_mul(8);
        let count = info.length("node_data").or_else(by_mask);
        let count = count.ok_or_else(|| {
            Error::MissingItem(vec![Item::length("node_data"), Item::size("nodemask_t")])
        })?;
        if count == 0 || count > MAX_NODES {
            let why = format!("{count} nodes, where kernels have 1 to {MAX_NODES}");
            return Err(Error::implausible("node_data", why));
        }
        Ok(count)
    }

    fn node(&self, id: u64, pgdat: VirtAddr) -> Result<Node, Error> {
        let member = |offset: u64, what: &'static str| self.long(pgdat.wrapping_add(offset), what);
        let layout = &self.layout;
        if pgdat == VirtAddr::ZERO {
            let why = format!("null for node {id}, which is online");
            return Err(Error::implausible("node_data", why));
        }
        if let Some(offset) = layout.node_id {
            let what = "pglist_data.node_id";
            let found = self
                .translator
                .read_u32(pgdat.wrapping_add(offset))
                .map_err(Error::unreadable(what))?;
            if u64::from(found) != id {
                let what = format!("pglist_data at {pgdat:#x}");
                return Err(Error::implausible(what, format!("node_id is {found}, not {id}")));
            }
        }
        let start_pfn = member(layout.start_pfn, "pglist_data.node_start_pfn")?;
        let spanned_pages = member(layout.spanned_pages, "pglist_data.node_spanned_pages")?;
        if start_pfn.checked_add(spanned_pages).is_none_or(|end| end > MAX_PFN) {
            return Err(Error::implausible(
                format!("pglist_data at {pgdat:#x}"),
                format!("{spanned_pages:#x} pages from pfn {start_pfn:#x} end beyond any memory"),
            ));
        }
        let mem_map = match layout.mem_map {
            Some(offset) => Some(member(offset, "pglist_data.node_mem_map")?),
            None => None,
        };
        Ok(Node {
            start_pfn,
            spanned_pages,
            mem_map: mem_map.filter(|&mem_map| mem_map != 0).map(VirtAddr::new),
            free_pages: self.free_pages(pgdat, spanned_pages),
        })
    }

    fn free_pages(&self, pgdat: VirtAddr, spanned_pages: u64) -> Option<u64> {
        let zones = self.layout.zones.as_ref()?;
        let nr_zones = self.translator.read_u32(pgdat.wrapping_add(zones.nr_zones)).ok()?;
        let nr_zones = Some(u64::from(nr_zones)).filter(|&count| count <= MAX_ZONES)?;
        let mut sum = 0u64;
        for nth in 0..nr_zones {
            let zone = zones.first.wrapping_add(nth.wrapping_mul(zones.zone_bytes));
            let zone = pgdat.wrapping_add(zone).wrapping_add(zones.nr_free);
            for order in 0..zones.orders {
                let at = zone.wrapping_add(order.wrapping_mul(zones.free_area_bytes));
                let blocks = self.translator.read_long(at).ok()?;
                sum = sum.checked_add(blocks.checked_mul(1 << order)?)?;
            }
        }
        (sum <= spanned_pages).then_some(sum)
    }

    fn long(&self, vaddr: VirtAddr, what: &'static str) -> Result<u64, Error> {
        self.translator.read_long(vaddr).map_err(Error::unreadable(what))
    }
}
