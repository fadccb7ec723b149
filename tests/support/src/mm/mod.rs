//! A machine's memory, page by page: what each page is used for, and the struct pages that say so
//! in the way of one kernel's release.
//!
//! ```text
//! releases (Kernel) --+--> struct_page: the bytes of a block's struct pages
//! uses (what, oracle) |    sections, zones: what leads to them, what the allocator counts
//!                     +--> Mm (ram, population): places blocks
//!                            |
//!                            +--> types: the same as BTF in the image, if a test wants it
//!                            +--> threads: tasks with user stacks, likewise
//!                            +--> core: struct pages, tables, the log --> an ELF vmcore
//!                                   +--> filtered: the same without some pages
//! ```
//!
//! Everything is written from the kernel's own headers and shares nothing with the product.

pub mod arch;
mod core;
mod filtered;
pub mod kernel;
mod population;
mod ram;
pub mod releases;
mod sections;
pub mod struct_page;
pub mod threads;
pub mod types;
pub mod uses;
mod zones;

pub use core::Core;
pub use filtered::Excluded;
pub use kernel::Kernel;
pub use ram::Mm;
pub use struct_page::Member;
pub use uses::{LeftOut, Owner, Use};
