//! The addresses of symbols that are looked up together: the kernel's symbol table is read once.

use std::collections::HashMap;

use super::error::Error;
use super::kallsyms::{Kallsyms, Scope};
use super::translate::{Kernel, Translator};
use crate::pages::VirtAddr;

/// A symbol that somebody looks up.
pub(crate) type Wanted = (Scope, &'static str);

/// Symbols by their names.
#[derive(Debug)]
pub(crate) struct Symbols(Result<HashMap<&'static str, VirtAddr>, Error>);

impl Symbols {
    /// Looks up the symbols. If the symbol table cannot be read, it has none of them.
    #[must_use]
    pub(crate) fn find(kernel: &Kernel<'_>, translator: &Translator<'_>, all: &[Wanted]) -> Self {
        let found = Kallsyms::open(kernel, translator).and_then(|table| table.find_in(all));
        let names = all.iter().map(|(_, name)| *name);
        Symbols(found.map(|found| {
            names.zip(found).filter_map(|(name, vaddr)| Some((name, vaddr?))).collect()
        }))
    }

    /// The address of a symbol, if the table has it.
    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<VirtAddr> {
        self.0.as_ref().ok()?.get(name).copied()
    }

    /// As [`get`](Self::get), but an error without it.
    ///
    /// # Errors
    /// Why the table cannot be read, or [`Error::Implausible`] if it has no such symbol.
    pub(crate) fn require(&self, name: &str) -> Result<VirtAddr, Error> {
        let found = self.0.as_ref().map_err(Clone::clone)?;
        found.get(name).copied().ok_or_else(|| {
            Error::implausible("kallsyms_names", format!("no symbol is named {name}"))
        })
    }
}
