//! `struct elf_prstatus`, the descriptor of an `NT_PRSTATUS` note: the registers of one CPU.

use crate::error::{Error, Result};
use crate::format::wire::{Fields, StructLayout, StructWriter};

/// Registers of one width that follow each other in an `elf_gregset_t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterGroup {
    /// So many `unsigned long`s.
    Longs(usize),
    /// So many 32-bit integers: the access registers of s390x.
    Ints(usize),
}

impl RegisterGroup {
    /// Registers in the group.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            RegisterGroup::Longs(count) | RegisterGroup::Ints(count) => count,
        }
    }
}

/// `struct elf_prstatus` (the kernel's include/linux/elfcore.h), as far as a kernel dump has it.
///
/// ```text
///                64-bit   32-bit
/// pr_info             0        0   three ints: 0
/// pr_cursig          12       12   short: 0
/// pr_sigpend         16       16   unsigned long: 0
/// pr_sighold         24       20   unsigned long: 0
/// pr_pid             32       24   int
/// pr_ppid            36       28   int, as are pr_pgrp and pr_sid: 0
/// pr_utime           48       40   four pairs of longs: 0
/// pr_reg            112       72   elf_gregset_t, of the architecture
/// pr_fpvalid  behind it            int: 0
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Prstatus<'a> {
    /// `pr_pid`: of the process that the CPU ran.
    pub pid: u32,
    /// `pr_reg`; those that are not given are 0.
    pub registers: &'a [u64],
    /// The architecture's `elf_gregset_t`.
    pub groups: &'a [RegisterGroup],
}

impl Prstatus<'_> {
    /// The struct in `layout`, which is the kernel's and not that of the core's class.
    ///
    /// # Errors
    /// [`Error::FieldOverflow`] when a register has more bits than it may.
    pub fn encode(&self, layout: StructLayout) -> Result<Vec<u8>> {
        let mut writer = StructWriter::new(layout);
        (0..3).for_each(|_| writer.int(&mut 0));
        writer.chars(&mut [0; 2]);
        let long = |writer: &mut StructWriter, mut value: u64| writer.long("pr_reg", &mut value);
        (0..2).try_for_each(|_| long(&mut writer, 0))?;
        writer.int(&mut self.pid.clone());
        (0..3).for_each(|_| writer.int(&mut 0));
        (0..8).try_for_each(|_| long(&mut writer, 0))?;
        let mut registers = self.registers.iter().copied().chain(std::iter::repeat(0));
        for group in self.groups {
            for value in registers.by_ref().take(group.count()) {
                match group {
                    RegisterGroup::Longs(_) => long(&mut writer, value)?,
                    RegisterGroup::Ints(_) => writer.int(&mut int(value)?),
                }
            }
        }
        writer.int(&mut 0);
        Ok(writer.finish())
    }
}

fn int(value: u64) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::FieldOverflow { field: "pr_reg", value, bits: 32 })
}
