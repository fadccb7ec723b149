//! Linux kernel crash dumps: ELF vmcores and kdump-compressed files, read, converted and checked.
//!
//! A *vmcore* is the memory of a Linux kernel that crashed, or of a guest that a hypervisor stopped:
//! an ELF core file whose `PT_LOAD` segments are physical memory and whose notes hold each CPU's
//! registers and VMCOREINFO, the kernel's description of itself. The *kdump-compressed* format holds
//! the same memory page by page, each page compressed alone, and may exclude pages that nobody
//! needs. crash, drgn and libkdumpfile open both.
//!
//! ```
//! use kdumpconv::{ConvertOptions, Dump, FlattenedSink, Input, OpenOptions, convert};
//!
//! # fn main() -> kdumpconv::Result<()> {
//! let path = std::path::Path::new("testdata/small.vmcore.zst");
//! let dump = Dump::open(Input::open(path, std::env::temp_dir())?, &OpenOptions::default())?;
//! let mut stream = Vec::new();
//! let mut sink = FlattenedSink::new(&mut stream);
//! let report = convert(&dump, &mut sink, &ConvertOptions::default(), &mut |_progress| ())?;
//! assert!(!report.incomplete());
//! assert_eq!(stream[..12], *b"makedumpfile");
//! # Ok(())
//! # }
//! ```
//!
//! # The house
//!
//! Arrows point down: a module imports those below it, never one above or beside it that imports it.
//!
//! ```text
//! to_kdump   to_elf   verify   summary   unflatten   fixtures    what a dump becomes
//! select                                                         which pages are kept
//! output                                                         what OUTPUT is, and how it is published
//! pipeline                                                       pages under way; the only threads
//! dump                                                           Dump, PageReader: what pages there are
//! input                                                          where bytes come from
//! kernel     codec    sink                                       the crashed kernel; a page's stored form; where bytes go
//! format                                                         every byte of every format
//! pages      error    progress
//! ```
//!
//! The way of a page: `input` reads bytes, `dump` knows which page they are, `select` whether it is
//! kept; `pipeline` deals kept pages out in order, a worker of `to_kdump` encodes them by `codec`,
//! and its writer hands them to a `sink`.

#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "test data is made of small numbers"
    )
)]

// The tests in tests/unit, and the fuzz targets, name the library as every other test does.
#[cfg(any(test, kdumpconv_fuzz))]
extern crate self as kdumpconv;

pub mod codec;
pub mod dump;
mod error;
#[cfg(feature = "fixtures")]
pub mod fixtures;
pub mod format;
pub mod input;
pub mod kernel;
pub mod output;
pub mod pages;
pub mod pipeline;
mod progress;
pub mod select;
pub mod sink;
pub mod summary;
pub mod to_elf;
pub mod to_kdump;
pub mod unflatten;
pub mod verify;

#[cfg(test)]
#[path = "../tests/unit/mod.rs"]
mod unit_tests;

#[cfg(kdumpconv_fuzz)]
#[path = "../tests/common/hostile/mod.rs"]
pub mod hostile;

pub use codec::Codec;
pub use dump::physical::DumpMemory;
pub use dump::reader::PageReader;
pub use dump::search::find_vmcoreinfo;
pub use dump::{Dump, OpenOptions};
pub use error::{Error, Result};
pub use format::dump_level::DumpLevel;
pub use format::wire::{ByteOrder, StructLayout};
pub use input::flattened::FlattenedInput;
pub use input::{FileInput, Input, ReadAt};
pub use kernel::arch::Architecture;
pub use kernel::log;
pub use kernel::translate::Kernel;
pub use kernel::vmcoreinfo::Vmcoreinfo;
pub use output::{Disposition, Output, OutputFormat, Published};
pub use pages::{
    PageGrid, PageSize, Pfn, PfnRange, PhysAddr, PhysRange, Position, Span, VirtAddr, VirtRange,
};
pub use pipeline::MAX_THREADS;
pub use pipeline::outcome::{IncompleteReason, PageCounts};
pub use progress::Progress;
pub use select::{Census, Class, ClassCount, SelectRequest, Selection, select};
pub use sink::file::FileSink;
pub use sink::flattened::FlattenedSink;
pub use sink::ordered::OrderedSink;
pub use sink::seek::SeekSink;
pub use sink::{FileEnd, NullSink, Sink, Space};
pub use summary::Summary;
pub use to_elf::{ElfOptions, ElfReport, to_elf};
pub use to_kdump::{ConvertOptions, ConvertReport, convert};
pub use unflatten::{FlattenedStream, UnflattenStop, Unflattened, unflatten};
pub use verify::{
    Finding, FindingKind, Findings, Severity, VerifyOptions, mark_incomplete, verify,
};
