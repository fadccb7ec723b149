//! The kernel's memory nodes: the page frames of each, and how many of them are free.
//!
//! ```text
//! SYMBOL(node_data) --> pglist_data *[MAX_NUMNODES]; SYMBOL(node_online_map) has a bit for each
//!   node in use. Without NUMA, SYMBOL(contig_page_data) is the only pglist_data
//! pglist_data { node_zones[nr_zones], node_start_pfn, node_spanned_pages, node_mem_map, node_id }
//! zone { free_area[MAX_ORDER] }, free_area { free_list[MIGRATE_TYPES], nr_free }
//! ```
//!
//! Source: include/linux/mmzone.h; kernel/vmcore_info.c (before 6.9 kernel/crash_core.c) for the items
//! of VMCOREINFO.

use crate::kernel::error::Error;
use crate::kernel::kallsyms::{Kallsyms, Scope};
use crate::kernel::symbols::Wanted;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::vmcoreinfo::{Item, Vmcoreinfo};
use crate::pages::{Pfn, PfnRange, Position, VirtAddr};

/// The array of pointers to the nodes.
pub(crate) const NODE_DATA: &str = "node_data";

/// The symbol that VMCOREINFO may lack.
pub(crate) const WANTED: Wanted = (Scope::Global, NODE_DATA);

/// Maximum number of nodes: four times that of NODES_SHIFT=10, the largest configuration.
const MAX_NODES: u64 = 4096;

/// Maximum number of zones in a node: more than enum zone_type has.
const MAX_ZONES: u64 = 16;

/// Maximum number of orders of free blocks (LENGTH(zone.free_area)), as far as kernels can be
/// configured: ARCH_FORCE_MAX_ORDER in arch/*/Kconfig.
pub(crate) const MAX_ORDERS: u64 = 20;

/// One past the highest plausible pfn: 64-bit physical addresses in pages of 4 KiB. A node may span
/// more than any dump can hold.
const PFN_LIMIT: u64 = 1 << 52;

/// A memory node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// The page frames that it spans, holes included.
    pub pfns: PfnRange,
    /// The virtual address of its array of struct pages, if the kernel has one for each node
    /// (FLATMEM, DISCONTIGMEM).
    pub mem_map: Option<VirtAddr>,
    /// Pages on the lists of free blocks of all zones, by the counters of the lists; `None` if they
    /// are unknown or implausible. NR_FREE_PAGES would be less exact: it includes pages that are not
    /// accepted yet, and excludes those of isolated blocks.
    pub free_pages: Option<u64>,
}

/// The nodes that are online, in ascending order of their numbers.
///
/// # Errors
/// [`Error`] if VMCOREINFO lacks an item, or if a node cannot be read or is implausible.
pub(crate) fn nodes(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Result<Vec<Node>, Error> {
    let reader = NodeReader { kernel, translator, offsets: NodeOffsets::of(kernel.info)? };
    let online = reader.online()?;
    online.into_iter().map(|(id, pgdat)| reader.node(id, pgdat)).collect()
}

/// Offsets in pglist_data.
struct NodeOffsets {
    start_pfn: u64,
    spanned_pages: u64,
    node_id: Option<u64>,
    mem_map: Option<u64>,
    zones: Option<ZoneOffsets>,
}

/// Offsets and sizes for reading the free counts of zones.
struct ZoneOffsets {
    /// Offset of the first zone in pglist_data.
    node_zones: u64,
    /// Offset of the number of zones in pglist_data.
    nr_zones: u64,
    zone_bytes: u64,
    /// Offset of the first `free_area.nr_free` in a zone.
    nr_free: u64,
    free_area_bytes: u64,
    orders: u64,
}

impl NodeOffsets {
    fn of(info: &Vmcoreinfo) -> Result<Self, Error> {
        let offset = |member: &str| info.offset(&format!("pglist_data.{member}"));
        let needed = |member: &str| info.require_offset(&format!("pglist_data.{member}"));
        Ok(NodeOffsets {
            start_pfn: needed("node_start_pfn")?,
            spanned_pages: needed("node_spanned_pages")?,
            node_id: offset("node_id"),
            mem_map: offset("node_mem_map"),
            zones: ZoneOffsets::of(info),
        })
    }
}

impl ZoneOffsets {
    fn of(info: &Vmcoreinfo) -> Option<Self> {
        // VMCOREINFO does not have the offset of nr_free; nr_free follows the lists.
        let list_bytes = info.size("list_head")?;
        let lists_bytes = info.length("free_area.free_list")?.checked_mul(list_bytes)?;
        let free_area_bytes = info.size("free_area")?;
        let nr_free = info.offset("free_area.free_list")?.checked_add(lists_bytes)?;
        let is_inside = nr_free < free_area_bytes;
        Some(ZoneOffsets {
            node_zones: info.offset("pglist_data.node_zones")?,
            nr_zones: info.offset("pglist_data.nr_zones")?,
            zone_bytes: info.size("zone")?,
            nr_free: info.offset("zone.free_area")?.checked_add(nr_free).filter(|_| is_inside)?,
            free_area_bytes,
            orders: info.length("zone.free_area").filter(|&orders| orders <= MAX_ORDERS)?,
        })
    }
}

struct NodeReader<'t, 'a> {
    kernel: &'t Kernel<'a>,
    translator: &'t Translator<'a>,
    offsets: NodeOffsets,
}

impl NodeReader<'_, '_> {
    /// The number of each online node, and the address of its pglist_data.
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
        let count = self.max_nodes()?;
        let mut first = 0;
        while first < count {
            let at = map.wrapping_add(first / 8);
            let bits = self.long(at, "node_online_map")?;
            for id in (first..first + long_bits).filter(|id| bits >> (id - first) & 1 == 1) {
                let pointer = node_data.wrapping_add(id * long_bytes);
                nodes.push((id, VirtAddr::new(self.long(pointer, "node_data")?)));
            }
            first += long_bits;
        }
        if nodes.is_empty() {
            return Err(Error::implausible("node_online_map", "no node is online"));
        }
        Ok(nodes)
    }

    /// The address of `node_data`. VMCOREINFO has it on x86_64 only; elsewhere kallsyms does.
    fn node_data(&self) -> Result<VirtAddr, Error> {
        if let Some(node_data) = self.kernel.info.symbol(NODE_DATA) {
            return Ok(node_data);
        }
        let from_kallsyms = || {
            let found = Kallsyms::open(self.kernel, self.translator)?.find(&[NODE_DATA])?;
            let node_data = found.first().copied().flatten();
            node_data
                .ok_or_else(|| Error::implausible("kallsyms_names", "no symbol is named node_data"))
        };
        from_kallsyms()
            .map_err(Error::no_substitute(Item::symbol(NODE_DATA), "the kernel's symbol table"))
    }

    /// The number of bits of node_online_map.
    fn max_nodes(&self) -> Result<u64, Error> {
        let info = self.kernel.info;
        let from_mask = || info.size("nodemask_t")?.checked_mul(8);
        let count = info.length("node_data").or_else(from_mask);
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
        let offsets = &self.offsets;
        if pgdat == VirtAddr::ZERO {
            let why = format!("null for node {id}, which is online");
            return Err(Error::implausible("node_data", why));
        }
        if let Some(offset) = offsets.node_id {
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
        let start_pfn = member(offsets.start_pfn, "pglist_data.node_start_pfn")?;
        let spanned_pages = member(offsets.spanned_pages, "pglist_data.node_spanned_pages")?;
        if start_pfn.checked_add(spanned_pages).is_none_or(|end| end > PFN_LIMIT) {
            return Err(Error::implausible(
                format!("pglist_data at {pgdat:#x}"),
                format!("{spanned_pages:#x} pages from pfn {start_pfn:#x} end beyond any memory"),
            ));
        }
        let mem_map = match offsets.mem_map {
            Some(offset) => Some(member(offset, "pglist_data.node_mem_map")?),
            None => None,
        };
        Ok(Node {
            pfns: PfnRange::of(Pfn::new(start_pfn), spanned_pages),
            mem_map: mem_map.filter(|&mem_map| mem_map != 0).map(VirtAddr::new),
            free_pages: self.free_pages(pgdat, spanned_pages),
        })
    }

    fn free_pages(&self, pgdat: VirtAddr, spanned_pages: u64) -> Option<u64> {
        let zones = self.offsets.zones.as_ref()?;
        let nr_zones = self.translator.read_u32(pgdat.wrapping_add(zones.nr_zones)).ok()?;
        let nr_zones = Some(u64::from(nr_zones)).filter(|&count| count <= MAX_ZONES)?;
        let mut sum = 0u64;
        for nth in 0..nr_zones {
            let zone = zones.node_zones.wrapping_add(nth.wrapping_mul(zones.zone_bytes));
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
