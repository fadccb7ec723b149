//! The registers of a CPU by the names that VMware gives them.

use crate::format::elf::{SegmentRegister, X86_64Cpu};

/// The bits of a selector: its value may have the width of another register.
const SELECTOR: u64 = 0xffff;

/// Sets the register that a tag with a number is of; `false` if it is none that is known.
pub(super) fn set_register(cpu: &mut X86_64Cpu, name: &[u8], indices: &[u32], value: u64) -> bool {
    let register = match (name, indices) {
        (b"rax", []) => &mut cpu.rax,
        (b"rcx", []) => &mut cpu.rcx,
        (b"rdx", []) => &mut cpu.rdx,
        (b"rbx", []) => &mut cpu.rbx,
        (b"rbp", []) => &mut cpu.rbp,
        (b"rsp", []) => &mut cpu.rsp,
        (b"rsi", []) => &mut cpu.rsi,
        (b"rdi", []) => &mut cpu.rdi,
        (b"r8", []) => &mut cpu.r8,
        (b"r9", []) => &mut cpu.r9,
        (b"r10", []) => &mut cpu.r10,
        (b"r11", []) => &mut cpu.r11,
        (b"r12", []) => &mut cpu.r12,
        (b"r13", []) => &mut cpu.r13,
        (b"r14", []) => &mut cpu.r14,
        (b"r15", []) => &mut cpu.r15,
        (b"rip", []) => &mut cpu.rip,
        (b"eflags" | b"EFLAGS", []) => {
            // Some products have parts of it in each.
            cpu.rflags |= value;
            return true;
        }
        (b"CR64", [number]) => match usize::try_from(*number).map(|n| cpu.cr.get_mut(n)) {
            Ok(Some(register)) => register,
            _ => return false,
        },
        (b"S.base64", [number]) => match segment(cpu, *number) {
            Some(segment) => &mut segment.base,
            None => return false,
        },
        (b"S", [number]) => {
            let Some(segment) = segment(cpu, *number) else { return false };
            segment.selector = u32::try_from(value & SELECTOR).unwrap_or_default();
            return true;
        }
        (b"IDTR", [half @ (1 | 2)]) => {
            let shift = (half - 1) * 32;
            cpu.idt.base |= (value & u64::from(u32::MAX)) << shift;
            return true;
        }
        _ => return false,
    };
    *register = value;
    true
}

/// Sets the registers that a block has; `false` if it is none that is known.
pub(super) fn set_registers(cpu: &mut X86_64Cpu, name: &[u8], bytes: &[u8]) -> bool {
    let mut longs = bytes
        .chunks_exact(8)
        .map(|long| long.first_chunk().map_or(0, |long| u64::from_le_bytes(*long)));
    match (name, bytes.len()) {
        (b"gpregs", 128) => {
            let registers = [
                &mut cpu.rax,
                &mut cpu.rcx,
                &mut cpu.rdx,
                &mut cpu.rbx,
                &mut cpu.rbp,
                &mut cpu.rsp,
                &mut cpu.rsi,
                &mut cpu.rdi,
                &mut cpu.r8,
                &mut cpu.r9,
                &mut cpu.r10,
                &mut cpu.r11,
                &mut cpu.r12,
                &mut cpu.r13,
                &mut cpu.r14,
                &mut cpu.r15,
            ];
            registers.into_iter().zip(longs).for_each(|(register, value)| *register = value);
        }
        (b"CR64", 72) => cpu.cr = std::array::from_fn(|_| longs.next().unwrap_or_default()),
        (b"IDTR", 10) => {
            let base = bytes.get(2..).and_then(<[u8]>::first_chunk).copied();
            cpu.idt.base = base.map_or(0, u64::from_le_bytes);
        }
        _ => return false,
    }
    true
}

/// A segment register by VMware's number.
fn segment(cpu: &mut X86_64Cpu, number: u32) -> Option<&mut SegmentRegister> {
    Some(match number {
        0 => &mut cpu.es,
        1 => &mut cpu.cs,
        2 => &mut cpu.ss,
        3 => &mut cpu.ds,
        4 => &mut cpu.fs,
        5 => &mut cpu.gs,
        6 => &mut cpu.ldt,
        7 => &mut cpu.tr,
        _ => return None,
    })
}
