//! Pages that are kept although their class is excluded.

use super::class::Class;
use super::selection::SelectRequest;
use crate::dump::Dump;
use crate::error::chain;
use crate::kernel::kernel_types::KernelTypes;
use crate::kernel::struct_page::StructPageFormat;
use crate::kernel::symbols::Symbols;
use crate::kernel::tasks::user_stacks;
use crate::kernel::translate::{Kernel, Translator};
use crate::pages::PfnRange;
use crate::pages::page_set::PageSet;

/// Why pages are not found that only the types lead to.
const NO_TYPES: &str = "the kernel's types (BTF) were not found";

/// What is kept although its class is excluded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeepSet {
    /// Up to 128 pages of the stack of each thread of a process, from its stack pointer upward: with the
    /// kernel's types, on x86_64.
    pub user_stacks: bool,
    /// The first page of each ELF file in the page cache, with its build ID: if the kernel's types say
    /// where a struct page has its place in the file.
    pub elf_headers: bool,
}

impl KeepSet {
    /// Keeps the stacks of processes.
    #[must_use]
    pub fn user_stacks(self, user_stacks: bool) -> Self {
        KeepSet { user_stacks, ..self }
    }

    /// Keeps the first pages of ELF files.
    #[must_use]
    pub fn elf_headers(self, elf_headers: bool) -> Self {
        KeepSet { elf_headers, ..self }
    }
}

/// The pages that a request keeps.
#[derive(Debug, Default)]
pub(super) struct KeptPages {
    /// The stacks of processes.
    pub(super) stacks: PageSet,
    /// Whether first pages of ELF files are kept, which the scan finds.
    pub(super) elf_headers: bool,
    /// What was not found.
    pub(super) warnings: Vec<String>,
}

impl KeptPages {
    /// Finds the pages; warnings say what was not found.
    pub(super) fn find(
        dump: &Dump,
        request: &SelectRequest,
        kernel: &Kernel<'_>,
        translator: &Translator<'_>,
        symbols: &Symbols,
        types: Option<&KernelTypes>,
        format: &StructPageFormat,
    ) -> Self {
        let excluded = request.excluded();
        let mut kept = KeptPages::default();
        if request.keep.user_stacks && excluded.iter().any(Class::is_of_processes) {
            let found = kept.find_stacks(dump, kernel, translator, symbols, types);
            kept.warnings.extend(found.err());
        }
        if request.keep.elf_headers && excluded.iter().any(Class::is_of_files) {
            kept.elf_headers = format.has_index();
            if !kept.elf_headers {
                kept.warnings.push(format!("ELF headers are not kept: {NO_TYPES}"));
            }
        }
        kept
    }

    /// Finds the stacks.
    ///
    /// # Errors
    /// What was not found, as a warning says it.
    fn find_stacks(
        &mut self,
        dump: &Dump,
        kernel: &Kernel<'_>,
        translator: &Translator<'_>,
        symbols: &Symbols,
        types: Option<&KernelTypes>,
    ) -> Result<(), String> {
        let none = |why: &str| format!("user stacks are not kept: {why}");
        let types = types.ok_or_else(|| none(NO_TYPES))?;
        let is_present = |address| {
            let page = dump.grid().locate(address).map(|(pfn, _)| PfnRange::of(pfn, 1));
            page.is_some_and(|page| dump.kept_within(page).next().is_some())
        };
        let stacks = user_stacks(kernel, translator, symbols, types, &is_present)
            .map_err(|why| none(&chain(&why)))?;
        self.stacks = PageSet::of_runs(dump.grid().runs_touched(stacks.pages.into_iter()));
        match stacks.missed {
            0 => Ok(()),
            1 => Err("the user stack of 1 thread is not kept: it was not found".to_owned()),
            missed => Err(format!(
                "the user stacks of {missed} threads are not kept: they were not found"
            )),
        }
    }
}
