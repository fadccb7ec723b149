//! QEMU writes the memory and registers of one moment in each of its ways: what we read of a migration
//! stream or of raw memory is what its ELF core has, page for page.

use std::ffi::OsString;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use support::compare::{Allowed, differences};
use support::elf_reader::ElfCore;
use support::kdump::Strictness;
use support::model::{Contents, Model, PageClass};
use support::notes::{Note, parse_notes};

use crate::crash::{check_session_of_the_vmcore, session};
use crate::product::{Folder, kdumpconv, kdumpconv_elf, open, subcommand};
use crate::qemu::{Qemu, registers_of, write_descriptors};
use crate::skip::{need, or_skip};
use crate::tools::{self, python, run};
use crate::vmcores::{FIRMWARE, PAGE_BYTES, TINY, TINY_POISONED_PFN, TINY_VMLINUX};

const LOW_BYTES: u64 = 64 << 20;
const HIGH: u64 = 1 << 32;

/// A machine with the RAM of tiny-x86_64 from address 0 on, and more at 4 GiB.
struct Kind {
    options: &'static [&'static str],
    high_bytes: u64,
}

const PC: Kind = Kind { options: &["-machine", "pc,memory-backend=pc.ram"], high_bytes: 0 };
const Q35: Kind = Kind {
    options: &["-machine", "q35,memory-backend=pc.ram,max-ram-below-4g=64M", "-cpu", "max"],
    high_bytes: 32 << 20,
};

/// An image that QEMU wrote: what it is, and how our command gets it.
type Written = (&'static str, Vec<OsString>);

/// What QEMU wrote of one moment.
struct Moment {
    elf: PathBuf,
    images: Vec<Written>,
}

/// The machine's memory: that of the vmcore, then pages none of which is another's equal.
fn memory(kind: &Kind, core: &ElfCore, target: &Path) {
    let Contents::File(file, offset) = &core.memory[0].contents else { panic!("{core:?}") };
    let mut bytes = vec![0; usize::try_from(core.memory[0].filesz).unwrap()];
    assert_eq!((core.memory[0].paddr, bytes.len() as u64), (0, LOW_BYTES));
    file.read_exact_at(&mut bytes, *offset).unwrap();
    let high = (HIGH..HIGH + kind.high_bytes).step_by(8).flat_map(|at| (!at).to_le_bytes());
    bytes.extend(high);
    std::fs::write(target, bytes).unwrap();
    write_descriptors(&File::options().write(true).open(target).unwrap());
}

fn write(kind: &Kind, qemu: &Qemu, core: &ElfCore, folder: &Folder) -> Moment {
    let ram = folder.file("ram");
    memory(kind, core, &ram);
    let start = || qemu.start(kind.options, &ram, &registers_of(core));
    let [elf, low, high] = ["elf", "low", "high"].map(|name| folder.file(name));

    let mut machine = start();
    machine.write_elf(&elf);
    machine.write_memory(&low, 0, LOW_BYTES);
    let mut raw: Vec<OsString> = vec!["--raw".into(), low.clone().into()];
    if kind.high_bytes > 0 {
        machine.write_memory(&high, HIGH, kind.high_bytes);
        raw = [(&low, 0), (&high, HIGH)].map(|(file, at)| placed(file, at)).into();
    }
    let stream = folder.file("stream");
    machine.write_stream(&stream, &[]);
    let mut images = vec![("raw memory", raw), ("a migration stream", vec![stream.into()])];

    let new_enough = (qemu.version >= 9).then_some(());
    let why = || format!("QEMU {} does not know mapped-ram, 9 does", qemu.version);
    if or_skip(new_enough.ok_or_else(why)).is_some() {
        let mapped = folder.file("mapped-ram");
        start().write_stream(&mapped, &["mapped-ram"]);
        images.push(("mapped-ram", vec![mapped.into()]));
    }
    Moment { elf, images }
}

/// `FILE@ADDRESS`.
fn placed(file: &Path, address: u64) -> OsString {
    let mut argument = file.as_os_str().to_owned();
    argument.push(format!("@{address:#x}"));
    argument
}

/// What an ELF core has, without the firmware if the image is of RAM alone.
fn model(core: &ElfCore, what: &str) -> Model {
    let is_there = |paddr: u64| what != "raw memory" || paddr != FIRMWARE;
    let memory = core.memory.iter().filter(|memory| is_there(memory.paddr)).cloned();
    Model::from_memory(core.machine, memory.collect(), PAGE_BYTES)
}

/// Where a PC has ROM until its firmware runs, which copies it to the RAM below: a migration stream has
/// the RAM.
const SHADOWED: Range<u64> = 0xc0..0x100;

fn registers(core: &ElfCore) -> Vec<Note> {
    let notes = parse_notes(&core.note_bytes, core.endian).into_iter().map(|found| found.note);
    notes.filter(|note| note.name != "VMCOREINFO").collect()
}

/// The pages that two cores do not have in common, up to the first ten, without those [`SHADOWED`].
fn differing(a: &Model, b: &Model) -> Vec<u64> {
    let runs = a.runs().iter().chain(b.runs()).filter(|run| run.class != PageClass::Hole);
    let pfns = runs.flat_map(|run| run.pfns.clone()).filter(|pfn| !SHADOWED.contains(pfn));
    pfns.filter(|&pfn| a.page(pfn) != b.page(pfn)).take(10).collect()
}

/// Every image of `kind` has the pages, the registers and the log of the ELF core of its moment.
fn every_image_is_the_elf_core(kind: &Kind) {
    let qemu = need!(Qemu::found());
    let tiny = ElfCore::open(&need!(TINY.unpacked())).unwrap();
    let folder = Folder::new();
    let moment = write(kind, &qemu, &tiny, &folder);
    let core = ElfCore::open(&moment.elf).unwrap();
    // The judge itself: QEMU has taken memory and registers.
    let [theirs, tinys] = [&core, &tiny].map(registers);
    let prstatus = |notes: &[Note]| notes.iter().filter(|n| n.name == "CORE").cloned().collect();
    let [theirs_core, tinys_core]: [Vec<Note>; 2] = [prstatus(&theirs), prstatus(&tinys)];
    assert_eq!(theirs_core, tinys_core);
    assert_eq!(theirs.len(), 4, "{theirs:x?}");
    let log = run(subcommand("dmesg").args(["-q", "--find-vmcoreinfo"]).arg(&moment.elf));
    let log = log.succeeded();
    assert!(log.lines().count() > 200, "{log}");

    for (what, arguments) in &moment.images {
        let expected = model(&core, what);
        let elf = folder.file("our-elf");
        run(kdumpconv_elf().args(arguments).arg(&elf)).succeeded();
        let ours = ElfCore::open(&elf).unwrap();
        assert_eq!(differing(&ours.model(PAGE_BYTES), &expected), [0; 0], "{what}");
        if *what != "raw memory" {
            assert_eq!(registers(&ours), theirs, "{what}");
        }
        let kdump = folder.file("our-kdump");
        run(kdumpconv().args(["-f", "-d", "0", "-l"]).args(arguments).arg(&kdump)).succeeded();
        let kdump = open(&kdump, Strictness::Ours);
        let mut differing = differences(&expected, &kdump, Allowed::default(), 100).unwrap();
        differing.retain(|found| !SHADOWED.contains(&found.pfns.start));
        let [poisoned] = differing.as_slice() else { panic!("{what}: {differing:?}") };
        assert_eq!(poisoned.pfns, TINY_POISONED_PFN..TINY_POISONED_PFN + 1, "{what}");
        let ours = run(subcommand("dmesg").arg("-q").args(arguments)).succeeded();
        assert_eq!(ours, log, "{what}");
    }
}

#[test]
fn what_qemu_writes_of_a_pc_is_its_elf_core_page_for_page() {
    every_image_is_the_elf_core(&PC);
}

#[test]
fn what_qemu_writes_of_a_q35_with_memory_above_4_gib_is_its_elf_core_page_for_page() {
    every_image_is_the_elf_core(&Q35);
}

/// The stacks of the tasks that ran, and all tasks.
const STACKS: &str = r#"
import sys, drgn
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import cpu_curr
prog = drgn.Program()
prog.set_core_dump(sys.argv[1])
prog.load_debug_info([sys.argv[2]])
for task in for_each_task(prog):
    print("task", task.pid.value_(), task.comm.string_())
for cpu in range(2):
    print("cpu", cpu, prog.stack_trace(cpu_curr(prog, cpu)))
"#;

#[test]
fn crash_and_drgn_find_in_a_migration_stream_what_they_find_in_the_vmcore() {
    let qemu = need!(Qemu::found());
    let tiny = need!(TINY.unpacked());
    let vmlinux = need!(TINY_VMLINUX.unpacked());
    let crash = need!(tools::crash());
    need!(python("drgn"));
    let folder = Folder::new();
    let core = ElfCore::open(&tiny).unwrap();
    let [ram, stream] = ["ram", "stream"].map(|name| folder.file(name));
    memory(&PC, &core, &ram);
    qemu.start(PC.options, &ram, &registers_of(&core)).write_stream(&stream, &[]);
    let kdump = folder.convert(&stream, "kdump", &[]);

    let by_crash = session(&crash, &vmlinux, &tiny, &folder);
    check_session_of_the_vmcore(&by_crash);
    assert_eq!(session(&crash, &vmlinux, &kdump, &folder).rest, by_crash.rest);

    let stacks = |dump: &Path| {
        let mut python = python("drgn").unwrap();
        run(python.args(["-c", STACKS]).arg(dump).arg(&vmlinux)).succeeded()
    };
    // drgn reads address 0 of a kdump file, and not of QEMU's ELF core.
    let expected = stacks(&folder.convert(&tiny, "of-tiny", &[]));
    assert_eq!(expected.matches("task ").count(), 42, "{expected}");
    assert!(expected.contains("default_idle_call"), "{expected}");
    assert_eq!(stacks(&kdump), expected);
}
