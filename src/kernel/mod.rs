//! What we know of the crashed kernel: its architecture, its VMCOREINFO, where its memory lies,
//! how its addresses are translated, what its struct pages say, what it logged.

pub mod arch;
mod error;
pub mod image;
pub mod kallsyms;
pub mod log;
pub mod mem_map;
pub mod nodes;
pub mod physical;
mod pieces;
pub mod struct_page;
pub mod translate;
pub mod utsname;
pub mod vmcoreinfo;

pub use error::{AddressError, Error};
