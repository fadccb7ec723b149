//! What only a builder has to know of an architecture: its byte orders, its registers.

use crate::format::elf::RegisterGroup::{self, Ints, Longs};
use crate::format::wire::ByteOrder::{self, Big, Little};
use crate::kernel::arch::Architecture;

/// The byte orders that Linux has on an architecture, the usual one first.
pub(super) fn byte_orders(arch: Architecture) -> &'static [ByteOrder] {
    match arch {
        Architecture::X86_64
        | Architecture::I386
        | Architecture::Riscv64
        | Architecture::Riscv32
        | Architecture::LoongArch64
        | Architecture::Alpha
        | Architecture::Ia64 => &[Little],
        Architecture::S390x | Architecture::S390 | Architecture::Sparc64 => &[Big],
        Architecture::Ppc => &[Big, Little],
        Architecture::Aarch64
        | Architecture::Arm
        | Architecture::Ppc64
        | Architecture::Mips64
        | Architecture::Mips
        | Architecture::Other { .. } => &[Little, Big],
    }
}

/// `elf_gregset_t` of an architecture (its arch/*/include/asm/elf.h and uapi/asm/ptrace.h).
pub(super) fn registers(arch: Architecture) -> Option<&'static [RegisterGroup]> {
    Some(match arch {
        Architecture::X86_64 => &[Longs(27)],
        Architecture::I386 => &[Longs(17)],
        Architecture::Aarch64 => &[Longs(34)],
        Architecture::Arm => &[Longs(18)],
        Architecture::Ppc64 | Architecture::Ppc => &[Longs(48)],
        // psw and gprs; acrs; orig_gpr2
        Architecture::S390x => &[Longs(18), Ints(16), Longs(1)],
        Architecture::Riscv64 | Architecture::Riscv32 => &[Longs(32)],
        Architecture::LoongArch64 | Architecture::Mips64 | Architecture::Mips => &[Longs(45)],
        Architecture::S390
        | Architecture::Sparc64
        | Architecture::Alpha
        | Architecture::Ia64
        | Architecture::Other { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::elf::Prstatus;

    #[test]
    fn a_prstatus_is_as_long_as_readers_know_it_by() {
        let known = [
            (Architecture::X86_64, 336),
            (Architecture::Aarch64, 392),
            (Architecture::Riscv64, 376),
            (Architecture::LoongArch64, 480),
            (Architecture::Ppc64, 504),
            (Architecture::S390x, 336),
            (Architecture::I386, 144),
            (Architecture::Arm, 148),
        ];
        for (arch, bytes) in known {
            let layout = arch.layout(byte_orders(arch)[0]);
            let groups = registers(arch).unwrap();
            let encoded = Prstatus { pid: 1, registers: &[], groups }.encode(layout).unwrap();
            assert_eq!(encoded.len(), bytes as usize, "{arch:?}");
            assert_eq!(Architecture::of_prstatus(bytes, layout), Some(arch));
        }
        // As gdb has them (ppc-linux-tdep.c, mips-linux-tdep.h, riscv-linux-nat.c and the kernel).
        let others =
            [(Architecture::Ppc, 268), (Architecture::Mips, 256), (Architecture::Riscv32, 204)];
        for (arch, bytes) in others {
            let groups = registers(arch).unwrap();
            let layout = arch.layout(byte_orders(arch)[0]);
            let encoded = Prstatus { pid: 1, registers: &[], groups }.encode(layout).unwrap();
            assert_eq!(encoded.len(), bytes, "{arch:?}");
        }
    }
}
