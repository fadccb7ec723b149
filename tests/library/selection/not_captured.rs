//! A vmcore without the memory that holds the struct pages: nothing is excluded, and the reason said.

use std::ops::Range;

use kdumpconv::OpenOptions;
use support::mm::{Core, Kernel, Mm, releases};
use support::segments::{Data, Load, Segment};

use super::judge::{open, select_at};

/// The core without a range of its memory.
fn without(mut core: Core, hole: &Range<u64>) -> Core {
    let cut = |segment: Segment| match segment {
        Segment::Load(load) if load.paddr < hole.end && hole.start < load.paddr + load.memsz => {
            let Data::Sparse { filesz, parts } = load.data else { panic!("not sparse") };
            let part = |range: Range<u64>| {
                let inside = |at: &u64| range.contains(&(load.paddr + at));
                let mine = parts.iter().filter(|(at, _)| inside(at));
                let mine = mine.map(|(at, bytes)| (load.paddr + at - range.start, bytes.clone()));
                let vaddr = load.vaddr + (range.start - load.paddr);
                let load = Load::sparse(range.start, range.end - range.start, mine.collect());
                Segment::Load(load.vaddr(vaddr))
            };
            vec![part(load.paddr..hole.start), part(hole.end..load.paddr + filesz)]
        }
        other => vec![other],
    };
    core.builder.segments = core.builder.segments.into_iter().flat_map(cut).collect();
    core
}

fn warned(kernel: Kernel, hole: impl Fn(&Core) -> Range<u64>) -> String {
    let core = Mm::populated(kernel).core();
    let hole = hole(&core);
    let dump = open(&without(core, &hole), &OpenOptions::default());
    let found = select_at(&dump, 31, 2);
    assert_eq!(found.excluded.count(), 0);
    assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
    found.warnings[0].clone()
}

#[test]
fn riscv64_kexec_left_them_out_and_the_warning_says_so() {
    const SAID: &str = "this vmcore lacks memory that the kernel reserved at boot, as kexec leaves it out on riscv64: ";
    // The struct pages, and what leads to them.
    let structs = |_: &Core| 20 << 20..24 << 20;
    let table = |core: &Core| core.tables[0].1 & !0xfff..(core.tables[0].1 & !0xfff) + 0x1000;
    let said = warned(releases::V6_12_RISCV, structs);
    assert!(said.contains(SAID) && said.ends_with(" struct pages cannot be read"), "{said}");
    let said = warned(releases::V6_12_RISCV, table);
    assert!(said.contains(SAID) && said.ends_with(": the dump has no memory there"), "{said}");
    // Elsewhere kexec is not the reason.
    for hole in [&structs as &dyn Fn(&Core) -> Range<u64>, &table] {
        let said = warned(releases::V6_12, hole);
        assert!(!said.contains("kexec"), "{said}");
    }
}
