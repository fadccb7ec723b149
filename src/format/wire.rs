//! How a C struct of the crashed kernel lies in bytes: word size, alignment, byte order.
//!
//! A record lists its fields once, in order, to `Fields`; the writer and the reader behind it
//! alone know how wide an `unsigned long` is and where padding goes, so one list serves all five
//! layouts, both ways.

use crate::error::{Error, Result};

/// Byte order of the crashed machine, as `EI_DATA` of its core says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl ByteOrder {
    /// The four bytes of `value` in this order.
    #[must_use]
    pub fn u32(self, value: u32) -> [u8; 4] {
        match self {
            ByteOrder::Little => value.to_le_bytes(),
            ByteOrder::Big => value.to_be_bytes(),
        }
    }

    /// The eight bytes of `value` in this order.
    #[must_use]
    pub fn u64(self, value: u64) -> [u8; 8] {
        match self {
            ByteOrder::Little => value.to_le_bytes(),
            ByteOrder::Big => value.to_be_bytes(),
        }
    }

    /// The 16-bit integer that two bytes in this order are.
    #[must_use]
    pub fn read_u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        }
    }

    /// The 32-bit integer that four bytes in this order are.
    #[must_use]
    pub fn read_u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        }
    }

    /// The 64-bit integer that eight bytes in this order are.
    #[must_use]
    pub fn read_u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            ByteOrder::Little => u64::from_le_bytes(bytes),
            ByteOrder::Big => u64::from_be_bytes(bytes),
        }
    }
}

/// The C ABI that a kdump header is laid out by: the five that occur.
///
/// `crash` and makedumpfile read the headers as native structs, so the layout is the one of a
/// `crash` built for the crashed machine.
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

    fn long_long_alignment(self) -> usize {
        match self {
            StructLayout::Bits64(_) | StructLayout::Padded32(_) => 8,
            StructLayout::Packed32 => 4,
        }
    }
}

/// The members of one C struct, in order: a record lists them once, for writing and for reading.
pub(crate) trait Fields {
    /// A `char[]` member.
    fn chars(&mut self, chars: &mut [u8]);

    /// An `int` or `unsigned int` member.
    fn int(&mut self, value: &mut u32);

    /// An `off_t`, `long long` or `unsigned long long` member: 64 bits on every target.
    fn long_long(&mut self, value: &mut u64);

    /// A `long` or `unsigned long` member.
    ///
    /// # Errors
    /// [`Error::FieldOverflow`] naming `field` when a 32-bit `long` cannot hold `value`.
    fn long(&mut self, field: &'static str, value: &mut u64) -> Result<()>;
}

/// Writes the members of one C struct, with the padding of its layout.
#[derive(Debug)]
pub(crate) struct StructWriter {
    layout: StructLayout,
    bytes: Vec<u8>,
    alignment: usize,
}

impl StructWriter {
    pub(crate) fn new(layout: StructLayout) -> Self {
        StructWriter { layout, bytes: Vec::new(), alignment: 1 }
    }

    fn align(&mut self, alignment: usize) {
        self.alignment = self.alignment.max(alignment);
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
    }

    /// The offset that the next member starts at, before its alignment.
    pub(crate) fn position(&self) -> usize {
        self.bytes.len()
    }

    /// The finished struct, padded at its end as `sizeof` counts it.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.align(self.alignment);
        self.bytes
    }
}

impl Fields for StructWriter {
    fn chars(&mut self, chars: &mut [u8]) {
        self.bytes.extend_from_slice(chars);
    }

    fn int(&mut self, value: &mut u32) {
        self.align(4);
        self.bytes.extend_from_slice(&self.layout.byte_order().u32(*value));
    }

    fn long_long(&mut self, value: &mut u64) {
        self.align(self.layout.long_long_alignment());
        self.bytes.extend_from_slice(&self.layout.byte_order().u64(*value));
    }

    fn long(&mut self, field: &'static str, value: &mut u64) -> Result<()> {
        let value = *value;
        self.align(self.layout.long_bytes());
        let order = self.layout.byte_order();
        if self.layout.long_bytes() == 8 {
            self.bytes.extend_from_slice(&order.u64(value));
        } else {
            let narrow = u32::try_from(value).map_err(|_| Error::FieldOverflow {
                field,
                value,
                bits: 32,
            })?;
            self.bytes.extend_from_slice(&order.u32(narrow));
        }
        Ok(())
    }
}

/// Reads the members of one C struct; what is behind the end of the bytes reads as 0.
#[derive(Debug)]
pub(crate) struct StructReader<'a> {
    layout: StructLayout,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> StructReader<'a> {
    /// Reads a struct that starts at the start of `bytes`.
    pub(crate) fn new(layout: StructLayout, bytes: &'a [u8]) -> Self {
        StructReader { layout, bytes, position: 0 }
    }

    fn take(&mut self, into: &mut [u8], alignment: usize) {
        self.position = self.position.next_multiple_of(alignment);
        let from = self.bytes.iter().skip(self.position).chain(std::iter::repeat(&0));
        into.iter_mut().zip(from).for_each(|(byte, from)| *byte = *from);
        self.position += into.len();
    }
}

impl Fields for StructReader<'_> {
    fn chars(&mut self, chars: &mut [u8]) {
        self.take(chars, 1);
    }

    fn int(&mut self, value: &mut u32) {
        let mut bytes = [0; 4];
        self.take(&mut bytes, 4);
        *value = self.layout.byte_order().read_u32(bytes);
    }

    fn long_long(&mut self, value: &mut u64) {
        let mut bytes = [0; 8];
        self.take(&mut bytes, self.layout.long_long_alignment());
        *value = self.layout.byte_order().read_u64(bytes);
    }

    fn long(&mut self, _field: &'static str, value: &mut u64) -> Result<()> {
        if self.layout.long_bytes() == 8 {
            self.long_long(value);
        } else {
            let mut narrow = 0;
            self.int(&mut narrow);
            *value = u64::from(narrow);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Values = ([u8; 1], u32, u64, u64);

    const VALUES: Values = ([0xcc], 0x0102_0304, 0x1112_1314_1516_1718, 0x2122_2324);

    fn list(values: &mut Values, fields: &mut dyn Fields) -> Result<()> {
        fields.chars(&mut values.0);
        fields.int(&mut values.1);
        fields.long_long(&mut values.2);
        fields.long("field", &mut values.3)
    }

    fn one_of_each(layout: StructLayout) -> Vec<u8> {
        let mut writer = StructWriter::new(layout);
        list(&mut VALUES.clone(), &mut writer).unwrap();
        let bytes = writer.finish();
        let mut read = Values::default();
        list(&mut read, &mut StructReader::new(layout, &bytes)).unwrap();
        assert_eq!(read, VALUES, "what is written is read back");
        bytes
    }

    #[test]
    fn what_is_behind_the_end_reads_as_0() {
        let mut read = VALUES;
        let layout = StructLayout::Bits64(ByteOrder::Little);
        list(&mut read, &mut StructReader::new(layout, &[1, 0, 0, 0, 2])).unwrap();
        assert_eq!(read, ([1], 2, 0, 0));
    }

    #[test]
    fn padding_width_and_byte_order_follow_the_layout() {
        assert_eq!(
            one_of_each(StructLayout::Bits64(ByteOrder::Little)),
            [
                0xcc, 0, 0, 0, 4, 3, 2, 1, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x24,
                0x23, 0x22, 0x21, 0, 0, 0, 0
            ]
        );
        assert_eq!(
            one_of_each(StructLayout::Bits64(ByteOrder::Big)),
            [
                0xcc, 0, 0, 0, 1, 2, 3, 4, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0, 0, 0,
                0, 0x21, 0x22, 0x23, 0x24
            ]
        );
        assert_eq!(
            one_of_each(StructLayout::Packed32),
            [
                0xcc, 0, 0, 0, 4, 3, 2, 1, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x24,
                0x23, 0x22, 0x21
            ]
        );
        assert_eq!(
            one_of_each(StructLayout::Padded32(ByteOrder::Big)),
            [
                0xcc, 0, 0, 0, 1, 2, 3, 4, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x21,
                0x22, 0x23, 0x24, 0, 0, 0, 0
            ]
        );
    }

    #[test]
    fn a_32_bit_field_never_truncates() {
        let mut writer = StructWriter::new(StructLayout::Packed32);
        let error = writer.long("phys_base", &mut (1 << 32)).unwrap_err();
        assert_eq!(error.to_string(), "phys_base: 0x100000000 does not fit in 32 bits");
    }
}
