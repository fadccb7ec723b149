//! Reads, converts and checks Linux kernel crash dumps: ELF vmcores and kdump-compressed files.
//!
//! A *vmcore* is the memory of a Linux kernel that crashed, or of a guest that a hypervisor stopped:
//! an ELF core file whose `PT_LOAD` segments are physical memory and whose notes hold each CPU's
//! registers and VMCOREINFO, the kernel's description of itself. The *kdump-compressed* format holds
//! the same memory page by page, each compressed separately, and may exclude pages that an analysis
//! does not need. crash, drgn and libkdumpfile open both.
//!
//! ```
//! use kdumpconv::{Codec, ConvertOptions, Dump, Output, OutputFormat, convert};
//!
//! fn compress(vmcore: &str, kdump: &str) -> kdumpconv::Result<u64> {
//!     let dump = Dump::open_path(vmcore)?;
//!     let mut output = Output::create(kdump.as_ref(), OutputFormat::Auto, false)?;
//!     let options = ConvertOptions::default().codec(Codec::Zstd).threads(2);
//!     let report = convert(&dump, output.sink(), &options, &mut |_progress| ())?;
//!     assert!(!report.incomplete());
//!     let _published = output.publish(true);
//!     Ok(report.file_bytes)
//! }
//! # let folder = tempfile::tempdir().unwrap();
//! # let target = folder.path().join("dump.kdump");
//! # assert!(compress("testdata/small.vmcore.zst", target.to_str().unwrap())? > 0);
//! # assert!(target.exists());
//! # Ok::<(), kdumpconv::Error>(())
//! ```
//!
//! # What to use
//!
//! | to | use |
//! |---|---|
//! | open a dump of any kind | [`Dump::open_path`], [`Dump::open`], [`Input`] for pipes and memory |
//! | read pages, or memory by physical address | [`PageReader`], [`DumpMemory`] |
//! | convert to a kdump file | [`convert`], to an [`Output`] or any other [`Sink`] |
//! | convert to an ELF core or a LiME image | [`to_elf`] |
//! | check a dump, alone or against its source | [`verify()`] |
//! | describe a dump | [`mod@summary`] |
//! | read the kernel log | [`log`] |
//! | find out which pages a dump level excludes | [`select`] |
//! | turn a flattened stream back into a plain file | [`unflatten`] |
//! | read or write headers, descriptors and records | [`mod@format`] |
#![cfg_attr(
    feature = "fixtures",
    doc = "| make small dumps for tests | [`fixtures`] (a feature, on by default) |\n\n[`guide`] shows how, with examples."
)]
//!
//! Nothing panics on a damaged or hostile input, and the memory that the library uses stays in
//! proportion to the size of the input.
//!
//! # What semantic versioning covers
//!
//! Everything public: the items at the root and in the modules [`mod@format`], `fixtures`, [`log`] and
//! [`mod@summary`]. A minor version may add variants and fields to what is `#[non_exhaustive]`, may
//! change the texts of errors, warnings and remarks, and may change the compressed bytes of pages, but
//! not the pages.
//!
//! The output is covered too: one version of the library turns the same input, with the same options,
//! into the same bytes, whatever the number of threads. The versions that fix these bytes:
//!
//! - zlib at its default level, and raw pages: that of kdumpconv.
//! - Other levels of zlib, LZO, snappy and zstd: also those of libdeflater, lzokit, snap and zstd-sys in
//!   your `Cargo.lock`. Commit it if you compare hashes.
//!
//! Neither the clock nor `SOURCE_DATE_EPOCH` (which is for the command) has a say: a dump that does not
//! know its crash time gets [`ConvertOptions::timestamp`].
//!
//! # For contributors
//!
//! A module imports only from modules in rows below its own. A test
//! (`tests/library/house.rs`) fails on any other import.
//!
//! ```text
//! to_kdump  to_elf  verify  summary  unflatten  fixtures   what can be done with a dump
//! select                                                   which pages are kept
//! output                                                   what OUTPUT is, and how it is published
//! pipeline                                                 pages under way; the only threads
//! dump                                                     Dump, PageReader: what pages there are
//! input                                                    where bytes come from
//! kernel    codec   kdump_tables  sink                     the crashed kernel; how a page is stored; writing tables; where bytes go
//! format                                                   every byte of every format
//! pages     error   progress                               pfns, addresses, ranges; errors; how far the work is
//! ```
//!
//! The path of a page through a conversion:
//!
//! ```text
//! input --bytes--> dump: which page is it? --> select: is it kept? --> pipeline: distributed in batches
//!   --> to_kdump: PageReader --> zero? copied? encoded by codec --> in order --> writer --> sink
//! ```
//!
//! The command (`src/cli`, above all layers) uses only what is public.

#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "test data is made of small numbers"
    )
)]

// Lets tests/unit and the fuzz targets write `kdumpconv::`, as all other tests do.
#[cfg(any(test, kdumpconv_fuzz))]
extern crate self as kdumpconv;

#[cfg(all(any(doc, doctest), feature = "fixtures"))]
#[doc = include_str!("guide.md")]
pub mod guide {}

mod codec;
mod dump;
mod error;
#[cfg(feature = "fixtures")]
pub mod fixtures;
pub mod format;
mod input;
mod kdump_tables;
mod kernel;
mod output;
mod pages;
mod pipeline;
mod progress;
mod select;
mod sink;
pub mod summary;
mod to_elf;
mod to_kdump;
mod unflatten;
mod verify;

#[cfg(test)]
#[path = "../tests/unit/mod.rs"]
mod unit_tests;

#[cfg(kdumpconv_fuzz)]
#[path = "../tests/common/hostile/mod.rs"]
pub mod hostile;

pub use codec::Codec;
pub use dump::image::Machine;
pub use dump::image::raw::RawMemory;
pub use dump::notes::Notes;
pub use dump::physical::DumpMemory;
pub use dump::reader::PageReader;
pub use dump::search::{SearchScope, VmcoreinfoCandidates, VmcoreinfoFound, find_vmcoreinfo};
pub use dump::{Dump, OpenOptions, Runs};
pub use error::{Error, Result, UnsupportedKind};
pub use format::ImageKind;
pub use format::dump_level::DumpLevel;
pub use format::wire::{ByteOrder, StructLayout};
pub use input::{Compression, Container, FileInput, FlattenedInput, Input, ReadAt, SpoolDir};
pub use kernel::arch::Architecture;
pub use kernel::log;
pub use kernel::physical::{MissingReason, Unreadable};
pub use kernel::proof::Proof;
pub use kernel::relocation::Relocated;
pub use kernel::translate::Kernel;
pub use kernel::translate::direct_map::DirectMap;
pub use kernel::vmcoreinfo::Vmcoreinfo;
pub use output::{Disposition, Output, OutputFormat, Published};
pub use pages::page_set::PageSet;
pub use pages::{
    FileOffset, FileRange, PageGrid, PageSize, Pfn, PfnRange, PhysAddr, PhysRange, Position, Span,
    VirtAddr, VirtRange,
};
pub use pipeline::MAX_THREADS;
pub use pipeline::outcome::{IncompleteReason, PageCounts};
pub use progress::{Progress, Stage};
pub use select::{
    Census, Class, ClassCount, ClassSet, KeepSet, SelectRequest, Selection, WriteOrder, select,
};
pub use sink::file::FileSink;
pub use sink::flattened::FlattenedSink;
pub use sink::ordered::OrderedSink;
pub use sink::seek::SeekSink;
pub use sink::{FileEnd, NullSink, Room, Sink, Space, WriteAt};
pub use summary::Summary;
pub use to_elf::{ElfOptions, ElfReport, MemoryFormat, to_elf};
pub use to_kdump::{ConvertOptions, ConvertReport, SplitFile, convert, convert_split};
pub use unflatten::{FlattenedStream, UnflattenStop, Unflattened, unflatten};
pub use verify::{
    CutOff, Finding, FindingKind, Findings, Group, Severity, Tally, VerifyOptions, mark_incomplete,
    verify,
};
