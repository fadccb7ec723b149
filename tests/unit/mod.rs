//! Tests of the library's private modules. `src/lib.rs` compiles this folder as a module.
//!
//! Like all other tests, they call the library `kdumpconv`.

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

mod btf;
#[path = "../common/mod.rs"]
mod common;
mod decoding;
mod flat_input;
mod hostile;
mod kernel_image;
mod kernel_log;
mod kernel_types;
mod nodes;
mod page_tables;
mod proof;
#[path = "../common/hostile/mod.rs"]
mod targets;
mod tasks;
mod translation;
mod world;
