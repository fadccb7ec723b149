//! What the kernel says of itself: VMCOREINFO, and what its own types and symbols add to that.

use crate::kernel::kernel_types::{self, KernelTypes};
use crate::kernel::symbols::Symbols;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::vmcoreinfo::{Item, ItemKind, Vmcoreinfo};
use crate::kernel::{active_text, image, nodes, tasks};

/// Items of VMCOREINFO that the selection uses and that the kernel's types may have, also those that no
/// VMCOREINFO has yet.
const ITEMS: [(ItemKind, &str); 43] = [
    (ItemKind::Size, "page"),
    (ItemKind::Offset, "page.flags"),
    (ItemKind::Offset, "page.mapping"),
    (ItemKind::Offset, "page._mapcount"),
    (ItemKind::Offset, "page.private"),
    (ItemKind::Offset, "page.compound_info"),
    (ItemKind::Offset, "page.compound_head"),
    (ItemKind::Offset, "page.compound_dtor"),
    (ItemKind::Offset, "page.compound_order"),
    (ItemKind::Offset, "folio._folio_dtor"),
    (ItemKind::Offset, "folio._folio_order"),
    (ItemKind::Number, "PG_head_mask"),
    (ItemKind::Number, "PG_slab"),
    (ItemKind::Number, "PG_lru"),
    (ItemKind::Number, "PG_private"),
    (ItemKind::Number, "PG_reserved"),
    (ItemKind::Number, "PG_swapcache"),
    (ItemKind::Number, "PG_swapbacked"),
    (ItemKind::Number, "PG_hwpoison"),
    (ItemKind::Number, "PG_hugetlb"),
    (ItemKind::Number, "HUGETLB_PAGE_DTOR"),
    (ItemKind::Number, "PAGE_BUDDY_MAPCOUNT_VALUE"),
    (ItemKind::Number, "PAGE_SLAB_MAPCOUNT_VALUE"),
    (ItemKind::Number, "PAGE_HUGETLB_MAPCOUNT_VALUE"),
    (ItemKind::Number, "PAGE_OFFLINE_MAPCOUNT_VALUE"),
    (ItemKind::Number, "PAGE_UNACCEPTED_MAPCOUNT_VALUE"),
    (ItemKind::Number, "PAGE_ZSMALLOC_MAPCOUNT_VALUE"),
    (ItemKind::Size, "mem_section"),
    (ItemKind::Offset, "mem_section.section_mem_map"),
    (ItemKind::Offset, "pglist_data.node_start_pfn"),
    (ItemKind::Offset, "pglist_data.node_spanned_pages"),
    (ItemKind::Offset, "pglist_data.node_id"),
    (ItemKind::Offset, "pglist_data.node_mem_map"),
    (ItemKind::Offset, "pglist_data.node_zones"),
    (ItemKind::Offset, "pglist_data.nr_zones"),
    (ItemKind::Size, "zone"),
    (ItemKind::Offset, "zone.free_area"),
    (ItemKind::Length, "zone.free_area"),
    (ItemKind::Size, "free_area"),
    (ItemKind::Offset, "free_area.free_list"),
    (ItemKind::Length, "free_area.free_list"),
    (ItemKind::Size, "list_head"),
    (ItemKind::Offset, "list_head.prev"),
];

/// A kernel's description of itself.
#[derive(Debug)]
pub(super) struct SelfDescription {
    pub(super) symbols: Symbols,
    /// The kernel's types, if it has BTF.
    pub(super) types: Option<KernelTypes>,
    /// VMCOREINFO, with the items that it lacks as the types and symbols have them.
    pub(super) info: Vmcoreinfo,
}

impl SelfDescription {
    /// Finds symbols and types; without them, VMCOREINFO stays as it is.
    pub(super) fn find(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Self {
        let wanted = image::wanted().chain(active_text::wanted()).chain(kernel_types::WANTED);
        let wanted: Vec<_> = wanted.chain(tasks::WANTED).chain([nodes::WANTED]).collect();
        let symbols = Symbols::find(kernel, translator, &wanted);
        let types = KernelTypes::find(kernel, translator, &symbols).ok();
        let mut info = kernel.info.clone();
        for (kind, name) in ITEMS {
            let item = Item { kind, name: name.to_owned() };
            if let Some(value) = types.as_ref().and_then(|types| types.value(&item)) {
                info.add(&item, value);
            }
        }
        if let Some(vaddr) = symbols.get(nodes::NODE_DATA) {
            info.add(&Item::symbol(nodes::NODE_DATA), vaddr.get());
        }
        SelfDescription { symbols, types, info }
    }
}
