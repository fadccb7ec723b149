//! One file or folder for each command: its arguments, its `run`, and its report.
//!
//! To add a command: write its file with a `clap::Args` made of the shared groups and of what it
//! alone takes, and a `run`; add a variant to `args::Command` and a line to [`cli::run`].
//! What two commands do belongs in `job`, what two commands print in `ui`.
//!
//! [`cli::run`]: super::run

#[cfg(feature = "generate")]
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod dmesg;
pub(crate) mod elf;
pub(crate) mod info;
#[cfg(feature = "generate")]
pub(crate) mod man;
#[cfg(feature = "generate")]
pub(crate) mod schema;
pub(crate) mod unflatten;
pub(crate) mod verify;
