//! The vmcore that ships in `testdata/`: small, built, and much like a real one.

use super::elf::{Class, Endian, machine};
use super::segments::Load;
use super::vmcore::VmcoreBuilder;

/// Where the sample's kernel lies, and in it `init_uts_ns.name`.
const PHYS_BASE: u64 = 0x10_0000;
const UTSNAME: usize = 0x2_3004;

const VMCOREINFO: &str = "OSRELEASE=6.1.0-sample\n\
    PAGESIZE=4096\n\
    SYMBOL(init_uts_ns)=ffffffff80023000\n\
    OFFSET(uts_namespace.name)=4\n\
    NUMBER(phys_base)=1048576\n\
    CRASHTIME=1763764770\n";

/// 8 MiB of an x86_64 machine with 2 CPUs, headers as QEMU >= 7.2 lays them out: pages of zeros,
/// text, pointers and noise, a hole below 1 MiB, and a segment that ends within a page.
#[must_use]
pub fn small_vmcore() -> VmcoreBuilder {
    let low = memory(0x9_fc00, 1);
    let mut high = memory(0x70_0000, 2);
    let strings = ["Linux", "sample", "6.1.0-sample", "#1 SMP sample", "x86_64", "(none)"];
    for (n, string) in strings.into_iter().enumerate() {
        let field = &mut high[UTSNAME + 65 * n..][..65];
        field.fill(0);
        field[..string.len()].copy_from_slice(string.as_bytes());
    }
    VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64)
        .qemu_headers()
        .prstatus(0)
        .prstatus(1)
        .qemu_note()
        .qemu_note()
        .vmcoreinfo(VMCOREINFO)
        .load(Load::new(0, low))
        .load(Load::new(PHYS_BASE, high).vaddr(0xffff_ffff_8000_0000))
}

/// Bytes in pages of four kinds, the same for the same `seed`.
fn memory(bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut random = move || {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        state >> 16
    };
    let mut memory = Vec::with_capacity(bytes + 4096);
    while memory.len() < bytes {
        let kind = random() % 16;
        for word in 0..512_u64 {
            let word = match kind {
                0..8 => 0,
                8..11 => u64::from(random() % 4) << (word % 32),
                11..14 => 0xffff_8881_0000_0000 + u64::from(random() % 64) * 0x140,
                14 => u64::from_le_bytes(*b"sample\n\0") + word % 7,
                _ => (0..4).fold(0, |word, _| word << 16 | u64::from(random())),
            };
            memory.extend_from_slice(&word.to_le_bytes());
        }
    }
    memory.truncate(bytes);
    memory
}
