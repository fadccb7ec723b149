//! Where pages come from: an ELF core or kdump files on anything that can be read, as sorted runs
//! of pages, notes and VMCOREINFO.

pub mod dump;
pub mod elf;
pub mod flat;
pub mod input;
pub mod kdump;
mod mapped;
pub mod memory;
pub mod notes;
pub mod open;
pub mod page_set;
pub mod physical;
pub mod reader;
pub mod search;
pub mod stream;
pub mod watch;
