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

/// Why no first page of an ELF file is kept, if none can be told.
pub(super) fn no_elf_headers(request: &SelectRequest, format: &StructPageFormat) -> Option<String> {
    let excludes_any =
        [Class::Cache, Class::PrivateCache].map(|it| request.excluded().contains(it));
    let is_asked = request.keep.elf_headers && excludes_any.contains(&true);
    let is_missed = is_asked && !format.has_index();
    let why = "ELF headers are not kept: the kernel's types (BTF) were not found";
    is_missed.then(|| why.to_owned())
}

/// The pages that a request keeps.
#[derive(Debug, Default)]
pub(super) struct KeptPages {
    pub(super) pages: PageSet,
    /// What was not found, if anything.
    pub(super) warning: Option<String>,
}

impl KeptPages {
    /// Finds the pages; a warning says what was not found.
    pub(super) fn find(
        dump: &Dump,
        request: &SelectRequest,
        kernel: &Kernel<'_>,
        translator: &Translator<'_>,
        symbols: &Symbols,
        types: Option<&KernelTypes>,
    ) -> Self {
        let would_be_kept = !request.excluded().iter().any(Class::is_of_processes);
        if !request.keep.user_stacks || would_be_kept {
            return KeptPages::default();
        }
        let without = |why: &str| KeptPages {
            warning: Some(format!("user stacks are not kept: {why}")),
            ..KeptPages::default()
        };
        let Some(types) = types else {
            return without("the kernel's types (BTF) were not found");
        };
        let is_present = |address| {
            let page = dump.grid().locate(address).map(|(pfn, _)| PfnRange::of(pfn, 1));
            page.is_some_and(|page| dump.kept_within(page).next().is_some())
        };
        let stacks = match user_stacks(kernel, translator, symbols, types, &is_present) {
            Ok(stacks) => stacks,
            Err(why) => return without(&chain(&why)),
        };
        KeptPages {
            pages: PageSet::of_runs(dump.grid().runs_touched(stacks.pages.into_iter())),
            warning: match stacks.missed {
                0 => None,
                1 => Some("the user stack of 1 thread is not kept: it was not found".to_owned()),
                missed => Some(format!(
                    "the user stacks of {missed} threads are not kept: they were not found"
                )),
            },
        }
    }
}
