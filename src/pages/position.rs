//! The numbers of a dump that are easily taken for each other, each a type of its own.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// A place on one of a dump's number lines: a page frame number, an address, a file offset.
///
/// A position plus a distance is a position, and the difference of two is a distance; both are
/// counted in pages or bytes and are a plain `u64`. `+` and `-` fail loudly on overflow: where
/// a number comes from a file, use [`checked_add`](Self::checked_add).
pub trait Position: Copy + Ord + fmt::Debug + Send + Sync + 'static {
    /// The first position of all.
    const ZERO: Self;
    /// The last position of all: as an end it stands for "no end".
    const MAX: Self;

    /// The position of this number.
    fn new(number: u64) -> Self;

    /// Its number.
    fn get(self) -> u64;

    /// The position `distance` further on; `None` beyond 64 bits.
    #[must_use]
    fn checked_add(self, distance: u64) -> Option<Self> {
        self.get().checked_add(distance).map(Self::new)
    }

    /// The position `distance` further on, or the last one.
    #[must_use]
    fn saturating_add(self, distance: u64) -> Self {
        Self::new(self.get().saturating_add(distance))
    }

    /// The position `distance` further on modulo 2^64, as a kernel computes addresses.
    #[must_use]
    fn wrapping_add(self, distance: u64) -> Self {
        Self::new(self.get().wrapping_add(distance))
    }

    /// The distance from `earlier` to this position modulo 2^64: adding it to `earlier` by
    /// [`wrapping_add`](Self::wrapping_add) gives this position, whichever comes first.
    #[must_use]
    fn wrapping_sub(self, earlier: Self) -> u64 {
        self.get().wrapping_sub(earlier.get())
    }

    /// The distance from `earlier` to this position; `None` if it is before that.
    #[must_use]
    fn checked_sub(self, earlier: Self) -> Option<u64> {
        self.get().checked_sub(earlier.get())
    }
}

macro_rules! position {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The position of this number.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                $name(number)
            }

            /// Its number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl Position for $name {
            const ZERO: Self = $name(0);
            const MAX: Self = $name(u64::MAX);

            fn new(number: u64) -> Self {
                $name(number)
            }

            fn get(self) -> u64 {
                self.0
            }
        }

        impl Add<u64> for $name {
            type Output = Self;

            fn add(self, distance: u64) -> Self {
                $name(self.0 + distance)
            }
        }

        impl AddAssign<u64> for $name {
            fn add_assign(&mut self, distance: u64) {
                self.0 += distance;
            }
        }

        impl Sub<u64> for $name {
            type Output = Self;

            fn sub(self, distance: u64) -> Self {
                $name(self.0 - distance)
            }
        }

        impl Sub for $name {
            type Output = u64;

            fn sub(self, earlier: Self) -> u64 {
                self.0 - earlier.0
            }
        }

        impl From<u64> for $name {
            fn from(number: u64) -> Self {
                $name(number)
            }
        }

        /// Tests compare with literal numbers.
        #[cfg(any(test, kdumpconv_fuzz))]
        impl PartialEq<u64> for $name {
            fn eq(&self, number: &u64) -> bool {
                self.0 == *number
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }
    };
}

position! {
    /// A page frame number: a page's index in physical memory.
    Pfn
}
position! {
    /// A physical address of the crashed machine, in bytes.
    PhysAddr
}
position! {
    /// A virtual address of the crashed kernel, in bytes.
    VirtAddr
}
position! {
    /// An offset in a file, in bytes.
    FileOffset
}
