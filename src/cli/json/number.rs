//! Numbers as every JSON parser reads them exactly: many keep 53 bits of a number and no more.

use kdumpconv::{FileOffset, Pfn};
use serde::{Serialize, Serializer};

use crate::cli::ui::outcome::per_second;
use crate::cli::ui::sizes::{as_f64, signed_hex};

/// 2^53 - 1, the greatest number up to which a binary64 has every whole number.
const MAX_EXACT: u64 = (1 << 53) - 1;

/// A number of pages, bytes or the like, or a page frame number. 9007199254740991 (2^53 - 1) stands
/// for that and for everything greater, which only damaged headers have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) struct Count(
    #[cfg_attr(
        feature = "generate",
        schemars(with = "u64", range(max = 9_007_199_254_740_991u64))
    )]
    u64,
);

impl From<u64> for Count {
    fn from(number: u64) -> Self {
        Count(number.min(MAX_EXACT))
    }
}

impl From<usize> for Count {
    fn from(number: usize) -> Self {
        Count::from(number as u64)
    }
}

impl From<Pfn> for Count {
    fn from(pfn: Pfn) -> Self {
        Count::from(pfn.get())
    }
}

/// Bytes or pages per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) struct Rate(
    #[cfg_attr(
        feature = "generate",
        schemars(with = "f64", range(min = 0, max = 9_007_199_254_740_991u64))
    )]
    f64,
);

impl Rate {
    /// `count` in so many seconds; in no time at all, a finite rate.
    pub(crate) fn new(count: u64, seconds: f64) -> Self {
        Rate(per_second(count, seconds).min(as_f64(MAX_EXACT)))
    }
}

/// An address in memory or an offset in a file, in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) struct Address(
    #[cfg_attr(feature = "generate", schemars(with = "String", regex(pattern = "^0x[0-9a-f]+$")))]
    u64,
);

impl Address {
    pub(crate) fn new(address: u64) -> Self {
        Address(address)
    }
}

impl From<FileOffset> for Address {
    fn from(offset: FileOffset) -> Self {
        Address(offset.get())
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

/// A signed offset, in hexadecimal, such as "-0x1000000".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub(crate) struct SignedOffset(
    #[cfg_attr(
        feature = "generate",
        schemars(with = "String", regex(pattern = "^-?0x[0-9a-f]+$"))
    )]
    u64,
);

impl SignedOffset {
    /// The offset whose two's complement is `bits`.
    pub(crate) fn of_bits(bits: u64) -> Self {
        SignedOffset(bits)
    }
}

impl Serialize for SignedOffset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&signed_hex(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: impl Serialize) -> String {
        serde_json::to_string(&value).unwrap()
    }

    #[test]
    fn no_number_has_more_bits_than_a_parser_keeps() {
        assert_eq!(text(Count::from(MAX_EXACT)), "9007199254740991");
        assert_eq!(text(Count::from(u64::MAX)), "9007199254740991");
        assert_eq!(text(Rate::new(u64::MAX, 0.0)), "9007199254740991.0");
        assert_eq!(text(Rate::new(0, 0.0)), "0.0");
    }

    #[test]
    fn addresses_are_hexadecimal_and_phys_base_is_signed() {
        assert_eq!(text(Address::new(u64::MAX)), "\"0xffffffffffffffff\"");
        assert_eq!(text(SignedOffset::of_bits(u64::MAX)), "\"-0x1\"");
    }
}
