//! The command as a user or a script runs it: options, messages, exit codes, files, signals, and
//! the promises of the documents.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by a panic, and its numbers are small"
)]

mod advice;
mod arm;
mod care;
mod classes;
#[path = "../common/mod.rs"]
mod common;
mod containers;
mod convert;
mod coverage;
mod dropin;
mod elf;
mod encrypted;
mod epoch;
mod files;
mod fit;
mod flattened_elf;
mod generate;
mod help;
mod info;
mod json;
mod kdump;
mod library_alone;
mod logged;
mod messages;
#[path = "../common/process.rs"]
mod process;
#[path = "../common/python.rs"]
mod python;
mod raw;
mod readme;
#[path = "../common/schema.rs"]
mod schema;
mod security;
mod several;
mod signals;
#[path = "../common/skip.rs"]
#[expect(unused_macros, unused_imports, reason = "parts of tests are skipped, not whole tests")]
mod skip;
mod split;
mod spool;
mod terminal;
mod unflatten;
mod verify;
mod verify_elf;
mod vmcoreinfo;
mod vmware;
