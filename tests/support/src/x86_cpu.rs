//! The registers of a CPU of x86_64, and the notes that have them.

use super::elf::Endian;

/// `struct user_regs_struct` (arch/x86/include/asm/user_64.h), which `NT_PRSTATUS` has from byte 112 on.
const USER_REGS: [&str; 27] = [
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi",
    "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs",
    "gs",
];

/// What hypervisors save, but that note has no place for.
const OTHERS: [&str; 6] = ["cr0", "cr2", "cr3", "cr4", "idt_base", "kernel_gs_base"];

/// Registers by their names.
#[derive(Debug, Clone)]
pub struct X86Cpu(Vec<(&'static str, u64)>);

impl X86Cpu {
    /// The nth CPU, in kernel mode or in user mode, with page tables at `cr3`.
    #[must_use]
    pub fn new(nth: u64, in_kernel: bool, cr3: u64) -> Self {
        let names = USER_REGS.into_iter().chain(OTHERS);
        let value = |place: u64, name: &str| match name {
            "orig_rax" => 0,
            "rip" if in_kernel => 0xffff_ffff_8100_0000 + nth * 0x123,
            "rip" => 0x40_1000 + nth * 0x123,
            "rsp" if in_kernel => 0xffff_c900_0000_3f58 + nth * 0x1_0000,
            "eflags" => 0x246 + nth,
            "cs" if in_kernel => 0x10,
            "cs" => 0x33,
            "ss" if in_kernel => 0x18,
            "ss" | "ds" | "es" => 0x2b,
            "fs" | "gs" => 0x40 + 8 * nth + place % 2,
            "gs_base" => 0xffff_8880_3e00_0000 + nth * 0x10_0000,
            "cr0" => 0x8005_0033,
            "cr3" => cr3,
            "cr4" => 0x0077_06f0,
            "idt_base" => 0xffff_fe00_0000_0000,
            _ => 0x0123_4567_0000_0000 + nth * 0x10_0000 + place * 0x101,
        };
        X86Cpu((0..).zip(names).map(|(place, name)| (name, value(place, name))).collect())
    }

    /// A CPU from the descriptors of its notes of a dump that QEMU wrote.
    ///
    /// # Panics
    /// If they are too short.
    #[must_use]
    pub fn from_notes(prstatus: &[u8], qemu: &[u8]) -> Self {
        let word = |bytes: &[u8], place| Endian::Little.number(&bytes[place..place + 8]);
        let places = (112..).step_by(8);
        let general =
            USER_REGS.into_iter().zip(places).map(|(name, place)| (name, prstatus, place));
        let others = OTHERS.map(|name| (name, qemu, place_in_qemu(name)));
        let all = general.chain(others);
        X86Cpu(all.map(|(name, note, place)| (name, word(note, place))).collect())
    }

    /// The value of a register.
    ///
    /// # Panics
    /// If there is no such register.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        let found = self.0.iter().find(|register| register.0 == name);
        found.unwrap_or_else(|| panic!("no register {name}")).1
    }

    /// The bytes of registers of 8 bytes, one after the other; those whose name is "" are 0.
    #[must_use]
    pub fn words(&self, names: &[&str]) -> Vec<u8> {
        let word = |name: &&str| if name.is_empty() { 0 } else { self.get(name) };
        names.iter().flat_map(|name| word(name).to_le_bytes()).collect()
    }

    /// The registers that differ from those in the descriptor of an `NT_PRSTATUS` note, but for the one
    /// that is no register.
    #[must_use]
    pub fn differing_from_prstatus(&self, desc: &[u8]) -> Vec<&'static str> {
        assert_eq!(desc.len(), 336, "sizeof(struct elf_prstatus)");
        let found = desc[112..].chunks_exact(8);
        let differs = |(name, found): (&'static str, &[u8])| {
            let is_same = found == self.get(name).to_le_bytes();
            (name != "orig_rax" && !is_same).then_some(name)
        };
        USER_REGS.into_iter().zip(found).filter_map(differs).collect()
    }

    /// The registers that differ from those in the descriptor of a note "QEMU", of those that all
    /// hypervisors save.
    #[must_use]
    pub fn differing_from_qemu(&self, desc: &[u8]) -> Vec<&'static str> {
        assert_eq!(desc.len(), 440, "sizeof(QEMUCPUState)");
        let differs = |(name, place): (&'static str, usize)| {
            let is_same = desc[place..place + 8] == self.get(name).to_le_bytes();
            (!matches!(name, "idt_base" | "kernel_gs_base") && !is_same).then_some(name)
        };
        QEMU_PLACES.into_iter().filter_map(differs).collect()
    }
}

/// `QEMUCPUState` (target/i386/arch_dump.c of QEMU): two ints, 18 registers, ten segments of 24 bytes
/// with the base at byte 16, cr0 to cr4, the base of gs that swapgs exchanges.
const QEMU_PLACES: [(&str, usize); 14] = [
    ("rax", 8),
    ("rbx", 16),
    ("rsp", 56),
    ("r15", 128),
    ("rip", 136),
    ("eflags", 144),
    ("fs_base", 240),
    ("gs_base", 264),
    ("idt_base", 384),
    ("cr0", 392),
    ("cr2", 408),
    ("cr3", 416),
    ("cr4", 424),
    ("kernel_gs_base", 432),
];

fn place_in_qemu(name: &str) -> usize {
    let found = QEMU_PLACES.iter().find(|place| place.0 == name);
    found.unwrap_or_else(|| panic!("no register {name}")).1
}
