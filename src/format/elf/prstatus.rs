//! `struct elf_prstatus`, the descriptor of an `NT_PRSTATUS` note: the registers of one CPU.

use crate::error::Result;
use crate::format::wire::{self, FieldVisitor, Record, StructLayout};

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

/// `struct elf_prstatus` (the kernel's include/linux/elfcore.h): the registers of one CPU.
///
/// 64-bit; x86_64, with its 27 registers:
///
/// ```text
///           0     1     2     3     4     5     6     7
///        +-----+-----+-----+-----+-----+-----+-----+-----+
///      0 |                    pr_info                    |
///        +-----------------------+-----------+-----------+
///      8 |        pr_info        | pr_cursig |  padding  |
///        +-----------------------+-----------+-----------+
///     16 |                   pr_sigpend                  |
///        +-----------------------------------------------+
///     24 |                   pr_sighold                  |
///        +-----------------------+-----------------------+
///     32 |         pr_pid        |        pr_ppid        |
///        +-----------------------+-----------------------+
///     40 |        pr_pgrp        |         pr_sid        |
///        +-----------------------+-----------------------+
///     48 |                    pr_utime                   |
///        +-----------------------------------------------+
///     56 |                    pr_utime                   |
///        +-----------------------------------------------+
///     64 |                    pr_stime                   |
///        +-----------------------------------------------+
///     72 |                    pr_stime                   |
///        +-----------------------------------------------+
///     80 |                   pr_cutime                   |
///        +-----------------------------------------------+
///     88 |                   pr_cutime                   |
///        +-----------------------------------------------+
///     96 |                   pr_cstime                   |
///        +-----------------------------------------------+
///    104 |                   pr_cstime                   |
///        :                 ... pr_reg ...                :
///        +-----------------------+-----------------------+
///    328 |       pr_fpvalid      |        padding        |
///        +-----------------------+-----------------------+
/// ```
///
/// 32-bit; i386, with its 17 registers:
///
/// ```text
///           0     1     2     3     4     5     6     7
///        +-----+-----+-----+-----+-----+-----+-----+-----+
///      0 |                    pr_info                    |
///        +-----------------------+-----------+-----------+
///      8 |        pr_info        | pr_cursig |  padding  |
///        +-----------------------+-----------+-----------+
///     16 |       pr_sigpend      |       pr_sighold      |
///        +-----------------------+-----------------------+
///     24 |         pr_pid        |        pr_ppid        |
///        +-----------------------+-----------------------+
///     32 |        pr_pgrp        |         pr_sid        |
///        +-----------------------+-----------------------+
///     40 |                    pr_utime                   |
///        +-----------------------------------------------+
///     48 |                    pr_stime                   |
///        +-----------------------------------------------+
///     56 |                   pr_cutime                   |
///        +-----------------------------------------------+
///     64 |                   pr_cstime                   |
///        :                 ... pr_reg ...                :
///        +-----------------------+-----------------------+
///    136 |         pr_reg        |       pr_fpvalid      |
///        +-----------------------+-----------------------+
/// ```
///
/// `pr_info` is three `int`s, and each time is a `struct timeval` of two `long`s. A dump of the kernel
/// has only `pr_pid`, the process that the CPU ran, and `pr_reg`; all other fields are 0, and nobody
/// reads them. `pr_reg` is the architecture's `elf_gregset_t`, so the size of the note gives
/// the architecture away where nothing else does. The layout is the kernel's, whatever the class of the core.
#[derive(Debug, Clone, Copy, Default)]
pub struct Prstatus<'a> {
    /// `pr_pid`: of the process that the CPU ran.
    pub pid: u32,
    /// `pr_reg`; those that are not given are 0.
    pub registers: &'a [u64],
    /// The architecture's `elf_gregset_t`.
    pub groups: &'a [RegisterGroup],
}

impl Record for Prstatus<'_> {
    fn visit(&mut self, fields: &mut dyn FieldVisitor) {
        for field in ["si_signo", "si_code", "si_errno"] {
            fields.int(field, &mut 0);
        }
        fields.uint("pr_cursig", 2, 2, &mut 0);
        fields.long("pr_sigpend", &mut 0);
        fields.long("pr_sighold", &mut 0);
        fields.int("pr_pid", &mut self.pid);
        for field in ["pr_ppid", "pr_pgrp", "pr_sid"] {
            fields.int(field, &mut 0);
        }
        for field in ["pr_utime", "pr_stime", "pr_cutime", "pr_cstime"] {
            // A struct timeval: tv_sec, tv_usec.
            fields.long(field, &mut 0);
            fields.long(field, &mut 0);
        }
        let mut registers = self.registers.iter().copied().chain(std::iter::repeat(0));
        for group in self.groups {
            for mut value in registers.by_ref().take(group.count()) {
                match group {
                    RegisterGroup::Longs(_) => fields.long("pr_reg", &mut value),
                    RegisterGroup::Ints(_) => fields.uint("pr_reg", 4, 4, &mut value),
                }
            }
        }
        fields.int("pr_fpvalid", &mut 0);
    }
}

impl Prstatus<'_> {
    /// Checks that every register fits its field in `layout`, as [`encode`](Self::encode) requires.
    ///
    /// # Errors
    /// [`crate::Error::FieldOverflow`].
    pub fn check(&self, layout: StructLayout) -> Result<()> {
        wire::check(self, layout)
    }

    /// The struct in `layout`, which is the kernel's: the core may be of another class.
    ///
    /// # Panics
    /// If a register does not fit its field: [`check`](Self::check) the registers first.
    #[must_use]
    pub fn encode(&self, layout: StructLayout) -> Vec<u8> {
        wire::encode(self, layout)
    }
}
