//! The registers of the guest's CPUs, as the notes that QEMU's own dumps have.

use crate::dump::image::Machine;
use crate::dump::image::qemu::devices::DeviceState;
use crate::format::elf::RegisterGroup::{self, Ints, Longs};
use crate::format::elf::{NT_PRSTATUS, Prstatus, SegmentRegister, X86_64Cpu, encode_note};
use crate::format::wire::ByteOrder::{Big, Little};
use crate::kernel::arch::Architecture;

/// The name of the devices that are CPUs.
pub(super) const CPU: &str = "cpu";

/// A register: an element of a field, or one that is always 0.
#[derive(Debug, Clone, Copy)]
enum Register {
    Field(&'static str, u64),
    Zero,
}
use Register::{Field, Zero};

/// Elements of an array of registers.
fn all(field: &'static str, elements: std::ops::Range<u64>) -> impl Iterator<Item = Register> {
    elements.map(move |index| Field(field, index))
}

/// The machine that the CPUs are of; `None` if it is not known, or not one that Linux ran on.
pub(super) fn machine(cpus: &[DeviceState]) -> Option<Machine> {
    let first = cpus.first()?;
    let number = |field| first.number(field, 0);
    let is_64bit = |field| first.bytes(field, 0).is_some_and(|bytes| bytes.len() == 8);
    let (arch, order) = if let Some(hflags) = number("env.hflags") {
        // HF_LMA_MASK (target/i386/cpu.h), paging and protection in cr0.
        match (hflags & (1 << 14) != 0, number("env.cr[0]")? & 0x8000_0001) {
            (true, _) => (Architecture::X86_64, Little),
            (false, 0x8000_0001) => (Architecture::I386, Little),
            _ => return None,
        }
    } else if is_64bit("env.xregs") {
        // PSTATE.nRW: the CPU runs in AArch32.
        (number("cpsr")? & 0x10 == 0).then_some((Architecture::Aarch64, Little))?
    } else if is_64bit("env.gpr") && number("env.mhartid").is_some() {
        (Architecture::Riscv64, Little)
    } else if is_64bit("env.psw.mask") {
        (Architecture::S390x, Big)
    } else if is_64bit("env.CSR_CRMD") {
        (Architecture::LoongArch64, Little)
    } else {
        // Of ppc64 the byte order of the CPU need not be that of the kernel, which VMCOREINFO tells.
        return None;
    };
    Some(Machine { arch, order })
}

/// The registers of `elf_gregset_t` in their order, and its layout, for the architectures whose
/// registers are read.
fn registers(arch: Architecture) -> Option<(Vec<Register>, &'static [RegisterGroup])> {
    Some(match arch {
        Architecture::Aarch64 => {
            let rest = [Field("env.pc", 0), Field("cpsr", 0)];
            (all("env.xregs", 0..32).chain(rest).collect(), &[Longs(34)])
        }
        Architecture::Riscv64 => {
            let pc = std::iter::once(Field("env.pc", 0));
            (pc.chain(all("env.gpr", 1..32)).collect(), &[Longs(32)])
        }
        Architecture::S390x => {
            let psw = [Field("env.psw.mask", 0), Field("env.psw.addr", 0)].into_iter();
            let general = all("env.regs", 0..16).chain(all("env.aregs", 0..16));
            (psw.chain(general).collect(), &[Longs(18), Ints(16), Longs(1)])
        }
        Architecture::LoongArch64 => {
            let rest = [Zero, Field("env.CSR_ERA", 0), Field("env.CSR_BADV", 0)];
            (all("env.gpr", 0..32).chain(rest).collect(), &[Longs(45)])
        }
        _ => return None,
    })
}

/// The notes of all CPUs; `None` if the registers of this machine are not read, or one has fields that
/// are not known. QEMU numbers the processes that run on them: CPU 0 runs process 1.
pub(super) fn notes(cpus: &[DeviceState], machine: Machine) -> Option<Vec<u8>> {
    let Machine { arch, order } = machine;
    if arch == Architecture::X86_64 {
        let cpus = cpus.iter().map(of_x86_64).collect::<Option<Vec<_>>>()?;
        return Some(X86_64Cpu::notes_of(&cpus));
    }
    let (registers, groups) = registers(arch)?;
    let layout = arch.layout(order);
    let mut notes = Vec::new();
    for cpu in cpus {
        let values = registers.iter().map(|register| match register {
            Field(name, index) => cpu.number(name, *index),
            Zero => Some(0),
        });
        let values: Vec<u64> = values.collect::<Option<_>>()?;
        let pid = u32::try_from(cpu.instance).ok()?.checked_add(1)?;
        let status = Prstatus { pid, registers: &values, groups };
        status.check(layout).ok()?;
        notes.extend(encode_note("CORE", NT_PRSTATUS, &status.encode(layout), order));
    }
    Some(notes)
}

/// The registers of a CPU of x86_64, whose fields `vmstate_x86_cpu` of QEMU's `target/i386/machine.c`
/// lists.
fn of_x86_64(cpu: &DeviceState) -> Option<X86_64Cpu> {
    let number = |field| cpu.number(field, 0);
    let regs = |index| cpu.number("env.regs", index);
    let segment = |name: &str, index| {
        let part = |part: &str| cpu.number(&format!("{name}.{part}"), index);
        let word = |of: &str| u32::try_from(part(of)?).ok();
        Some(SegmentRegister {
            selector: word("selector")?,
            limit: word("limit")?,
            flags: word("flags")?,
            base: part("base")?,
        })
    };
    let segs = |index| segment("env.segs", index);
    let table = |name| segment(name, 0);
    Some(X86_64Cpu {
        rax: regs(0)?,
        rcx: regs(1)?,
        rdx: regs(2)?,
        rbx: regs(3)?,
        rsp: regs(4)?,
        rbp: regs(5)?,
        rsi: regs(6)?,
        rdi: regs(7)?,
        r8: regs(8)?,
        r9: regs(9)?,
        r10: regs(10)?,
        r11: regs(11)?,
        r12: regs(12)?,
        r13: regs(13)?,
        r14: regs(14)?,
        r15: regs(15)?,
        rip: number("env.eip")?,
        rflags: number("env.eflags")?,
        es: segs(0)?,
        cs: segs(1)?,
        ss: segs(2)?,
        ds: segs(3)?,
        fs: segs(4)?,
        gs: segs(5)?,
        ldt: table("env.ldt")?,
        tr: table("env.tr")?,
        gdt: table("env.gdt")?,
        idt: table("env.idt")?,
        cr: [
            number("env.cr[0]")?,
            0,
            number("env.cr[2]")?,
            number("env.cr[3]")?,
            number("env.cr[4]")?,
        ],
        kernel_gs_base: number("env.kernelgsbase")?,
    })
}
