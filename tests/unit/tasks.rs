//! The pages of tasks are found by every way, and no broken one loses those of another.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::unit_tests::world::{World, chain};
use kdumpconv::kernel::kernel_types::{self, KernelTypes};
use kdumpconv::kernel::symbols::Symbols;
use kdumpconv::kernel::tasks::{self as kernel_tasks, task_pages};
use kdumpconv::pages::ranges::contains;
use kdumpconv::pages::{PhysAddr, PhysRange};
use kdumpconv::{Architecture, ByteOrder, StructLayout, Vmcoreinfo};
use support::elf::Endian;
use support::kallsyms;
use support::tasks::{self, BTF, CPU_COUNT, INIT_TASK, PAGE, TaskMachine, machine, offset};

/// The linear map of ppc64 needs no tables.
const LINEAR: u64 = 0xc000_0000_0000_0000;

/// A kernel with this memory and these types.
fn world(machine: &TaskMachine, omit: &[&str]) -> World {
    let mut machine = machine.clone();
    let info = machine.describe(&tasks::types(machine.endian, omit));
    let info = format!("{info}SYMBOL(swapper_pg_dir)=c000000000100000\nNUMBER(RADIX_MMU)=1\n");
    let mut world = World::new(Architecture::Ppc64, PAGE, "");
    world.info = Vmcoreinfo::parse(info.as_bytes());
    world.machine.memory = machine.memory;
    let order = match machine.endian {
        Endian::Little => ByteOrder::Little,
        Endian::Big => ByteOrder::Big,
    };
    world.layout = StructLayout::Bits64(order);
    world
}

fn found(world: &World) -> Result<Vec<PhysRange>, String> {
    let (kernel, translator) = (world.kernel(), world.translator());
    let wanted = [kernel_types::WANTED.as_slice(), &kernel_tasks::WANTED].concat();
    let symbols = Symbols::find(&kernel, &translator, &wanted);
    KernelTypes::find(&kernel, &translator, &symbols)
        .and_then(|types| task_pages(&kernel, &translator, &symbols, &types))
        .map_err(|why| chain(&why))
}

/// The names of the structs that have a page not among those found.
fn missed(machine: &TaskMachine, omit: &[&str]) -> Vec<String> {
    missed_by(&found(&world(machine, omit)).unwrap(), machine)
}

fn missed_by(pages: &[PhysRange], machine: &TaskMachine) -> Vec<String> {
    let is_missed = |place: &std::ops::Range<u64>| {
        place.clone().step_by(PAGE as usize).any(|page| !contains(pages, PhysAddr::new(page)))
    };
    let missed = machine.places.iter().filter(|(_, place)| is_missed(place));
    missed.map(|(name, _)| name.clone()).collect()
}

fn little() -> TaskMachine {
    machine(Endian::Little, LINEAR)
}

#[test]
fn all_that_belongs_to_a_task_is_found_and_nothing_else() {
    for endian in [Endian::Little, Endian::Big] {
        let machine = machine(endian, LINEAR);
        let expected: BTreeMap<u64, u64> =
            machine.places.values().map(|place| (place.start, place.end)).collect();
        let pages = found(&world(&machine, &[])).unwrap();
        let pages: BTreeMap<u64, u64> =
            pages.iter().map(|range| (range.start.get(), range.end.get())).collect();
        assert_eq!(pages, expected, "{endian:?}");
    }
}

/// What is missed of the machine after an edit.
fn missed_after(edit: impl Fn(&mut TaskMachine)) -> Vec<String> {
    let mut machine = little();
    edit(&mut machine);
    missed(&machine, &[])
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn a_broken_list_loses_no_task_that_has_a_pid() {
    for (name, member) in [
        ("init", offset::TASKS),
        ("shell", offset::TASKS),
        ("daemon", offset::TASKS),
        ("daemon", offset::THREAD_NODE),
        ("daemon", offset::SIGNAL),
    ] {
        let cut = |to: u64| missed_after(|machine| machine.point(machine.tasks[name], member, to));
        let expected =
            if member == offset::SIGNAL { vec!["signal of daemon".into()] } else { nothing() };
        // Null, garbage, an address without memory, the member itself: a list that never ends.
        let itself = little().tasks[name] + member;
        for to in [0, u64::MAX, 0x6b6b_6b6b_6b6b_6b6b, LINEAR + (1 << 40), itself] {
            assert_eq!(cut(to), expected, "{name} {member:#x} {to:#x}");
        }
    }
}

#[test]
fn without_pids_the_lists_lead_to_all_tasks() {
    let pids = ["high pids", "low pids", "pid of a group", "root of pids"];
    let cut = missed_after(|machine| {
        let namespace = machine.places["namespace"].start + LINEAR;
        machine.point(namespace, offset::NAMESPACE_ROOT, 0);
    });
    assert_eq!(cut, pids);
    let machine = little();
    assert_eq!(
        missed(&machine, &["pid_namespace"]),
        [&pids[..2], &["namespace"], &pids[2..]].concat()
    );
    assert_eq!(missed(&machine, &["thread_node"]), nothing(), "threads have pids");
    let both = missed(&machine, &["thread_node", "pid_namespace"]);
    assert!(both.contains(&"second thread".to_owned()), "{both:?}");
}

#[test]
fn nodes_that_point_to_each_other_end() {
    for target in ["root of pids", "low pids", "high pids"] {
        let missed = missed_after(|machine| {
            let entry = machine.places[target].start + LINEAR + 2;
            for node in ["root of pids", "low pids", "high pids"] {
                let node = machine.places[node].start + LINEAR;
                for slot in 16..60 {
                    machine.point(node, offset::NODE_SLOTS + 8 * slot, entry);
                }
            }
        });
        assert_eq!(missed, nothing(), "{target}");
    }
}

#[test]
fn an_idle_task_is_found_by_the_tasks_of_its_cpu_alone() {
    let idle = ["area of idle", "cred of idle", "files of idle", "fs of idle", "idle"];
    let missed = missed(&little(), &["se"]);
    assert_eq!(missed[..5], idle);
    assert!(missed.iter().all(|name| name.ends_with("idle")), "{missed:?}");
}

#[test]
fn without_an_area_a_stack_has_the_usual_size() {
    // Those of the threads are twice as large.
    assert_eq!(
        missed(&little(), &["stack_vm_area"]),
        [
            "area of daemon",
            "area of first thread",
            "area of idle",
            "area of second thread",
            "area of shell",
            "stack of first thread",
            "stack of second thread",
        ]
    );
    for count in [0, 65, u32::MAX] {
        let missed = missed_after(|machine| {
            let at = machine.places["area of first thread"].start + offset::AREA_NR_PAGES;
            machine.memory.write(at, &count.to_le_bytes());
        });
        assert_eq!(missed, ["stack of first thread"], "{count}");
    }
    let mut world = world(&little(), &[]);
    let smaller = found(&world).unwrap();
    world.page_size = 0x1_0000;
    let larger = found(&world).unwrap();
    assert!(smaller.iter().all(|range| contains(&larger, range.start)), "a page at least");
}

#[test]
fn what_is_needed_is_named() {
    let why = |omit| found(&world(&little(), omit)).unwrap_err();
    assert_eq!(why(&["task_struct"]), "BTF: it has no task_struct");
    assert_eq!(why(&["tasks"]), "BTF: it has no task_struct.tasks.next");
    let mut bare = world(&little(), &[]);
    bare.info = Vmcoreinfo::parse(b"SYMBOL(swapper_pg_dir)=c000000000100000\n");
    assert_eq!(found(&bare).unwrap_err(), "VMCOREINFO has no SYMBOL(kallsyms_names)");
    let mut other = world(&little(), &[]);
    let symbols = [('T', "_stext", LINEAR + 0x1000)];
    let base = kallsyms::Addresses::FromBase(LINEAR);
    kallsyms::write(&mut other.machine.memory, Endian::Little, LINEAR, base, &symbols);
    assert_eq!(found(&other).unwrap_err(), "kallsyms_names: no symbol is named init_task");
    let symbols = [symbols[0], ('D', "init_task", LINEAR + INIT_TASK)];
    kallsyms::write(&mut other.machine.memory, Endian::Little, LINEAR, base, &symbols);
    assert_eq!(found(&other).unwrap_err(), "kallsyms_names: no symbol is named __start_BTF");
}

#[test]
fn a_page_that_is_missing_costs_only_what_it_alone_leads_to() {
    let machine = little();
    for (name, place) in &machine.places {
        for page in place.clone().step_by(PAGE as usize) {
            if page == INIT_TASK || name.starts_with("cache ") {
                // Where all ways begin, and the list that says how large a task is.
                continue;
            }
            let mut machine = machine.clone();
            machine.memory.forget(page);
            let missed = missed(&machine, &[]);
            let tasks = missed.iter().filter(|name| machine.tasks.contains_key(*name));
            assert_eq!(tasks.count(), 0, "without {page:#x} of {name}: {missed:?}");
        }
    }
}

/// Every pointer and every number becomes another one.
#[test]
fn no_word_makes_a_search_endless() {
    let machine = little();
    let start = Instant::now();
    for place in machine.places.values() {
        for at in place.clone().step_by(8) {
            let mut word = [0; 8];
            machine.memory.read(at, &mut word).unwrap();
            if word == [0; 8] {
                continue;
            }
            for value in [u64::MAX, 1 << 63, LINEAR + at, LINEAR + BTF, LINEAR + INIT_TASK + 2] {
                let mut machine = machine.clone();
                machine.memory.write_int(at, Endian::Little, 8, value);
                let pages = found(&world(&machine, &[])).unwrap();
                assert!(pages.is_sorted_by(|a, b| a.end < b.start), "{at:#x} {value:#x}");
                assert!(contains(&pages, PhysAddr::new(INIT_TASK)), "{at:#x} {value:#x}");
            }
        }
    }
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn no_bit_of_the_types_is_worse_than_fewer_pages() {
    let machine = little();
    let sound = world(&machine, &[]);
    let bytes = tasks::types(Endian::Little, &[]).build().len() as u64;
    for at in BTF..BTF + bytes {
        let mut byte = [0];
        sound.machine.memory.read(at, &mut byte).unwrap();
        let mut damaged = sound.clone();
        damaged.machine.memory.write(at, &[byte[0] ^ 1 << (at % 8)]);
        if let Ok(pages) = found(&damaged) {
            assert!(contains(&pages, PhysAddr::new(INIT_TASK)), "{at:#x}");
        }
    }
}

/// A task every 8 bytes: each is where the one before points to.
#[test]
fn a_list_has_no_more_tasks_than_fit_in_memory() {
    let mut machine = little();
    let (first, end) = (0x100_0000, 0x180_0000);
    let mut at = first;
    while at < end {
        machine.memory.write_int(at, Endian::Little, 8, LINEAR + at + 8);
        at += 8;
    }
    machine.point(LINEAR + INIT_TASK, offset::TASKS, LINEAR + first);
    let world = world(&machine, &[]);
    let start = Instant::now();
    let pages = found(&world).unwrap();
    let found: u64 = pages.iter().map(PhysRange::len).sum();
    assert!(found <= world.machine.memory.bytes(), "{found} bytes");
    let tasks = world.machine.memory.bytes() / tasks::ALLOCATED_BYTES;
    // The last one, and whatever its words point to.
    let past = PhysAddr::new(first + 8 * tasks + 2 * tasks::TABLE_BYTES);
    assert!(!contains(&pages, past), "{tasks} tasks");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

const WITHOUT_SYMBOLS: &str = "SYMBOL(swapper_pg_dir)=c000000000100000\nNUMBER(RADIX_MMU)=1
SYMBOL(_stext)=c000000000001000\n";

/// A kernel whose VMCOREINFO leads to no symbol table, with memory without holes.
fn without_symbols(machine: &TaskMachine) -> World {
    let mut world = world(machine, &[]);
    world.info = Vmcoreinfo::parse(WITHOUT_SYMBOLS.as_bytes());
    for page in (0..0x40_0000).step_by(4096) {
        if world.machine.memory.read(page, &mut [0]).is_err() {
            world.machine.memory.write(page, &[0]);
        }
    }
    world
}

#[test]
fn without_a_symbol_table_types_and_first_task_are_known_by_what_they_look_like() {
    for endian in [Endian::Little, Endian::Big] {
        let mut machine = machine(endian, LINEAR);
        // Constants of the image, and the types of a BPF program.
        machine.memory.write(0x4000, b"swapper/0\0swapper\0\0swapper\0swap");
        machine.memory.write(0x5004, &support::btf::sample(endian).build());
        machine.memory.write(0x2_f000, b"swapper/0\0");
        let expected = only_by_symbols(&machine);
        let by_contents = |world: &World| missed_by(&found(world).unwrap(), &machine);
        assert_eq!(by_contents(&without_symbols(&machine)), expected, "{endian:?}");
        // With a symbol table of functions alone.
        let mut functions = without_symbols(&machine);
        let symbols = [('T', "_stext", LINEAR + 0x1000)];
        let base = kallsyms::Addresses::FromBase(LINEAR);
        let memory = &mut functions.machine.memory;
        let info = kallsyms::write(memory, endian, LINEAR, base, &symbols);
        functions.info = Vmcoreinfo::parse(format!("{info}{WITHOUT_SYMBOLS}").as_bytes());
        assert_eq!(by_contents(&functions), expected, "{endian:?}");
        // Without SMP.
        let mut single = without_symbols(&machine);
        single.machine.memory.write(INIT_TASK + offset::COMM, b"swapper\0\0");
        assert_eq!(by_contents(&single), expected, "{endian:?}");
    }
}

/// What is found by variables alone: caches, how large tasks are, what is of each CPU.
fn only_by_symbols(machine: &TaskMachine) -> Vec<String> {
    let is_of_those = |name: &&String| {
        name.starts_with("cache ")
            || name.starts_with("counters ")
            || machine.tasks.contains_key(*name)
    };
    machine.places.keys().filter(is_of_those).cloned().collect()
}

#[test]
fn a_broken_list_of_caches_costs_the_caches_after_it() {
    let cut = |cache: &str, to: u64| {
        missed_after(|machine| {
            let at = machine.places[cache].start + LINEAR;
            machine.point(at, offset::CACHE_LIST, to);
        })
    };
    let itself = little().places["cache task_struct"].start + LINEAR + offset::CACHE_LIST;
    for to in [0, u64::MAX, itself] {
        assert_eq!(cut("cache task_struct", to), ["cache task_struct_2"], "{to:#x}");
    }
    // Tasks are as large as their type says.
    let missed = cut("cache dentry", 0);
    assert_eq!(missed[..2], ["cache task_struct", "cache task_struct_2"]);
    assert_eq!(missed[2..], little().tasks.keys().cloned().collect::<Vec<_>>());
    for bytes in [0, 1, (32 << 10) + 1, u32::MAX] {
        let missed = missed_after(|machine| {
            let at = machine.places["cache task_struct"].start + offset::CACHE_OBJECT_SIZE;
            machine.memory.write(at, &bytes.to_le_bytes());
        });
        assert_eq!(missed, little().tasks.keys().cloned().collect::<Vec<_>>(), "{bytes}");
    }
}

#[test]
fn counters_of_more_cpus_than_there_can_be_are_none() {
    let counters =
        |count: u32| missed_after(|machine| machine.memory.write(CPU_COUNT, &count.to_le_bytes()));
    assert_eq!(counters(1), ["counters 0 of CPU 1", "counters 1 of CPU 1"]);
    for count in [0, 8193, u32::MAX] {
        assert_eq!(counters(count).len(), 4, "{count}");
    }
    assert_eq!(counters(3), nothing(), "the third has none");
    // As many units as memory may have, of the first CPUs first.
    let mut machine = little();
    machine.memory.write(CPU_COUNT, &8192u32.to_le_bytes());
    let pages = found(&world(&machine, &[])).unwrap();
    let first = machine.places["counters 0 of CPU 1"].start;
    assert!(contains(&pages, PhysAddr::new(first)), "{pages:x?}");
    assert!(!contains(&pages, PhysAddr::new(first + PAGE)), "{pages:x?}");
}

#[test]
fn what_looks_like_neither_is_not_taken_for_it() {
    let missing = Err("VMCOREINFO has no SYMBOL(kallsyms_names)".to_owned());
    let machine = little();
    for (at, bytes) in [
        (BTF, &b"\x9f\xeb\x02\0"[..]),
        (BTF + 4, &[0xff; 4]),
        (INIT_TASK + offset::COMM, b"swapper/2"),
        (INIT_TASK + offset::COMM, b"swapper/01"),
        (INIT_TASK + offset::TASKS, &[0; 8]),
    ] {
        let mut world = without_symbols(&machine);
        world.machine.memory.write(at, bytes);
        assert_eq!(found(&world), missing, "{at:#x} {bytes:x?}");
    }
    let mut world = without_symbols(&machine);
    world.info = Vmcoreinfo::parse(b"SYMBOL(swapper_pg_dir)=c000000000100000\n");
    assert_eq!(found(&world), missing, "where the image is");
}

#[test]
fn an_image_full_of_magic_is_given_up_soon() {
    let mut world = without_symbols(&little());
    // Each the header of 16 MiB of types.
    let header = [0x0001_eb9f_u32, 24, 0, (16 << 20) - 24, 0, 0];
    let header: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
    world.machine.memory.write(0x20_0000, &header.repeat((16 << 20) / 24));
    world.machine.memory.write(0x180_0000, &vec![0; 16 << 20]);
    world.machine.memory.write(BTF, &[0; 4]);
    let start = Instant::now();
    assert!(found(&world).is_err());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
