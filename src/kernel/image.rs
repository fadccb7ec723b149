//! Stub.
use crate::kernel::translate::{Kernel, Translator};
use std::ops::Range;
/// Stub.
#[must_use]
pub fn image(_kernel: &Kernel<'_>, _translator: &Translator<'_>) -> Vec<Range<u64>> {
    Vec::new()
}
