//! Real readers judge our files of real vmcores: libkdumpfile, crash, drgn, makedumpfile, and the
//! strict reader of `tests/support`.
//!
//! The vmcores and the scripts that compare dumps are a folder of their own: `KDUMPCONV_SHARED`, or
//! `../shared` beside the checkout. Without it, or without a reader, a test says `SKIPPED` and
//! passes; with `KDUMPCONV_REQUIRE_PEERS=1` it fails instead.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's failure is a panic"
)]

mod classes;
mod completions;
mod coverage;
mod crash;
mod drgn;
mod elf;
mod filter;
mod filtered_elf;
mod fixtures;
mod flattened;
mod images;
mod info;
mod input;
mod json;
mod kernels;
mod libkdumpfile;
mod log;
mod makedumpfile;
mod manual;
mod opens;
mod product;
#[path = "../common/python.rs"]
mod python;
mod qemu;
mod readme;
mod recompress;
#[path = "../common/schema.rs"]
mod schema;
#[path = "../common/skip.rs"]
mod skip;
mod split;
mod strict;
mod tools;
mod types;
mod user_stacks;
mod verify;
mod vmcoreinfo;
mod vmcores;
mod vmemmap;
