//! How a C struct of the crashed kernel lies in bytes: word size, alignment, byte order.
//!
//! A record lists its fields once, in order, to a `FieldVisitor`. Visitors write the struct, read
//! it, measure it and check that its values fit; they alone know how wide an `unsigned long` is and
//! where padding goes. So one list serves all five layouts.

mod byte_order;
mod fields;

pub use byte_order::ByteOrder;
pub(crate) use fields::{
    FieldVisitor, Record, check, check_width, decode, encode, offset_of, size_of,
};
#[cfg(test)]
pub(crate) use fields::{fields, size_of_record};

/// How the C ABI of the crashed kernel lays out a struct: the five layouts that occur.
///
/// crash and makedumpfile read the kdump headers as native structs, so they must be built for an ABI
/// with the same layout as the crashed kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructLayout {
    /// LP64 of either byte order.
    Bits64(ByteOrder),
    /// i386: 32-bit `long`, 64-bit members aligned to 4 bytes.
    Packed32,
    /// 32-bit `long`, 64-bit members aligned to 8 bytes: arm, ppc, mips, riscv32.
    Padded32(ByteOrder),
}

impl StructLayout {
    /// Whether `long` and pointers have 64 bits.
    #[must_use]
    pub fn is_64bit(self) -> bool {
        matches!(self, StructLayout::Bits64(_))
    }

    /// The byte order of all integers.
    #[must_use]
    pub fn byte_order(self) -> ByteOrder {
        match self {
            StructLayout::Bits64(order) | StructLayout::Padded32(order) => order,
            StructLayout::Packed32 => ByteOrder::Little,
        }
    }

    /// Bytes of a `long` or a pointer: 8 or 4.
    #[must_use]
    pub fn long_bytes(self) -> usize {
        match self {
            StructLayout::Bits64(_) => 8,
            StructLayout::Packed32 | StructLayout::Padded32(_) => 4,
        }
    }

    /// Alignment of a 64-bit integer, in bytes.
    fn long_long_alignment(self) -> usize {
        match self {
            StructLayout::Bits64(_) | StructLayout::Padded32(_) => 8,
            StructLayout::Packed32 => 4,
        }
    }
}
