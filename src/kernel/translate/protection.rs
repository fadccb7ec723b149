//! How page tables protect the kernel's image: which pages have text, constants, variables, and which
//! are of modules.

use super::tables::TableFormat;
use super::{Translator, x86};
use crate::kernel::physical::CachedMemory;
use crate::pages::{PhysRange, Position};

/// What the kernel may do with a page at an address of its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Run it: text.
    Executable,
    /// Read it: constants.
    ReadOnly,
    /// Write it: variables.
    Writable,
    /// It is of a module, whatever the kernel may do with it.
    Module,
}

/// Maximum entries of page tables that are visited: 2 GiB of 4 KiB pages.
const MAX_ENTRIES: usize = 1 << 19;

impl Translator<'_> {
    /// The memory that is mapped at the addresses of the kernel's image and of modules, by its
    /// protection. Known for x86_64; elsewhere nothing is found.
    pub(crate) fn image_space(&self) -> Vec<(Protection, Vec<PhysRange>)> {
        let (mut text, mut rodata, mut data) = (Vec::new(), Vec::new(), Vec::new());
        let mut modules = Vec::new();
        let modules_start = x86::modules_start(&self.space.fallback);
        if let Ok(tables) = &self.space.tables {
            if let TableFormat::X86(x86::EntryFormat::Wide { .. }) = tables.format {
                let memory = CachedMemory::new(self.memory);
                let mut at = x86::IMAGE_SPACE.start;
                for _ in 0..MAX_ENTRIES {
                    if at >= x86::IMAGE_SPACE.end {
                        break;
                    }
                    let bytes = match tables.leaf(&memory, at) {
                        Ok((mapping, entry)) => {
                            let range = PhysRange::checked(mapping.paddr, mapping.bytes);
                            match x86::protection(entry) {
                                _ if at >= modules_start => modules.extend(range),
                                Protection::Executable => text.extend(range),
                                Protection::ReadOnly => rodata.extend(range),
                                Protection::Writable | Protection::Module => data.extend(range),
                            }
                            mapping.bytes
                        }
                        Err(error) => tables.same_extent(&error, at),
                    };
                    at = at.saturating_add(bytes.max(1));
                }
            }
        }
        vec![
            (Protection::Executable, text),
            (Protection::ReadOnly, rodata),
            (Protection::Writable, data),
            (Protection::Module, modules),
        ]
    }
}
