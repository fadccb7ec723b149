//! The byte order of the crashed machine, known only at run time.

use std::fmt;

use byteorder::{BE, ByteOrder as _, LE};

/// The byte order of the crashed machine: `EI_DATA` of its core.
///
/// It is a value, not a type parameter: one build reads the dumps of every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// As messages name it.
impl fmt::Display for ByteOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ByteOrder::Little => "little-endian",
            ByteOrder::Big => "big-endian",
        })
    }
}

impl ByteOrder {
    /// The unsigned integer that all of `bytes` encode: 1 to 8 of them.
    ///
    /// # Panics
    /// If there are no bytes, or more than 8: the width of a field is known before it is read.
    #[must_use]
    pub fn read_uint(self, bytes: &[u8]) -> u64 {
        match self {
            ByteOrder::Little => read_uint::<LE>(bytes),
            ByteOrder::Big => read_uint::<BE>(bytes),
        }
    }

    /// Encodes `value` in all of `bytes`: 1 to 8 of them.
    ///
    /// # Panics
    /// If `value` does not fit in `bytes`, or their number is not 1 to 8: it is never cut off.
    pub fn write_uint(self, bytes: &mut [u8], value: u64) {
        let width = bytes.len();
        match self {
            ByteOrder::Little => LE::write_uint(bytes, value, width),
            ByteOrder::Big => BE::write_uint(bytes, value, width),
        }
    }

    /// Encodes a 32-bit integer.
    #[must_use]
    pub fn encode_u32(self, value: u32) -> [u8; 4] {
        match self {
            ByteOrder::Little => value.to_le_bytes(),
            ByteOrder::Big => value.to_be_bytes(),
        }
    }

    /// Decodes a 16-bit integer.
    #[must_use]
    pub fn read_u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            ByteOrder::Little => LE::read_u16(&bytes),
            ByteOrder::Big => BE::read_u16(&bytes),
        }
    }

    /// Decodes a 32-bit integer.
    #[must_use]
    pub fn read_u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            ByteOrder::Little => LE::read_u32(&bytes),
            ByteOrder::Big => BE::read_u32(&bytes),
        }
    }

    /// Decodes a 64-bit integer.
    #[must_use]
    pub fn read_u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            ByteOrder::Little => LE::read_u64(&bytes),
            ByteOrder::Big => BE::read_u64(&bytes),
        }
    }
}

/// The common widths take one load each; byteorder's `read_uint` copies any number of bytes.
fn read_uint<E: byteorder::ByteOrder>(bytes: &[u8]) -> u64 {
    match bytes.len() {
        8 => E::read_u64(bytes),
        4 => E::read_u32(bytes).into(),
        2 => E::read_u16(bytes).into(),
        width => E::read_uint(bytes, width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_of_any_width_is_read_and_written_in_either_order() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        for (width, little, big) in [
            (1, 0x01, 0x01),
            (2, 0x0201, 0x0102),
            (3, 0x03_0201, 0x01_0203),
            (4, 0x0403_0201, 0x0102_0304),
            (8, 0x0807_0605_0403_0201, 0x0102_0304_0506_0708),
        ] {
            for (order, value) in [(ByteOrder::Little, little), (ByteOrder::Big, big)] {
                assert_eq!(order.read_uint(&bytes[..width]), value, "{order:?} {width}");
                let mut written = [0; 8];
                order.write_uint(&mut written[..width], value);
                assert_eq!(written[..width], bytes[..width], "{order:?} {width}");
            }
        }
        assert_eq!(ByteOrder::Little.encode_u32(0x0403_0201), [1, 2, 3, 4]);
        assert_eq!(ByteOrder::Big.encode_u32(0x0102_0304), [1, 2, 3, 4]);
    }

    #[test]
    #[should_panic(expected = "assert")]
    fn a_value_is_never_cut_off() {
        ByteOrder::Big.write_uint(&mut [0; 2], 0x1_0000);
    }
}
