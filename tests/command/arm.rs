//! 32-bit arm, whose memory does not begin at physical address 0: what a user sees of it.

use crate::process::{Folder, code, stderr};
use kdumpconv::Dump;
use serde_json::{Value, json};
use support::elf::{Class, Endian, machine};
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::machine::int;
use support::mm::{Mm, releases};
use support::model::Model;
use support::printk::{Logged, Records, Words};
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

const START: u64 = 0x6000_0000;
const PAGE_OFFSET: u64 = 0xc000_0000;

fn said(folder: &Folder, arguments: &[&str]) -> String {
    let output = folder.run(arguments);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A core with a log of 4.9 in memory that sections of 1 MiB map.
fn logged(endian: Endian) -> VmcoreBuilder {
    let words = Words { long: 4, endian };
    let mut records = Records::new(words, 4096, "printk_log", false);
    for nth in 0..10u64 {
        let text = format!("arm message {nth}").into_bytes();
        let ts_nsec = nth * 1_000_000_000;
        records.push(Logged { ts_nsec, caller_id: 0, level: 6, facility: 0, text }, b"");
    }
    let image = records.image(PAGE_OFFSET + 0x10_0000);
    let mut memory = vec![0; 4 << 20];
    for nth in 0..4 {
        let at = 0x4000 + 4 * (0xc00 + nth as usize);
        memory[at..at + 4].copy_from_slice(&int(endian, 4, (START + (nth << 20)) | 0x40e));
    }
    for (vaddr, bytes) in &image.parts {
        let at = (vaddr - PAGE_OFFSET) as usize;
        memory[at..at + bytes.len()].copy_from_slice(bytes);
    }
    let info = format!(
        "OSRELEASE=4.9.0-arm\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=c0004000\n{}",
        image.vmcoreinfo
    );
    VmcoreBuilder::new(Class::Elf32, endian, machine::ARM)
        .prstatus(0)
        .vmcoreinfo(&info)
        .load(Load::new(START, memory))
}

#[test]
fn the_log_is_printed_from_every_kind_of_dump() {
    for endian in [Endian::Little, Endian::Big] {
        let folder = Folder::new();
        folder.write("vmcore", &logged(endian).build());
        folder.run(&["vmcore", "kdump"]);
        let expected: String =
            (0..10).map(|nth| format!("[{nth:5}.000000] arm message {nth}\n")).collect();
        for name in ["vmcore", "kdump"] {
            assert_eq!(said(&folder, &["dmesg", name]), expected, "{name}");
        }
    }
}

#[test]
fn memory_has_its_physical_addresses() {
    let folder = Folder::new();
    folder.write("vmcore", &logged(Endian::Little).build());
    folder.run(&["vmcore", "kdump"]);
    for name in ["vmcore", "kdump"] {
        let text = said(&folder, &["info", name]);
        assert!(text.contains("Memory      0x60000000..0x60400000   4.0 MiB"), "{text}");
        let report: Value =
            serde_json::from_str(&said(&folder, &["info", "--json", name])).unwrap();
        let expected =
            json!([{ "start": "0x60000000", "end": "0x60400000", "pages": 1024, "kept": 1024 }]);
        assert_eq!(report["memory"], expected);
    }
}

#[test]
fn qemus_files_count_pages_from_address_0() {
    let memory = logged(Endian::Little);
    let notes = memory.note_bytes();
    // The pages of a machine that counts from 0, then those of one that does not.
    for (machine, first_pfn) in [(machine::MIPS, 0x6_0000), (machine::ARM, 0)] {
        let vmcore = VmcoreBuilder { machine, ..memory.clone() };
        let model = Model::new(&vmcore, 4096);
        assert_eq!(model.runs()[0].pfns.start, first_pfn);
        let writer = KdumpWriter {
            machine: "armv7l",
            phys_base: START,
            notes: &notes,
            ..KdumpWriter::new(&model, KdumpLayout::Le32)
        };
        let folder = Folder::new();
        folder.write("kdump", &writer.write().0);
        let text = said(&folder, &["info", "kdump"]);
        assert!(text.contains("Memory      0x60000000..0x60400000   4.0 MiB"), "{text}");
        assert!(said(&folder, &["dmesg", "kdump"]).ends_with("] arm message 9\n"));
    }
}

#[test]
fn a_filtered_file_becomes_a_core_with_the_virtual_addresses_of_the_direct_map() {
    for kernel in [releases::V6_1_ARM, releases::V6_12_ARM_LPAE] {
        let folder = Folder::new();
        folder.write("vmcore", &Mm::populated(kernel).core().bytes());
        assert_eq!(said(&folder, &["-q", "-d", "31", "vmcore", "kdump"]), "");
        assert_eq!(said(&folder, &["-q", "elf", "kdump", "core"]), "");
        let core = Dump::open_path(folder.path("core")).unwrap();
        let loads: Vec<_> = core.segments().iter().filter(|load| load.p_type == 1).collect();
        assert!(loads.len() > 3);
        for load in loads {
            let offset = load.p_paddr.unwrap().get() - kernel.arch.start;
            assert_eq!(load.p_vaddr.get(), kernel.arch.linear + offset, "{}", kernel.release);
        }
        let output = folder.run(&["verify", "kdump", "--against", "vmcore"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
}
