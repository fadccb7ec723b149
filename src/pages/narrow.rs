//! From a dump's 64-bit numbers to what this machine's memory holds.

/// A length or an index in memory, from a number that is certain to be one.
///
/// # Panics
/// If the number exceeds a `usize`. That is a bug: callers bound their numbers by what is in memory
/// (a batch, a buffer, a page) before they convert them.
#[must_use]
#[track_caller]
#[expect(
    clippy::expect_used,
    reason = "an unbounded number here is a bug, not a property of a file"
)]
pub(crate) fn in_memory(number: u64) -> usize {
    usize::try_from(number).expect("a length in memory exceeds the address space")
}

/// The smaller of `number` and `most`, which is a length in memory.
#[must_use]
pub(crate) fn at_most(number: u64, most: usize) -> usize {
    in_memory(number.min(most as u64))
}
