//! The notes of one CPU of x86_64, from the registers that a hypervisor knows.

use super::{NT_PRSTATUS, Prstatus, RegisterGroup, encode_note};
use crate::format::wire::{ByteOrder, FieldVisitor, Record, StructLayout, encode};

/// The layout of the structs in both notes.
const LAYOUT: StructLayout = StructLayout::Bits64(ByteOrder::Little);

/// The version of `QEMUCPUState`.
const QEMU_VERSION: u32 = 1;

/// Bytes of `QEMUCPUState`.
const QEMU_BYTES: u32 = 440;

/// A segment register, or one that has the place of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SegmentRegister {
    /// Its value.
    pub selector: u32,
    /// The size of the segment or table, in bytes.
    pub limit: u32,
    /// Its type and attributes, as in the upper half of a descriptor.
    pub flags: u32,
    /// Its virtual address.
    pub base: u64,
}

/// The registers of a CPU of x86_64. What is not known is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct X86_64Cpu {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rsp: u64,
    pub rbp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
    pub cs: SegmentRegister,
    pub ds: SegmentRegister,
    pub es: SegmentRegister,
    pub fs: SegmentRegister,
    pub gs: SegmentRegister,
    pub ss: SegmentRegister,
    pub ldt: SegmentRegister,
    pub tr: SegmentRegister,
    pub gdt: SegmentRegister,
    pub idt: SegmentRegister,
    /// CR0 to CR4.
    pub cr: [u64; 5],
    /// The base that `swapgs` exchanges with that of gs.
    pub kernel_gs_base: u64,
}

impl X86_64Cpu {
    /// Whether a register has more than 32 bits. A 64-bit kernel runs at such addresses, and a process
    /// that interrupts it has them in its segments' bases; a 32-bit kernel never has.
    pub(crate) fn is_64bit(&self) -> bool {
        let bases = [self.fs.base, self.gs.base, self.gdt.base, self.idt.base, self.tr.base];
        let addresses = [self.rip, self.rsp, self.rbp].into_iter().chain(bases);
        addresses.max().is_some_and(|most| most > u64::from(u32::MAX))
    }

    /// The notes of all CPUs as QEMU writes them (target/i386/arch_dump.c): of each `NT_PRSTATUS`,
    /// whose `pr_pid` is the number of the CPU plus 1; then of each "QEMU".
    pub(crate) fn notes_of(cpus: &[X86_64Cpu]) -> Vec<u8> {
        let statuses = (0..).zip(cpus).flat_map(|(number, cpu)| cpu.status(number));
        let states = cpus
            .iter()
            .flat_map(|cpu| encode_note("QEMU", 0, &encode(cpu, LAYOUT), ByteOrder::Little));
        statuses.chain(states).collect()
    }

    /// `NT_PRSTATUS` of CPU `number`, which counts from 0.
    fn status(&self, number: u32) -> Vec<u8> {
        // The order of struct user_regs_struct (arch/x86/include/asm/user_64.h). orig_rax is unknown.
        let registers = [
            self.r15,
            self.r14,
            self.r13,
            self.r12,
            self.rbp,
            self.rbx,
            self.r11,
            self.r10,
            self.r9,
            self.r8,
            self.rax,
            self.rcx,
            self.rdx,
            self.rsi,
            self.rdi,
            0,
            self.rip,
            self.cs.selector.into(),
            self.rflags,
            self.rsp,
            self.ss.selector.into(),
            self.fs.base,
            self.gs.base,
            self.ds.selector.into(),
            self.es.selector.into(),
            self.fs.selector.into(),
            self.gs.selector.into(),
        ];
        let groups = &[RegisterGroup::Longs(registers.len())];
        let pid = number.saturating_add(1);
        let status = Prstatus { pid, registers: &registers, groups }.encode(LAYOUT);
        encode_note("CORE", NT_PRSTATUS, &status, ByteOrder::Little)
    }
}

/// `QEMUCPUState` (target/i386/arch_dump.c), version 1, as QEMU >= 3.0 has it.
impl Record for X86_64Cpu {
    fn visit(&mut self, fields: &mut dyn FieldVisitor) {
        fields.int("version", &mut { QEMU_VERSION });
        fields.int("size", &mut { QEMU_BYTES });
        let general = [
            ("rax", &mut self.rax),
            ("rbx", &mut self.rbx),
            ("rcx", &mut self.rcx),
            ("rdx", &mut self.rdx),
            ("rsi", &mut self.rsi),
            ("rdi", &mut self.rdi),
            ("rsp", &mut self.rsp),
            ("rbp", &mut self.rbp),
            ("r8", &mut self.r8),
            ("r9", &mut self.r9),
            ("r10", &mut self.r10),
            ("r11", &mut self.r11),
            ("r12", &mut self.r12),
            ("r13", &mut self.r13),
            ("r14", &mut self.r14),
            ("r15", &mut self.r15),
            ("rip", &mut self.rip),
            ("rflags", &mut self.rflags),
        ];
        general.into_iter().for_each(|(name, value)| fields.long_long(name, value));
        let segments = [
            &mut self.cs,
            &mut self.ds,
            &mut self.es,
            &mut self.fs,
            &mut self.gs,
            &mut self.ss,
            &mut self.ldt,
            &mut self.tr,
            &mut self.gdt,
            &mut self.idt,
        ];
        for segment in segments {
            fields.int("selector", &mut segment.selector);
            fields.int("limit", &mut segment.limit);
            fields.int("flags", &mut segment.flags);
            fields.int("pad", &mut 0);
            fields.long_long("base", &mut segment.base);
        }
        self.cr.iter_mut().for_each(|value| fields.long_long("cr", value));
        fields.long_long("kernel_gs_base", &mut self.kernel_gs_base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::elf::NoteHeader;
    use crate::format::wire::size_of;

    fn descriptors(notes: &[u8]) -> [Vec<u8>; 2] {
        let first = NoteHeader::decode(notes, ByteOrder::Little).unwrap();
        let (prstatus, qemu) = notes.split_at(first.note_bytes() as usize);
        let second = NoteHeader::decode(qemu, ByteOrder::Little).unwrap();
        assert_eq!((first.n_type, &prstatus[12..17]), (1, &b"CORE\0"[..]));
        assert_eq!((second.n_type, &qemu[12..17]), (0, &b"QEMU\0"[..]));
        assert_eq!((first.n_descsz, second.n_descsz), (336, 440));
        [prstatus[20..].to_vec(), qemu[20..].to_vec()]
    }

    fn long(bytes: &[u8], at: usize) -> u64 {
        ByteOrder::Little.read_uint(&bytes[at..at + 8])
    }

    #[test]
    fn the_registers_are_where_qemu_and_the_kernel_have_them() {
        let segment = |n: u32| SegmentRegister {
            selector: n,
            base: u64::from(n) << 32,
            ..Default::default()
        };
        let cpu = X86_64Cpu {
            r15: 15,
            rdi: 7,
            rax: 1,
            rip: 0xffff_ffff_8100_0000,
            rflags: 0x246,
            rsp: 0xffff_c900_0000_0000,
            cs: segment(0x10),
            ss: segment(0x18),
            fs: segment(4),
            gs: segment(5),
            idt: segment(9),
            cr: [0x8005_0033, 0, 2, 0x1234_5000, 0x6f0],
            kernel_gs_base: 6 << 32,
            ..X86_64Cpu::default()
        };
        let [prstatus, qemu] = descriptors(&X86_64Cpu::notes_of(&[cpu]));
        let pr_reg = |index: usize| long(&prstatus, 112 + 8 * index);
        assert_eq!((prstatus[32], cpu.status(2)[20 + 32]), (1, 3), "pr_pid");
        assert_eq!([pr_reg(0), pr_reg(10), pr_reg(14), pr_reg(15)], [15, 1, 7, 0]);
        assert_eq!([pr_reg(16), pr_reg(17), pr_reg(18)], [cpu.rip, 0x10, 0x246]);
        assert_eq!([pr_reg(19), pr_reg(20)], [cpu.rsp, 0x18]);
        assert_eq!([pr_reg(21), pr_reg(22)], [4 << 32, 5 << 32]);
        assert_eq!([pr_reg(25), pr_reg(26)], [4, 5]);
        assert_eq!(qemu[..16], [1, 0, 0, 0, 184, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!([long(&qemu, 8 + 6 * 8), long(&qemu, 8 + 16 * 8)], [cpu.rsp, cpu.rip]);
        assert_eq!([long(&qemu, 152), long(&qemu, 152 + 16)], [0x10, 0x10 << 32], "cs");
        assert_eq!(long(&qemu, 152 + 9 * 24 + 16), 9 << 32, "idt");
        assert_eq!([long(&qemu, 392), long(&qemu, 416)], [cpu.cr[0], cpu.cr[3]]);
        assert_eq!(long(&qemu, 432), 6 << 32);
        assert_eq!(size_of::<X86_64Cpu>(LAYOUT), QEMU_BYTES as usize);
    }

    #[test]
    fn a_cpu_is_of_64_bits_if_an_address_is() {
        assert!(!X86_64Cpu { rip: 0xc100_0000, rax: u64::MAX, ..Default::default() }.is_64bit());
        assert!(X86_64Cpu { rip: 0xffff_ffff_8100_0000, ..Default::default() }.is_64bit());
        let gs = SegmentRegister { base: 0xffff_8880_0000_0000, ..Default::default() };
        assert!(X86_64Cpu { rip: 0x40_0000, gs, ..Default::default() }.is_64bit());
    }
}
