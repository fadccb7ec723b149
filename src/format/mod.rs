//! Every byte of every format that is read or written: ELF cores, kdump-compressed files, flattened
//! streams and memory images.
//!
//! Only bytes in memory become records here, and records bytes: no I/O, no decision about pages, and
//! nothing about the kernel's own data. Each page teaches one record: a picture of its bytes, eight to
//! a row, who writes and who reads each field, and what readers do with odd values. A `*` in a picture
//! marks a field that is obsolete or that nobody reads; padding is 0. Tests hold the pictures against
//! the code.
//!
//! | module | records |
//! |---|---|
//! | [`elf`] | ELF file header, program header, section header 0; notes, `PRSTATUS`, VMCOREINFO |
//! | [`kdump`] | main header, sub header, bitmaps, page descriptors; rules for writers, readers compared |
//! | [`flattened`] | the stream that carries a kdump file through a pipe |
//! | [`lime`] | the header of a range in a LiME or AVML image |
//! | [`avml`] | the stream of a range that AVML compressed |
//! | [`libvirt`] | libvirt's header of a saved guest |
//! | [`qemu`] | sections and records of QEMU's migration stream |
//! | [`dump_level`] | the bits that say which pages a dump excludes |
//! | [`wire`] | word size, alignment and byte order of the crashed kernel's structs |
//!
//! # Sources
//!
//! None of the formats has a specification. These programs define them:
//!
//! | program | files |
//! |---|---|
//! | Linux | `include/linux/vmcore_info.h`, `kernel/vmcore_info.c`, `kernel/crash_core.c`, `include/linux/elfcore.h`, `fs/proc/vmcore.c` |
//! | makedumpfile | `makedumpfile.c`, `makedumpfile.h`, `diskdump_mod.h`, `IMPLEMENTATION` |
//! | crash | `diskdump.c`, `diskdump.h`, `netdump.c`, `netdump.h`, `makedumpfile.c` |
//! | libkdumpfile (and drgn, through it) | `src/kdumpfile/diskdump.c`, `elfdump.c`, `flatmap.c` |
//! | QEMU | `dump/dump.c`, `include/sysemu/dump.h` |
//!
//! What the pages say of crash was seen with 8.0.2 and 8.0.6, of libkdumpfile with 0.5.1 and its git
//! of 2026, of drgn with 0.3.0, of makedumpfile with 1.7.2 and its git of 2026, of QEMU with 10.0.2,
//! except where it says "by its code".

pub mod avml;
mod dump_kinds;
pub mod dump_level;
pub mod elf;
mod error;
pub mod flattened;
mod image_kinds;
pub mod kdump;
pub mod libvirt;
pub mod lime;
mod other_kinds;
pub mod qemu;
pub(crate) mod vmware;
pub mod wire;
pub(crate) mod xen;

#[cfg(test)]
mod pictures;

pub(crate) use dump_kinds::begins_dump;
pub use error::FormatError;
pub use image_kinds::ImageKind;
pub(crate) use image_kinds::image_kind;
pub(crate) use other_kinds::{OTHER_KIND_BYTES, other_kind};
