//! The judge is judged: its builder, its oracle, its strict reader.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by a panic, and its numbers are small"
)]

mod builder;
mod capture;
mod model;
#[path = "../common/process.rs"]
mod process;
mod roundtrip;
mod strict;
