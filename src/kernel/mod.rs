//! The crashed kernel, out of its VMCOREINFO and its memory.
//!
//! | module | answers |
//! |---|---|
//! | `vmcoreinfo`, `arch` | how the kernel describes itself; what its architecture fixes |
//! | `physical` | the memory by physical address: the only way to a dump's data |
//! | `translate`, `virtual_reader` | the memory by virtual address, through the kernel's page tables |
//! | `kallsyms`, `symbols` | the symbol table; the symbols that others look up in it |
//! | `image`, `image_search`, `nodes`, `utsname` | the kernel's image, memory nodes, its name |
//! | `proof`, `relocation` | whether a VMCOREINFO describes the kernel in memory; one that is made to |
//! | `btf`, `kernel_types` | the kernel's own types; a second source of VMCOREINFO's items |
//! | `tasks` | by the types, the memory of its tasks |
//! | `active_text` | what the CPUs were running |
//! | `mem_map`, `struct_page` | where struct pages are, and what they say of their pages |
//! | `log` | what the kernel logged |
//!
//! No dump, no input and no file may be in this folder: it reads through [`physical::PhysicalMemory`]
//! alone, so that tests can build a machine of a few bytes. All it reads is hostile: every count is
//! bounded by the memory that the dump has, and every error is an [`Error`].

pub(crate) mod active_text;
pub(crate) mod arch;
pub(crate) mod btf;
mod error;
pub(crate) mod image;
mod image_search;
pub(crate) mod kallsyms;
pub(crate) mod kernel_types;
pub mod log;
pub(crate) mod mem_map;
pub(crate) mod nodes;
pub(crate) mod physical;
pub(crate) mod proof;
pub(crate) mod relocation;
pub(crate) mod struct_page;
pub(crate) mod symbols;
pub(crate) mod tasks;
pub(crate) mod translate;
pub(crate) mod utsname;
mod virtual_reader;
pub(crate) mod vmcoreinfo;

#[cfg(test)]
pub(crate) use error::AddressError;
pub(crate) use error::Error;
