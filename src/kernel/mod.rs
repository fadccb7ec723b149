//! What we know of the crashed kernel: its architecture, its VMCOREINFO, where its memory lies.

pub mod arch;
pub mod utsname;
pub mod vmcoreinfo;
