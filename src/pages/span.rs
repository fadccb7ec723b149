//! Half-open ranges of positions that can be copied.

use std::ops::Range;

use crate::pages::position::{FileOffset, Pfn, PhysAddr, Position, VirtAddr};

/// The positions from `start` up to, but not including, `end`.
///
/// Unlike `Range` it can be copied, and is not an iterator but can be iterated over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Span<T> {
    /// The first position.
    pub start: T,
    /// One past the last position.
    pub end: T,
}

/// A run of pages.
pub type PfnRange = Span<Pfn>;
/// A range of physical memory.
pub type PhysRange = Span<PhysAddr>;
/// A range of virtual memory.
pub type VirtRange = Span<VirtAddr>;
/// A range of a file.
pub type FileRange = Span<FileOffset>;

impl<T: Position> From<Range<u64>> for Span<T> {
    fn from(numbers: Range<u64>) -> Self {
        Span::new(T::new(numbers.start), T::new(numbers.end))
    }
}

/// The plain numbers of a span, for interfaces that take those.
impl<T: Position> From<Span<T>> for Range<u64> {
    fn from(span: Span<T>) -> Self {
        span.start.get()..span.end.get()
    }
}

impl<T: Position> IntoIterator for Span<T> {
    type Item = T;
    type IntoIter = std::iter::Map<Range<u64>, fn(u64) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        (self.start.get()..self.end.get()).map(T::new)
    }
}

/// Tests compare with literal ranges.
#[cfg(any(test, kdumpconv_fuzz))]
impl<T: Position> PartialEq<Range<u64>> for Span<T> {
    fn eq(&self, numbers: &Range<u64>) -> bool {
        *self == Span::from(numbers.clone())
    }
}

impl<T: Position> Span<T> {
    /// Every position there is.
    pub const ALL: Span<T> = Span { start: T::ZERO, end: T::MAX };

    /// The positions from `start` up to `end`.
    #[must_use]
    pub const fn new(start: T, end: T) -> Self {
        Span { start, end }
    }

    /// The `length` positions from `start` on.
    ///
    /// # Panics
    /// If they go beyond 64 bits, see [`checked`](Self::checked).
    #[must_use]
    pub fn of(start: T, length: u64) -> Self {
        Span { start, end: T::new(start.get() + length) }
    }

    /// The `length` positions from `start` on; `None` if they go beyond 64 bits.
    #[must_use]
    pub fn checked(start: T, length: u64) -> Option<Self> {
        Some(Span { start, end: start.checked_add(length)? })
    }

    /// How many positions there are: pages of a [`PfnRange`], else bytes. 0 if the end is before
    /// the start.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end.get().saturating_sub(self.start.get())
    }

    /// Whether it has no position.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Whether it has `position`.
    #[must_use]
    pub fn contains(&self, position: T) -> bool {
        self.start <= position && position < self.end
    }

    /// The positions that both have; empty if there are none.
    #[must_use]
    pub fn intersection(&self, other: Span<T>) -> Span<T> {
        let start = self.start.max(other.start);
        Span { start, end: self.end.min(other.end).max(start) }
    }

    /// The positions in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = T> + Clone + Send + use<T> {
        (self.start.get()..self.end.get()).map(T::new)
    }
}
