//! Tests of the library by its public names.

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

mod builder;
#[path = "../common/mod.rs"]
mod common;
mod containers;
mod cut_orders;
mod elf_inputs;
mod elf_sections;
mod flattened_elf;
mod golden;
mod house;
mod images;
mod kcore;
mod kdump_inputs;
mod lime;
mod overlaps;
#[path = "../common/process.rs"]
mod process;
mod properties;
mod selection;
mod small_records;
mod sparse;
mod split;
mod streams;
mod summary;
mod testdata;
mod to_elf;
mod to_lime;
mod truncation;
mod unflatten;
mod unflatten_cut;
mod verify;
mod verify_damage;
