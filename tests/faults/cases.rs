//! The cases: commands, inputs and outputs.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use kdumpconv::Codec;
use support::elf::Endian;
use support::machine::{Memory, PageTables, Paging};
use support::mm::{Mm, releases};
use support::model::Model;
use support::printk::{Logged, Ring, State, Words};
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

use crate::common::{core_of, flat, noise, options, plain, text, x86_64};

/// Where the output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// A new file, `out`.
    New,
    /// An existing file, `out`.
    Replaced,
    /// A file whose name says that it is incomplete, and which is therefore written in place:
    /// `out-incomplete`.
    InPlace,
    /// A pipe that is standard output.
    Stdout,
    /// The FIFO `fifo`.
    Fifo,
    /// A block device.
    Device(String),
    /// A report on standard output alone.
    Report,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    Kdump,
    Elf,
    Report,
}

/// A command line with its files.
#[derive(Debug)]
pub struct Case {
    pub name: &'static str,
    pub arguments: Vec<String>,
    /// The files in the folder; inputs are named `in.*`.
    pub inputs: Vec<(String, Vec<u8>)>,
    /// The one that is read from a pipe.
    pub stdin: Option<&'static str>,
    pub to: To,
    pub made: Made,
    /// The old contents of the device.
    pub older: Vec<u8>,
    /// The memory.
    pub model: Model,
    pub core: Arc<Vec<u8>>,
}

impl Case {
    pub fn stdin_bytes(&self) -> Option<&[u8]> {
        let name = self.stdin?;
        self.inputs.iter().find(|(input, _)| input == name).map(|(_, bytes)| bytes.as_slice())
    }

    /// The name of the file that is made.
    pub fn target(&self) -> Option<&'static str> {
        match self.to {
            To::New | To::Replaced => Some("out"),
            To::InPlace => Some("out-incomplete"),
            _ => None,
        }
    }
}

/// Three batches in five segments, not aligned to pages; a long note, so that it is read in parts.
fn builder() -> VmcoreBuilder {
    let mut builder = x86_64()
        .vmcoredd(&noise(1, 150_000))
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nCRASHTIME=1700000000\n");
    for index in 0..5 {
        let bytes = [text(index, 90_000), vec![0; 40_000], noise(index, 90_100)].concat();
        builder = builder.load(Load::new(0x10_0000 + index * 0x8_0000 + index * 100, bytes));
    }
    builder.prstatus(1)
}

/// Segments that a pipe brings out of order, so that pages must be spooled.
fn unordered() -> VmcoreBuilder {
    x86_64()
        .prstatus(0)
        .load(Load::new(0x100_0000, noise(7, 200_000)))
        .load(Load::new(0x10_0000, [text(8, 200_000), vec![0; 100_000]].concat()))
}

/// A kernel with a log in its memory.
fn with_log() -> VmcoreBuilder {
    let words = Words { long: 8, endian: Endian::Little };
    let linear = 0xffff_ffff_8000_0000u64;
    let mut ring = Ring::new(words, 5, 12);
    for number in 0..20u64 {
        let text = format!("line {number} of the log").into_bytes();
        let logged =
            Logged { ts_nsec: number * 1_000_000, caller_id: 1, level: 6, facility: 0, text };
        ring.push(logged, State::Finalized);
    }
    let image = ring.image(linear + 0x40_0000);
    let mut memory = Memory::default();
    let paging = Paging::X86_64 { levels: 4, encrypted: 0 };
    let mut tables = PageTables::new(&mut memory, paging, 0x10_0000, 0x12_0000);
    let last = paging.levels().len() - 1;
    tables.map(&mut memory, linear + 0x10_0000, 0x10_0000, last);
    for (vaddr, bytes) in &image.parts {
        memory.write(vaddr - linear, bytes);
        for page in vaddr / 4096..=(vaddr + bytes.len() as u64) / 4096 {
            tables.map(&mut memory, page * 4096, page * 4096 - linear, last);
        }
    }
    let info = format!(
        "OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff80100000\n\
         NUMBER(phys_base)=0\n{}",
        image.vmcoreinfo
    );
    let mut builder = x86_64().prstatus(0).vmcoreinfo(&info);
    for paddr in memory.chunks().collect::<Vec<_>>() {
        let mut bytes = vec![0; 4096];
        memory.read(paddr, &mut bytes).unwrap();
        builder = builder.load(Load::new(paddr, bytes));
    }
    builder
}

/// A loop device on a temporary file, detached at the end.
pub struct LoopDevice {
    pub path: String,
    /// It exists as long as a process has it open.
    _device: fs::File,
    _file: tempfile::NamedTempFile,
}

impl LoopDevice {
    pub fn new(bytes: u64) -> Result<Self, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(bytes).unwrap();
        let output = Command::new("losetup").args(["--find", "--show"]).arg(file.path()).output();
        let output = output.map_err(|error| format!("losetup: {error}"))?;
        if !output.status.success() {
            return Err(format!("no loop device: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let path = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        let device = fs::File::open(&path).map_err(|error| format!("{path}: {error}"))?;
        // From now on it disappears with the last open descriptor, however this process ends.
        let _ = Command::new("losetup").args(["--detach", &path]).status();
        Ok(LoopDevice { path, _device: device, _file: file })
    }
}

struct Inputs {
    core: Arc<Vec<u8>>,
    model: Model,
}

impl Inputs {
    fn of(builder: &VmcoreBuilder) -> Self {
        Inputs { core: Arc::new(builder.build()), model: Model::new(builder, 4096) }
    }

    fn case(&self, name: &'static str, arguments: &str, to: To, made: Made) -> Case {
        let mut case = Case {
            name,
            arguments: arguments.split(' ').map(str::to_owned).collect(),
            inputs: Vec::new(),
            stdin: None,
            to,
            made,
            older: Vec::new(),
            model: self.model.clone(),
            core: Arc::clone(&self.core),
        };
        let dump = || core_of(self.core.to_vec()).unwrap();
        for name in ["in.vmcore", "in.kdump", "in.flat", "in.vmcore.zst"] {
            if case.arguments.iter().all(|argument| argument != name) {
                continue;
            }
            let bytes = match name {
                "in.kdump" => plain(&dump(), &options(Codec::Lzo, 1, 1)).unwrap().0,
                "in.flat" => flat(&dump(), &options(Codec::Zlib, 1, 1)).unwrap().0,
                "in.vmcore.zst" => zstd::bulk::compress(&self.core, 1).unwrap(),
                _ => self.core.to_vec(),
            };
            case.inputs.push((name.to_owned(), bytes));
        }
        case
    }

    fn piped(&self, name: &'static str, arguments: &str, to: To, from: &'static str) -> Case {
        let mut case = self.case(name, &format!("{arguments} {from}"), to, Made::Kdump);
        let from_is_last = case.arguments.pop();
        assert_eq!(from_is_last.as_deref(), Some(from));
        case.stdin = Some(from);
        case.inputs.retain(|(input, _)| input == from);
        case
    }
}

/// All cases; those of block devices as well if there is one.
pub fn all(device: Option<&LoopDevice>) -> Vec<Case> {
    let small = Inputs::of(&builder());
    let log = Inputs::of(&with_log());
    let mixed = Inputs::of(&unordered());
    let populated = Inputs::of(&Mm::populated(releases::V6_12).core().builder);
    let mut cases = vec![
        small.case("file to new file", "-j1 -z in.vmcore out", To::New, Made::Kdump),
        small.case("file to new file, 2 threads", "-j2 -l in.vmcore out", To::New, Made::Kdump),
        small.case("-f over a file", "-j1 -c -f in.vmcore out", To::Replaced, Made::Kdump),
        small.case("in place", "-j1 -l in.vmcore out-incomplete", To::InPlace, Made::Kdump),
        small.case("--verify", "-j1 -l --verify in.vmcore out", To::New, Made::Kdump),
        small.case("flattened file", "-j1 -F -p in.vmcore out", To::New, Made::Kdump),
        small.case("to a pipe", "-j1 -l in.vmcore -", To::Stdout, Made::Kdump),
        small.case("to a FIFO, 2 threads", "-j2 -Cnone in.vmcore fifo", To::Fifo, Made::Kdump),
        small.piped("from a pipe", "-j1 -l - out", To::New, "in.vmcore"),
        small.piped("from pipe to pipe", "-j2 -z - -", To::Stdout, "in.vmcore"),
        mixed.piped("from a pipe, spooled", "-j1 -l - out", To::New, "in.vmcore"),
        small.case("from .zst", "-j1 -l in.vmcore.zst out", To::New, Made::Kdump),
        populated.case(
            "-d 31 from .zst",
            "-j1 -l -d31 --spool . in.vmcore.zst out",
            To::New,
            Made::Kdump,
        ),
        small.case("from kdump", "-j1 -z in.kdump out", To::New, Made::Kdump),
        small.piped("from kdump in a pipe", "-j1 -z - out", To::New, "in.kdump"),
        small.case("from flattened", "-j1 -z in.flat out", To::New, Made::Kdump),
        populated.case("-d 31", "-j1 -l -d31 in.vmcore out", To::New, Made::Kdump),
        populated.case("-d 1 of a kernel", "-j1 -l -d1 in.vmcore out", To::New, Made::Kdump),
        small.case("elf", "elf -j1 in.kdump out", To::New, Made::Elf),
        small.case("elf to a pipe", "elf -j1 in.kdump -", To::Stdout, Made::Elf),
        small.case("unflatten", "unflatten in.flat out", To::New, Made::Kdump),
        small.piped("unflatten from a pipe", "unflatten - out", To::New, "in.flat"),
        small.case("verify", "verify -j1 in.kdump", To::Report, Made::Report),
        small.case(
            "verify --against",
            "verify -j2 in.kdump --against in.vmcore",
            To::Report,
            Made::Report,
        ),
        log.case("dmesg", "dmesg in.vmcore", To::Report, Made::Report),
        log.case("dmesg from .zst", "dmesg --spool . in.vmcore.zst", To::Report, Made::Report),
        log.case("info", "info in.kdump", To::Report, Made::Report),
    ];
    if let Some(device) = device {
        let other = core_of(unordered().build()).unwrap();
        let arguments = format!("-j1 -z in.vmcore {}", device.path);
        let to = To::Device(device.path.clone());
        let mut case = small.case("to a block device", &arguments, to, Made::Kdump);
        case.older = plain(&other, &options(Codec::Raw, 1, 1)).unwrap().0;
        cases.push(case);
    }
    cases
}
