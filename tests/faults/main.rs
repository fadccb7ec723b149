//! Fault injection: reads and writes that fail, fall short or are interrupted, in the library's
//! traits and in the system calls of the real command; and signals at every moment. After each
//! fault the test checks what is left.
//!
//! `cargo test --test faults` tries a fixed sample of all faults; `KDUMPCONV_FAULTS=all` tries
//! every one.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    reason = "a test that cannot go on has failed"
)]

#[path = "../common/mod.rs"]
mod common;
mod disk;
mod library;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod calls;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod cases;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod command;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod contents;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod full;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod judge;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod kills;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod order;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod readers;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod run;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "../common/skip.rs"]
#[expect(unused_macros, unused_imports, reason = "cases are skipped one by one here")]
mod skip;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tally;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod tracer;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
#[test]
fn faults_of_the_command_are_not_injected_on_this_machine() {
    eprintln!("SKIPPED: the tracer knows the registers of x86_64 alone");
}
