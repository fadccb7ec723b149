//! What the README promises of security: whose file is written and who may read it, what reaches a
//! terminal, and what a hostile dump can make the command do.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "a test that cannot go on has failed"
)]

#[path = "../common/mod.rs"]
mod common;
mod files;
mod hostile;
mod words;

#[path = "../peers/skip.rs"]
#[expect(unused_macros, unused_imports, reason = "only one test needs more than it finds")]
mod skip;
