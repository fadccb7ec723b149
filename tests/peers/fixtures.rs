//! Fixtures of the library's builder open in real readers: libkdumpfile finds the pages, the
//! excluded pages and each CPU's registers; drgn reads memory by physical address; crash reads the
//! kernel's release.

use std::path::PathBuf;
use std::process::Command;

use kdumpconv::Architecture;
use kdumpconv::ByteOrder;
use kdumpconv::ConvertOptions;
use kdumpconv::Dump;
use kdumpconv::FlattenedSink;
use kdumpconv::SeekSink;
use kdumpconv::fixtures::{Load, VmcoreBuilder, VmcoreinfoText};

use crate::product::Folder;
use crate::skip::need;
use crate::tools::{self, python, run};

/// Prints what libkdumpfile finds in a fixture: page 3, the last bytes of memory, the excluded
/// page, the hole after it, two CPUs.
const KDUMPFILE: &str = r#"
import sys, kdumpfile
dump = kdumpfile.kdumpfile(file=sys.argv[1])
page_size, register = int(sys.argv[2]), sys.argv[3]
def page(pfn):
    try:
        return bytes(dump.read(kdumpfile.KDUMP_MACHPHYSADDR, pfn * page_size, page_size))
    except kdumpfile.exceptions.NoDataException:
        return None
print(dump.attr["arch.name"], dump.attr["linux.uts.release"], dump.attr["linux.uts.machine"])
print(page(3) == b"hello".ljust(page_size, b"\0"), page(7) == bytes(page_size), page(15)[-3:])
print(page(16), page(17))
print(dump.attr["cpu.number"], [dump.attr["cpu.%d.pid" % cpu] for cpu in (0, 1)])
print([hex(dump.attr["cpu.%d.reg.%s" % (cpu, register)]) for cpu in (0, 1)])
"#;

/// The same with drgn, as far as it can without debugging information.
const DRGN: &str = r#"
import sys, drgn
prog = drgn.Program()
prog.set_core_dump(sys.argv[1])
def read(paddr, size):
    try:
        return prog.read(paddr, size, physical=True)
    except drgn.FaultError:
        return None
print(read(0x3000, 6), read(0xfffd, 3), read(0x10000, 1), read(0x11000, 1))
"#;

/// libkdumpfile's names of an architecture and of its first register.
type Machine = (Architecture, ByteOrder, &'static str, &'static str, &'static str);

/// The architectures that Debian's libkdumpfile (0.5.1) knows.
const MACHINES: [Machine; 6] = [
    (Architecture::X86_64, ByteOrder::Little, "x86_64", "x86_64", "r15"),
    (Architecture::I386, ByteOrder::Little, "ia32", "i686", "ebx"),
    (Architecture::Aarch64, ByteOrder::Little, "aarch64", "aarch64", "x0"),
    (Architecture::S390x, ByteOrder::Big, "s390x", "s390x", "pswm"),
    (Architecture::Ppc64, ByteOrder::Little, "ppc64", "ppc64le", "r0"),
    (Architecture::Ppc64, ByteOrder::Big, "ppc64", "ppc64", "r0"),
];

/// Sixteen pages of memory, one excluded page, and two CPUs.
fn vmcore(arch: Architecture, order: ByteOrder, page_bytes: u64) -> Vec<u8> {
    let info = VmcoreinfoText::new("6.12.0-fixture", page_bytes)
        .symbol("swapper_pg_dir", 0xffff_ffff_8200_0000)
        .number("pgtable_l5_enabled", 0);
    VmcoreBuilder::new(arch)
        .byte_order(order)
        .page_size(page_bytes)
        .vmcoreinfo(info)
        .cpu(101, &[0x1234_5678])
        .cpu(102, &[0x2345_6789])
        .load(Load::new(0..16 * page_bytes))
        .load(Load::new(16 * page_bytes..17 * page_bytes).excluded())
        .page(3, b"hello")
        .bytes(16 * page_bytes - 3, b"end")
        .to_vec()
        .unwrap()
}

/// The vmcore, and plain and flattened kdump files of it.
fn files(folder: &Folder, vmcore: Vec<u8>) -> [PathBuf; 3] {
    let dump = Dump::of_bytes(vmcore.clone()).unwrap();
    let mut plain = SeekSink::in_memory();
    kdumpconv::convert(&dump, &mut plain, &ConvertOptions::default(), &mut |_| ()).unwrap();
    let mut flat = Vec::new();
    let mut sink = FlattenedSink::new(&mut flat);
    kdumpconv::convert(&dump, &mut sink, &ConvertOptions::default(), &mut |_| ()).unwrap();
    [("vmcore", vmcore), ("plain", plain.into_vec()), ("flat", flat)].map(|(name, bytes)| {
        let path = folder.file(name);
        std::fs::write(&path, bytes).unwrap();
        path
    })
}

#[test]
fn libkdumpfile_finds_pages_and_registers_of_built_dumps() {
    need!(python("kdumpfile"));
    for (arch, order, name, machine, register) in MACHINES {
        let page_bytes = if arch == Architecture::Ppc64 { 65536 } else { 4096 };
        let folder = Folder::new();
        let [_, plain, _] = files(&folder, vmcore(arch, order, page_bytes));
        let mut python = python("kdumpfile").unwrap();
        python.args(["-c", KDUMPFILE]).arg(plain).arg(page_bytes.to_string()).arg(register);
        let expected = format!(
            "{name} 6.12.0-fixture {machine}\nTrue True b'end'\nNone None\n2 [101, 102]\n\
             ['0x12345678', '0x23456789']\n"
        );
        assert_eq!(run(&mut python).succeeded(), expected, "{arch:?} {order:?}");
    }
}

#[test]
fn drgn_reads_built_dumps_by_physical_address() {
    need!(python("drgn"));
    let folder = Folder::new();
    let files = files(&folder, vmcore(Architecture::X86_64, ByteOrder::Little, 4096));
    // In an ELF core, drgn reads memory without data as zeros.
    for (file, left_out) in files.iter().zip([r"b'\x00'", "None", "None"]) {
        let mut python = python("drgn").unwrap();
        let ran = run(python.args(["-c", DRGN]).arg(file));
        ran.exited(0);
        ran.printed(&format!("b'hello\\x00' b'end' {left_out} None\n"));
    }
}

#[test]
fn crash_reads_the_release_of_built_dumps() {
    let crash = need!(tools::crash());
    let folder = Folder::new();
    for file in files(&folder, vmcore(Architecture::X86_64, ByteOrder::Little, 4096)) {
        let mut command = Command::new(&crash);
        command.current_dir(folder.path()).env("HOME", folder.path());
        let text = run(command.arg("--osrelease").arg(&file)).succeeded();
        assert_eq!(text, "6.12.0-fixture\n", "{}", file.display());
    }
}
