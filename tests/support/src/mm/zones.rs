//! The node and its zones: what the allocator itself counts as free.

use crate::elf::Endian;

use super::kernel::{Kernel, Model};
use super::sections::{Tables, Words};

/// Lists a free area has.
const LISTS: u64 = 5;
/// Words of a zone before its free areas, and between them and its counters.
const BEFORE: u64 = 18;
const BETWEEN: u64 = 8;
/// Counters of a zone.
const COUNTERS: u64 = 10;
/// Zones a node has room for, and those that it uses.
const ZONES: u64 = 3;
const USED: u64 = 2;

/// What is free by the allocator's own account, and where memory is.
#[derive(Debug, Clone, Default)]
pub struct Free {
    /// Blocks of each order.
    pub blocks: Vec<u64>,
    /// Pages, unaccepted ones among them.
    pub pages: u64,
    /// The end of the highest page.
    pub end_pfn: u64,
}

/// The node's data; `at` gives the address of so many bytes of the kernel's data.
pub fn tables(
    kernel: &Kernel,
    free: &Free,
    mem_map: u64,
    at: &mut dyn FnMut(u64) -> u64,
) -> Tables {
    let long = kernel.arch.long as u64;
    let area = LISTS * 2 + 1;
    let free_area = BEFORE;
    let vm_stat = free_area + area * u64::from(kernel.orders) + BETWEEN;
    let zone = vm_stat + COUNTERS;
    let spanned_pages = 9;
    let node_words = zone * ZONES + 16;
    let vaddr = at(node_words * long);
    let mut words = vec![0; node_words as usize];
    for nth in 0..USED {
        let start = nth * zone;
        // The first zone has none of each kind.
        let is_last = nth + 1 == USED;
        words[(start + spanned_pages) as usize] = if is_last { free.end_pfn } else { 0 };
        for (order, &blocks) in free.blocks.iter().enumerate() {
            let first = start + free_area + order as u64 * area;
            for list in 0..LISTS {
                // An empty list names itself.
                let head = first + list * 2;
                words[head as usize] = vaddr + head * long;
                words[head as usize + 1] = vaddr + head * long;
            }
            words[(first + LISTS * 2) as usize] = if is_last { blocks } else { 0 };
        }
        words[(start + vm_stat) as usize] = if is_last { free.pages } else { 0 };
    }
    let fields = zone * ZONES;
    // An int, which comes first in its word.
    let is_late = kernel.arch.endian == Endian::Big && long == 8;
    words[fields as usize] = if is_late { USED << 32 } else { USED };
    words[fields as usize + 1] = mem_map;
    words[fields as usize + 2] = kernel.arch.first_pfn();
    words[fields as usize + 3] = free.end_pfn;
    words[fields as usize + 4] = 0;
    let mut data = vec![Words { vaddr, words }];
    let mut info = format!(
        "SIZE(pglist_data)={}\nSIZE(zone)={}\nSIZE(free_area)={}\nSIZE(list_head)={}\nSIZE(nodemask_t)=8\n\
         OFFSET(pglist_data.node_zones)=0\nOFFSET(pglist_data.nr_zones)={}\n\
         OFFSET(pglist_data.node_start_pfn)={}\nOFFSET(pglist_data.node_spanned_pages)={}\n\
         OFFSET(pglist_data.node_id)={}\nOFFSET(zone.free_area)={}\nOFFSET(zone.vm_stat)={}\n\
         OFFSET(zone.spanned_pages)={}\nOFFSET(free_area.free_list)=0\nOFFSET(list_head.next)=0\n\
         OFFSET(list_head.prev)={long}\nLENGTH(zone.free_area)={}\nLENGTH(free_area.free_list)={LISTS}\n\
         NUMBER(NR_FREE_PAGES)=0\n",
        node_words * long,
        zone * long,
        area * long,
        long * 2,
        fields * long,
        (fields + 2) * long,
        (fields + 3) * long,
        (fields + 4) * long,
        free_area * long,
        vm_stat * long,
        spanned_pages * long,
        kernel.orders,
    );
    let online = at(8);
    let first = if kernel.arch.long == 8 { vec![1] } else { vec![1, 0] };
    data.push(Words { vaddr: online, words: first });
    info += &format!("SYMBOL(node_online_map)={online:x}\n");
    if kernel.model == Model::Flat {
        info += &format!(
            "SYMBOL(contig_page_data)={vaddr:x}\nOFFSET(pglist_data.node_mem_map)={}\n",
            (fields + 1) * long
        );
    } else {
        let nodes = at(long * 4);
        data.push(Words { vaddr: nodes, words: vec![vaddr, 0, 0, 0] });
        info += &format!("SYMBOL(node_data)={nodes:x}\nLENGTH(node_data)=4\n");
    }
    Tables { data, info }
}
