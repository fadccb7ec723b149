//! The kernel's types: where its BTF is in memory, and what it says of the items of VMCOREINFO.
//!
//! BTF is found by the symbol table, if VMCOREINFO leads to that (since 6.0) and it has variables
//! (CONFIG_KALLSYMS_ALL); else by its magic, among the constants of the image
//! (include/asm-generic/vmlinux.lds.h). What the types are used for may not be in this folder.

mod items;

use super::btf::Btf;
use super::error::Error;
use super::image_search::{image_addresses, places};
use super::kallsyms::Scope;
use super::symbols::{Symbols, Wanted};
use super::translate::{Kernel, Translator};
use crate::pages::{VirtAddr, VirtRange};

/// Symbols that [`KernelTypes::find`] needs. The last one tells whether there are variables at all.
pub(crate) const WANTED: [Wanted; 3] =
    [(Scope::Global, "__start_BTF"), (Scope::Global, "__stop_BTF"), (Scope::Global, "init_task")];

/// Maximum places with BTF's magic: a kernel may have that of a few BPF programs too.
const MAX_PLACES: usize = 16;

/// The types of a kernel.
#[derive(Debug)]
pub(crate) struct KernelTypes {
    btf: Btf,
    start: VirtAddr,
}

impl KernelTypes {
    /// Finds and reads the kernel's types.
    ///
    /// # Errors
    /// [`Error`] if the kernel has no BTF, or if that cannot be found either way.
    pub(crate) fn find(
        kernel: &Kernel<'_>,
        translator: &Translator<'_>,
        symbols: &Symbols,
    ) -> Result<Self, Error> {
        let has_variables = symbols.require("init_task");
        match (symbols.require("__start_BTF"), symbols.require("__stop_BTF"), has_variables) {
            (Ok(start), Ok(end), _) => {
                let btf = Btf::read(translator, VirtRange::new(start, end))?;
                Ok(KernelTypes { btf, start })
            }
            (Err(no_btf), _, Ok(_)) | (_, Err(no_btf), Ok(_)) => Err(no_btf),
            (.., Err(why)) => Self::by_magic(kernel, translator).ok_or(why),
        }
    }

    fn by_magic(kernel: &Kernel<'_>, translator: &Translator<'_>) -> Option<Self> {
        let magic = Btf::magic(translator.layout().byte_order());
        let mut found = places(translator, image_addresses(kernel)?, magic).take(MAX_PLACES);
        found.find_map(|start| {
            let btf = Btf::read_from(translator, start).ok()?;
            btf.struct_size("task_struct").map(|_| KernelTypes { btf, start })
        })
    }

    /// All of them.
    #[must_use]
    pub(crate) fn btf(&self) -> &Btf {
        &self.btf
    }

    /// Where they are in memory.
    #[must_use]
    pub(crate) fn start(&self) -> VirtAddr {
        self.start
    }
}
