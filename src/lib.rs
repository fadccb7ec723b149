//! Linux kernel crash dumps: ELF vmcores and kdump-compressed files, read, converted and checked.
//!
//! ```text
//! input --ReadAt--> source (runs of pages, notes, VMCOREINFO) --> select (which pages)
//!       --> plan (every offset) --> pipeline: read batch -> [zero? compress] -> in order
//!       --> writer --> sink (file | flattened stream)
//! ```
//!
//! The stories, each told from top to bottom: [`fn@convert`] (any dump to a kdump file),
//! [`mod@to_elf`] (to an ELF core), [`fn@verify`], [`fn@unflatten`], [`summary`], [`kernel::log`].
//!
//! | module | what it is the one place for |
//! |---|---|
//! | [`mod@convert`] | a dump that becomes a kdump file |
//! | [`mod@to_elf`] | a dump that becomes an ELF core |
//! | [`mod@verify`] | whether a dump is what it says, and what its source says |
//! | [`summary`] | what a dump is, at a glance |
//! | [`mod@unflatten`] | a flattened stream put together again |
//! | [`plan`] | every offset of a kdump file that is written |
//! | `batch`, `worker` | pages under way: dealt out, read, and turned into what is written |
//! | `writer`, `bitmap` | the parts of the file in the order that keeps it consistent |
//! | [`source`] | where pages come from: an ELF core or kdump files, on a file, a device, a pipe, .gz, .zst |
//! | [`select`] | which pages are kept |
//! | [`kernel`] | VMCOREINFO, architectures, address translation, the log, what the kernel calls itself |
//! | [`build`] | small vmcores made in memory, as fixtures for tests |
//! | [`codec`] | a page to its stored bytes and back |
//! | `pipeline` | the ordered parallel map, and the only threads |
//! | [`sink`] | a file that can seek, a flattened stream, how an output gets its name |
//! | [`mod@format`] | every byte of every format |
//!
//! ```
//! use kdumpconv::sink::flat::FlatSink;
//! use kdumpconv::source::{dump::{Dump, OpenOptions}, open};
//!
//! # fn main() -> kdumpconv::Result<()> {
//! let path = std::path::Path::new("testdata/small.vmcore.zst");
//! let input = open::open(path, std::env::temp_dir())?;
//! let dump = Dump::open(input, &OpenOptions::default())?;
//! let mut stream = Vec::new();
//! let report = kdumpconv::convert(
//!     &dump,
//!     &mut FlatSink::new(&mut stream),
//!     &kdumpconv::Options::default(),
//!     &mut |_progress| (),
//! )?;
//! assert!(!report.incomplete());
//! assert_eq!(stream[..12], *b"makedumpfile");
//! # Ok(())
//! # }
//! ```

#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "test data is made of small numbers"
    )
)]

mod batch;
mod bitmap;
pub mod build;
pub mod codec;
pub mod convert;
mod error;
pub mod format;
pub mod kernel;
mod pipeline;
pub mod plan;
pub mod report;
pub mod select;
pub mod sink;
pub mod source;
pub mod summary;
pub mod to_elf;
pub mod unflatten;
pub mod verify;
mod worker;
mod writer;

pub use convert::{Options, convert};
pub use error::{Error, Result};
pub use report::Report;
pub use to_elf::to_elf;
pub use unflatten::unflatten;
pub use verify::verify;
