//! The fields of a C struct, listed once and visited to write, read, measure and check it.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::format::wire::StructLayout;

/// A C struct.
pub(crate) trait Record: Clone {
    /// Shows every field to `fields`, in the order of the struct.
    fn visit(&mut self, fields: &mut dyn FieldVisitor);
}

/// Does one thing with every field of a struct. A field has the name that C gives it.
pub(crate) trait FieldVisitor {
    /// The layout of the struct.
    fn layout(&self) -> StructLayout;

    /// A `char[]`.
    fn chars(&mut self, field: &'static str, chars: &mut [u8]);

    /// An integer of `width` bytes.
    fn uint(&mut self, field: &'static str, width: usize, alignment: usize, value: &mut u64);

    /// An `int` or `unsigned int`.
    #[expect(clippy::expect_used, reason = "no visitor makes 4 bytes more than 32 bits")]
    fn int(&mut self, field: &'static str, value: &mut u32) {
        let mut wide = u64::from(*value);
        self.uint(field, 4, 4, &mut wide);
        *value = u32::try_from(wide).expect("an int has 32 bits");
    }

    /// A `long` or `unsigned long`.
    fn long(&mut self, field: &'static str, value: &mut u64) {
        let width = self.layout().long_bytes();
        self.uint(field, width, width, value);
    }

    /// An `off_t`, `long long` or `unsigned long long`: 64 bits on every target.
    fn long_long(&mut self, field: &'static str, value: &mut u64) {
        let alignment = self.layout().long_long_alignment();
        self.uint(field, 8, alignment, value);
    }
}

/// Checks that every value of `record` fits its field in `layout`, as [`encode`] requires.
///
/// # Errors
/// [`Error::FieldOverflow`] for the first one that does not.
pub(crate) fn check<R: Record>(record: &R, layout: StructLayout) -> Result<()> {
    let mut check = OverflowCheck { layout, overflow: None };
    record.clone().visit(&mut check);
    check.overflow.map_or(Ok(()), Err)
}

/// The bytes of `record` in `layout`, padded at the end as `sizeof` counts it.
///
/// # Panics
/// If a value does not fit its field: [`check`] it where it is made.
pub(crate) fn encode<R: Record>(record: &R, layout: StructLayout) -> Vec<u8> {
    let mut writer = Writer { placement: Placement::new(layout), bytes: Vec::new() };
    record.clone().visit(&mut writer);
    writer.bytes.resize(writer.placement.size(), 0);
    writer.bytes
}

/// The struct at the start of `bytes`. Bytes past their end read as 0: an older version of the
/// struct is shorter, and a file may be cut off.
pub(crate) fn decode<R: Record + Default>(bytes: &[u8], layout: StructLayout) -> R {
    let mut record = R::default();
    record.visit(&mut Reader { placement: Placement::new(layout), bytes });
    record
}

/// `sizeof` the struct in `layout`.
pub(crate) fn size_of<R: Record + Default>(layout: StructLayout) -> usize {
    size_of_record(&R::default(), layout)
}

/// `sizeof` a struct that may have arrays of any length.
pub(crate) fn size_of_record<R: Record>(record: &R, layout: StructLayout) -> usize {
    let mut ruler = Ruler { placement: Placement::new(layout), places: Vec::new() };
    record.clone().visit(&mut ruler);
    ruler.placement.size()
}

/// The bytes of one field within the struct.
///
/// # Panics
/// If the struct has no such field.
#[expect(clippy::expect_used, reason = "the field's name is a literal in the caller")]
pub(crate) fn offset_of<R: Record + Default>(layout: StructLayout, field: &str) -> Range<usize> {
    let place = fields(&R::default(), layout).into_iter().find(|(name, _)| *name == field);
    place.map(|(_, place)| place).expect("the struct has the field")
}

/// The name and the bytes of every field, in order.
pub(crate) fn fields<R: Record>(
    record: &R,
    layout: StructLayout,
) -> Vec<(&'static str, Range<usize>)> {
    let mut ruler = Ruler { placement: Placement::new(layout), places: Vec::new() };
    record.clone().visit(&mut ruler);
    ruler.places
}

/// Where the next field of a struct goes.
#[derive(Debug, Clone, Copy)]
struct Placement {
    layout: StructLayout,
    end: usize,
    /// The largest alignment so far, which the whole struct has.
    alignment: usize,
}

impl Placement {
    fn new(layout: StructLayout) -> Self {
        Placement { layout, end: 0, alignment: 1 }
    }

    /// The bytes of a field that follows those placed before.
    fn place(&mut self, width: usize, alignment: usize) -> Range<usize> {
        let start = self.end.next_multiple_of(alignment);
        self.end = start + width;
        self.alignment = self.alignment.max(alignment);
        start..self.end
    }

    /// `sizeof` the struct.
    fn size(&self) -> usize {
        self.end.next_multiple_of(self.alignment)
    }
}

struct OverflowCheck {
    layout: StructLayout,
    /// The first field that is too narrow.
    overflow: Option<Error>,
}

impl FieldVisitor for OverflowCheck {
    fn layout(&self) -> StructLayout {
        self.layout
    }

    fn chars(&mut self, _field: &'static str, _chars: &mut [u8]) {}

    fn uint(&mut self, field: &'static str, width: usize, _alignment: usize, value: &mut u64) {
        if self.overflow.is_none() {
            self.overflow = check_width(field, *value, 8 * width).err();
        }
    }
}

/// Checks that `value` fits in a field of `bits`, of which there are 1 to 64.
///
/// # Errors
/// [`Error::FieldOverflow`].
pub(crate) fn check_width(field: &'static str, value: u64, bits: usize) -> Result<()> {
    if bits >= 64 || value >> bits == 0 {
        return Ok(());
    }
    Err(Error::FieldOverflow { field, value, bits })
}

struct Writer {
    placement: Placement,
    bytes: Vec<u8>,
}

impl Writer {
    fn put(&mut self, width: usize, alignment: usize) -> &mut [u8] {
        let place = self.placement.place(width, alignment);
        self.bytes.resize(place.end, 0);
        self.bytes.split_at_mut(place.start).1
    }
}

impl FieldVisitor for Writer {
    fn layout(&self) -> StructLayout {
        self.placement.layout
    }

    fn chars(&mut self, _field: &'static str, chars: &mut [u8]) {
        self.put(chars.len(), 1).copy_from_slice(chars);
    }

    fn uint(&mut self, _field: &'static str, width: usize, alignment: usize, value: &mut u64) {
        let order = self.layout().byte_order();
        order.write_uint(self.put(width, alignment), *value);
    }
}

struct Reader<'a> {
    placement: Placement,
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self, into: &mut [u8], alignment: usize) {
        let place = self.placement.place(into.len(), alignment);
        let from = self.bytes.get(place.start..).unwrap_or(&[]);
        let (there, missing) = into.split_at_mut(from.len().min(into.len()));
        there.copy_from_slice(from.split_at(there.len()).0);
        missing.fill(0);
    }
}

impl FieldVisitor for Reader<'_> {
    fn layout(&self) -> StructLayout {
        self.placement.layout
    }

    fn chars(&mut self, _field: &'static str, chars: &mut [u8]) {
        self.take(chars, 1);
    }

    fn uint(&mut self, _field: &'static str, width: usize, alignment: usize, value: &mut u64) {
        let mut bytes = [0; 8];
        let bytes = bytes.split_at_mut(width).0;
        self.take(bytes, alignment);
        *value = self.layout().byte_order().read_uint(bytes);
    }
}

struct Ruler {
    placement: Placement,
    places: Vec<(&'static str, Range<usize>)>,
}

impl FieldVisitor for Ruler {
    fn layout(&self) -> StructLayout {
        self.placement.layout
    }

    fn chars(&mut self, field: &'static str, chars: &mut [u8]) {
        self.places.push((field, self.placement.place(chars.len(), 1)));
    }

    fn uint(&mut self, field: &'static str, width: usize, alignment: usize, _value: &mut u64) {
        self.places.push((field, self.placement.place(width, alignment)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::wire::ByteOrder;

    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    struct Sample {
        chars: [u8; 1],
        int: u32,
        long_long: u64,
        long: u64,
    }

    impl Record for Sample {
        fn visit(&mut self, fields: &mut dyn FieldVisitor) {
            fields.chars("chars", &mut self.chars);
            fields.int("int", &mut self.int);
            fields.long_long("long_long", &mut self.long_long);
            fields.long("long", &mut self.long);
        }
    }

    const SAMPLE: Sample = Sample {
        chars: [0xcc],
        int: 0x0102_0304,
        long_long: 0x1112_1314_1516_1718,
        long: 0x2122_2324,
    };

    fn one_of_each(layout: StructLayout) -> Vec<u8> {
        check(&SAMPLE, layout).unwrap();
        let bytes = encode(&SAMPLE, layout);
        assert_eq!(decode::<Sample>(&bytes, layout), SAMPLE, "read back as written");
        assert_eq!(size_of::<Sample>(layout), bytes.len());
        bytes
    }

    #[test]
    fn bytes_past_the_end_read_as_0() {
        let layout = StructLayout::Bits64(ByteOrder::Little);
        let read: Sample = decode(&[1, 0, 0, 0, 2], layout);
        assert_eq!(read, Sample { chars: [1], int: 2, long_long: 0, long: 0 });
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
    fn fields_are_found_by_their_names() {
        let layout = StructLayout::Padded32(ByteOrder::Big);
        assert_eq!(offset_of::<Sample>(layout, "long"), 16..20);
        assert_eq!(
            fields(&SAMPLE, StructLayout::Bits64(ByteOrder::Big)),
            [("chars", 0..1), ("int", 4..8), ("long_long", 8..16), ("long", 16..24)]
        );
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_before_it_is_encoded() {
        let wide = Sample { long: 1 << 32, ..SAMPLE };
        assert!(check(&wide, StructLayout::Bits64(ByteOrder::Big)).is_ok());
        let error = check(&wide, StructLayout::Packed32).unwrap_err();
        assert_eq!(error.to_string(), "long: 0x100000000 does not fit in 32 bits");
    }

    #[test]
    #[should_panic(expected = "assert")]
    fn a_32_bit_field_never_truncates() {
        encode(&Sample { long: 1 << 32, ..SAMPLE }, StructLayout::Packed32);
    }
}
