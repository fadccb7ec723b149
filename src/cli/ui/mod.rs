//! What people and scripts see: messages, progress, tables, pictures.
//!
//! Nothing here opens a dump or decides how a command ends.

pub(crate) mod advice;
pub(crate) mod census;
pub(crate) mod classes;
pub(crate) mod coverage;
pub(crate) mod findings;
pub(crate) mod messages;
pub(crate) mod outcome;
pub(crate) mod progress;
pub(crate) mod sizes;
pub(crate) mod table;
pub(crate) mod terminal;
pub(crate) mod utc;
