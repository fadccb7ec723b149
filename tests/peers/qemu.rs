//! A machine in QEMU that never runs: it gets the memory and the registers of a vmcore, and QEMU writes
//! them in each of its ways.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::elf_reader::ElfCore;
use support::notes::parse_notes;
use tempfile::TempDir;

use crate::python::in_path;
use crate::tools::run;

/// How long QEMU may take for any one thing.
const PATIENCE: Duration = Duration::from_secs(60);

/// QEMU for x86_64.
#[derive(Clone, Debug)]
pub(crate) struct Qemu {
    program: PathBuf,
    /// Its major version.
    pub(crate) version: u32,
}

impl Qemu {
    /// The one of PATH.
    pub(crate) fn found() -> Result<Self, String> {
        let found = in_path("qemu-system-x86_64");
        let program = found.first().ok_or("there is no qemu-system-x86_64 in PATH")?;
        let text = run(Command::new(program).arg("--version")).succeeded();
        let version = text.split("version ").nth(1).and_then(|rest| rest.split('.').next());
        let version = version.and_then(|number| number.parse().ok());
        Ok(Qemu { program: program.clone(), version: version.ok_or(text)? })
    }

    /// Starts a machine with `options` whose RAM is a private copy of the file `memory`, with the
    /// registers of each CPU.
    pub(crate) fn start(&self, options: &[&str], memory: &Path, cpus: &[Registers]) -> Machine {
        let mib = memory.metadata().unwrap().len() >> 20;
        let sockets = TempDir::new().unwrap();
        let gdb = sockets.path().join("gdb");
        let backend = format!(
            "memory-backend-file,id=pc.ram,size={mib}M,share=off,mem-path={}",
            memory.display()
        );
        let mut command = Command::new(&self.program);
        command.args(["-S", "-accel", "tcg", "-nodefaults", "-display", "none"]);
        command.args(["-qmp", "stdio", "-object", &backend, "-m", &format!("{mib}M")]);
        command.args(["-smp", &cpus.len().to_string()]).args(options);
        command.arg("-gdb").arg(format!("unix:{},server=on,wait=off", gdb.display()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut machine = Machine { process, input, output };
        machine.ask("qmp_capabilities", &json!({}));
        let mut gdb = Gdb(UnixStream::connect(&gdb).unwrap());
        for (cpu, registers) in cpus.iter().enumerate() {
            gdb.set(cpu + 1, registers);
        }
        machine
    }
}

/// A machine that stands still.
#[derive(Debug)]
pub(crate) struct Machine {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Machine {
    /// QEMU's answer to a command of QMP.
    fn ask(&mut self, command: &str, arguments: &Value) -> Value {
        writeln!(self.input, "{}", json!({"execute": command, "arguments": arguments})).unwrap();
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "QEMU ended at {command}");
            let mut told: Value = serde_json::from_str(&line).unwrap();
            assert!(told.get("error").is_none(), "{command} {arguments}: {told}");
            // Other lines are its greeting and events.
            if let Some(answer) = told.get_mut("return") {
                return answer.take();
            }
        }
    }

    /// An ELF core of all memory, with the registers of all CPUs.
    pub(crate) fn write_elf(&mut self, target: &Path) {
        let target = format!("file:{}", target.display());
        self.ask("dump-guest-memory", &json!({"paging": false, "protocol": target}));
    }

    /// Raw memory.
    pub(crate) fn write_memory(&mut self, target: &Path, start: u64, bytes: u64) {
        self.ask("pmemsave", &json!({"val": start, "size": bytes, "filename": target}));
    }

    /// A migration stream, with capabilities that are off by default. It is the last that QEMU writes.
    pub(crate) fn write_stream(mut self, target: &Path, capabilities: &[&str]) {
        let on = |name: &&str| json!({"capability": name, "state": true});
        let on: Vec<Value> = capabilities.iter().map(on).collect();
        self.ask("migrate-set-capabilities", &json!({"capabilities": on}));
        // Older than 8.2 does not know file:, and mapped-ram goes to nothing else.
        let uri = match capabilities {
            [] => format!("exec:cat >'{}'", target.display()),
            _ => format!("file:{}", target.display()),
        };
        self.ask("migrate", &json!({"uri": uri}));
        let start = Instant::now();
        loop {
            let told = self.ask("query-migrate", &json!({}));
            if told["status"] == "completed" {
                break;
            }
            assert_ne!(told["status"], "failed", "{told}");
            assert!(start.elapsed() < PATIENCE, "{told}");
            sleep(Duration::from_millis(20));
        }
        self.ask("quit", &json!({}));
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It has ended, unless a test failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Registers by their numbers in QEMU's gdb stub, in an order in which they can be set, with their sizes
/// in bytes.
pub(crate) type Registers = Vec<(u8, u64, usize)>;

/// Descriptors of 64-bit code and data of the kernel (selectors 0x10, 0x18) and of user space (0x2b,
/// 0x33), by their physical addresses: after a reset the descriptor table is at 0.
const DESCRIPTORS: [(u64, u64); 4] = [
    (0x10, 0x00af_9b00_0000_ffff),
    (0x18, 0x00cf_9300_0000_ffff),
    (0x28, 0x00cf_f300_0000_ffff),
    (0x30, 0x00af_fb00_0000_ffff),
];

/// Puts into memory what [`registers_of`] needs to be there.
pub(crate) fn write_descriptors(memory: &File) {
    for (address, descriptor) in DESCRIPTORS {
        memory.write_all_at(&descriptor.to_le_bytes(), address).unwrap();
    }
}

/// The registers of all CPUs of an x86_64 core, by QEMU's own notes. Their layout is that of
/// `QEMUCPUState`: version, size, 18 general registers, 10 segments of 24 bytes, control registers,
/// `kernel_gs_base`.
pub(crate) fn registers_of(core: &ElfCore) -> Vec<Registers> {
    let notes = parse_notes(&core.note_bytes, core.endian);
    let states = notes.into_iter().filter(|found| found.note.name == "QEMU");
    states.map(|found| steps(&found.note.desc)).collect()
}

fn steps(state: &[u8]) -> Registers {
    let word = |at: usize| u64::from_le_bytes(state[at..at + 8].try_into().unwrap());
    let general = |index: usize| word(8 + 8 * index);
    let selector = |segment: usize| word(152 + 24 * segment) & 0xffff;
    let base = |segment: usize| word(152 + 24 * segment + 16);
    let control = |index: usize| word(392 + 8 * index);
    const PAGING: u64 = 1 << 31;
    const LONG_MODE: u64 = 0xd01;
    let [cs, fs, gs, ss] = [0, 3, 4, 5];
    // Segments are loaded before paging is on, from where the descriptors are.
    let mut steps = vec![(30, control(4), 8), (29, control(3), 8), (28, control(2), 8)];
    steps.extend([(32, LONG_MODE, 8), (27, control(0) & !PAGING, 8)]);
    steps.extend([(19, selector(ss), 4), (18, selector(cs), 4), (27, control(0), 8)]);
    // The note has rsp and rbp the other way round; 16 is rip.
    let order = [0, 1, 2, 3, 4, 5, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    steps.extend((0..).zip(order).map(|(number, index)| (number, general(index), 8)));
    steps.extend([(17, general(17), 4), (24, base(fs), 8), (25, base(gs), 8), (26, word(432), 8)]);
    steps
}

/// A session with QEMU's gdb stub.
struct Gdb(UnixStream);

impl Gdb {
    fn ask(&mut self, request: &str) -> String {
        let sum = request.bytes().fold(0_u8, u8::wrapping_add);
        write!(self.0, "${request}#{sum:02x}").unwrap();
        // "+", then "$answer#sum".
        let mut answer = Vec::new();
        while answer.iter().rev().nth(2) != Some(&b'#') {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
        self.0.write_all(b"+").unwrap();
        let answer = String::from_utf8_lossy(&answer);
        answer.trim_start_matches(['+', '$']).split('#').next().unwrap().to_owned()
    }

    fn set(&mut self, cpu: usize, registers: &Registers) {
        // Only who knows of the registers may set one.
        self.ask("qSupported:xmlRegisters=i386");
        self.ask("qXfer:features:read:target.xml:0,ffb");
        assert_eq!(self.ask(&format!("Hg{cpu:x}")), "OK");
        for &(number, value, bytes) in registers {
            let value: String =
                value.to_le_bytes().iter().take(bytes).map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(self.ask(&format!("P{number:x}={value}")), "OK", "register {number}");
        }
    }
}
