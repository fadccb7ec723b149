//! Whether memory proves a VMCOREINFO, on every architecture.

use kdumpconv::kernel::proof::prove;
use kdumpconv::{Proof, Vmcoreinfo};
use support::machine::Paging;

use super::world::World;
use super::world::paging::{ROOT, address, every_paging, world};

/// Where the name is in memory, which the kernel maps by small pages.
const NAME: u64 = 0x300_0000;

/// A kernel whose name is at `NAME` in memory, and at the virtual address that is returned.
fn named(paging: Paging) -> (World, support::machine::PageTables, u64) {
    let (mut world, tables) = world(paging);
    let vaddr = address(paging, 0x30_0000);
    for (nth, field) in ["Linux", "host", "7.0.0", "#1", "machine", ""].iter().enumerate() {
        let mut bytes = field.as_bytes().to_vec();
        bytes.resize(65, 0);
        world.machine.memory.write(NAME + 65 * nth as u64, &bytes);
    }
    (world, tables, vaddr)
}

fn proof(world: &World, release: &str, vaddr: u64, paging: Paging) -> Proof {
    proof_by(world, release, vaddr, paging, "OFFSET(uts_namespace.name)=0\n")
}

/// The proof by a VMCOREINFO with the line `offset`, or without one.
fn proof_by(world: &World, release: &str, vaddr: u64, paging: Paging, offset: &str) -> Proof {
    let (fresh, _) = super::world::paging::world(paging);
    let lines = format!("OSRELEASE={release}\nSYMBOL(init_uts_ns)={vaddr:x}\n{offset}");
    let own: String =
        ITEMS.iter().filter_map(|key| Some(format!("{key}={}\n", fresh.info.get(key)?))).collect();
    let info = Vmcoreinfo::parse((lines + &own).as_bytes());
    let world = World { info, ..world.clone() };
    prove(&world.kernel())
}

/// What the worlds' VMCOREINFO may have.
const ITEMS: [&str; 12] = [
    "SYMBOL(swapper_pg_dir)",
    "NUMBER(phys_base)",
    "NUMBER(pgtable_l5_enabled)",
    "NUMBER(sme_mask)",
    "CONFIG_X86_PAE",
    "NUMBER(VA_BITS)",
    "NUMBER(TCR_EL1_T1SZ)",
    "NUMBER(kimage_voffset)",
    "NUMBER(KERNEL_LINK_ADDR)",
    "NUMBER(va_kernel_pa_offset)",
    "NUMBER(RADIX_MMU)",
    "PAGESIZE",
];

#[test]
fn a_name_that_the_page_tables_map_is_a_proof_on_every_architecture() {
    for paging in every_paging() {
        let (mut world, mut tables, vaddr) = named(paging);
        let last = paging.levels().len() - 1;
        let page = vaddr - vaddr % world.page_size;
        let unmapped = proof(&world, "7.0.0", vaddr, paging);
        assert!(!unmapped.is_proved(), "{paging:?}: {unmapped:?}");
        tables.map(&mut world.machine.memory, page, NAME, last);
        let at = page;
        assert_eq!(proof(&world, "7.0.0", at, paging), Proof::Proved, "{paging:?}");
        // Of another release, and a page further on, where no name is.
        let other = proof(&world, "7.0.1", at, paging);
        assert!(other.is_contradicted(), "{paging:?}: {other:?}");
        assert!(other.why_not().unwrap().ends_with("is that of 7.0.0"), "{paging:?}: {other:?}");
        let other = proof(&world, "7.0.0", at + 8, paging);
        assert!(other.is_contradicted(), "{paging:?}: {other:?}");
        assert!(
            other.why_not().unwrap().contains("there is no kernel's name"),
            "{paging:?}: {other:?}"
        );
        // The dump does not have the memory, or the tables.
        world.machine.memory.forget(NAME);
        let unread = proof(&world, "7.0.0", at, paging);
        assert!(matches!(unread, Proof::Unprovable(_)), "{paging:?}: {unread:?}");
        world.machine.memory.forget(ROOT);
        let unread = proof(&world, "7.0.0", at, paging);
        assert!(matches!(unread, Proof::Unprovable(_)), "{paging:?}: {unread:?}");
    }
}

#[test]
fn without_its_offset_a_name_proves_and_another_name_contradicts_but_none_says_nothing() {
    for paging in every_paging() {
        let (mut world, mut tables, vaddr) = named(paging);
        let last = paging.levels().len() - 1;
        let page = vaddr - vaddr % world.page_size;
        tables.map(&mut world.machine.memory, page, NAME, last);
        let proof = |release, vaddr| proof_by(&world, release, vaddr, paging, "");
        assert_eq!(proof("7.0.0", page), Proof::Proved, "{paging:?}");
        assert!(proof("7.0.1", page).is_contradicted(), "{paging:?}");
        let none = proof("7.0.0", page + 64);
        assert!(matches!(none, Proof::Unprovable(_)), "{paging:?}: {none:?}");
        assert!(none.why_not().unwrap().contains("before 5.11"), "{paging:?}: {none:?}");
    }
}
