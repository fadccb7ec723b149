//! The records of BTF: its header, its types, and what each kind of type adds.
//!
//! ```text
//! btf_header: magic u16, version u8, flags u8, hdr_len u32,
//!             type_off u32, type_len u32, str_off u32, str_len u32,
//!             since 7.3: layout_off u32, layout_len u32
//! btf_type:   name_off u32, info u32 = kind_flag:1 kind:7 vlen:24, size or type u32
//!             (before 7.3 kind has 5 bits, vlen 16, and those between are 0)
//! ```

use std::ops::Range;

use crate::format::wire::ByteOrder;
use crate::kernel::error::Error;

const MAGIC: u16 = 0xeb9f;

/// The only one there is.
const VERSION: u8 = 1;

/// Bytes of a header without layout section, the smallest one.
const HEADER_BYTES: usize = 24;

/// Bytes of a header with layout section.
pub(super) const LAYOUT_HEADER_BYTES: usize = 32;

/// Bytes of a btf_type.
const TYPE_BYTES: usize = 12;

/// Bytes of a btf_layout: info_sz u8, elem_sz u8, flags u16.
const LAYOUT_BYTES: usize = 4;

/// The kind of a type, BTF_KIND_*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    pub(super) const ARRAY: Kind = Kind(3);
    pub(super) const STRUCT: Kind = Kind(4);
    pub(super) const UNION: Kind = Kind(5);
    pub(super) const ENUM: Kind = Kind(6);
    pub(super) const ENUM64: Kind = Kind(19);
    const TYPEDEF: Kind = Kind(8);
    const VOLATILE: Kind = Kind(9);
    const CONST: Kind = Kind(10);
    const RESTRICT: Kind = Kind(11);
    const TYPE_TAG: Kind = Kind(18);

    pub(super) fn is_aggregate(self) -> bool {
        matches!(self, Kind::STRUCT | Kind::UNION)
    }

    pub(super) fn is_enum(self) -> bool {
        matches!(self, Kind::ENUM | Kind::ENUM64)
    }

    /// Whether it is another type under a name or with a qualifier.
    pub(super) fn is_wrapper(self) -> bool {
        matches!(
            self,
            Kind::TYPEDEF | Kind::VOLATILE | Kind::CONST | Kind::RESTRICT | Kind::TYPE_TAG
        )
    }

    /// Bytes that a type of this kind adds, and bytes that each of its elements adds.
    fn additions(self) -> Option<(usize, usize)> {
        Some(match self.0 {
            // INT, VAR, DECL_TAG
            1 | 14 | 17 => (4, 0),
            // PTR, FWD, TYPEDEF to RESTRICT, FUNC, FLOAT, TYPE_TAG
            2 | 7..=12 | 16 | 18 => (0, 0),
            // ARRAY
            3 => (12, 0),
            // STRUCT, UNION, DATASEC, ENUM64
            4 | 5 | 15 | 19 => (0, 12),
            // ENUM, FUNC_PROTO
            6 | 13 => (0, 8),
            _ => return None,
        })
    }
}

/// A type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type {
    /// Offset of its name in the strings, 0 if it has none.
    pub(super) name: u32,
    pub(super) kind: Kind,
    /// Its size in bytes, or the type that it refers to.
    pub(super) size_or_type: u32,
    /// The offset after it and all that it adds.
    pub(super) end: usize,
    flag: bool,
    elements: usize,
    additions: usize,
}

/// A member of a struct or union.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// Offset of its name in the strings, 0 if it has none.
    pub(super) name: u32,
    pub(super) type_id: u32,
    /// Its offset in bits.
    pub(super) bits: u64,
    pub(super) is_bit_field: bool,
}

/// The bytes of BTF, and where its sections are.
#[derive(Debug)]
pub(super) struct Records {
    bytes: Vec<u8>,
    order: ByteOrder,
    types: Range<usize>,
    strings: Range<usize>,
    layout: Range<usize>,
}

impl Records {
    /// Checks the header.
    pub(super) fn of(bytes: Vec<u8>, order: ByteOrder) -> Result<Self, Error> {
        let mut records = Records { bytes, order, types: 0..0, strings: 0..0, layout: 0..0 };
        let length = records.bytes.len();
        let header = records.words(0);
        let Some([_, header_bytes, type_off, type_len, str_off, str_len]) = header else {
            let why = format!("{length} bytes, where its header has {HEADER_BYTES}");
            return Err(Error::implausible("BTF", why));
        };
        let magic = records.bytes.first_chunk().map_or(0, |&magic| order.read_u16(magic));
        if magic != MAGIC {
            let why = format!("magic {magic:#x} instead of {MAGIC:#x}");
            return Err(Error::implausible("BTF", why));
        }
        let section = |what: &str, offset: u32, bytes: u32| {
            let is_inside =
                |place: &Range<usize>| place.start >= HEADER_BYTES && place.end <= length;
            let place = section(header_bytes, offset, bytes).filter(is_inside);
            place.ok_or_else(|| {
                let why = format!("its {what}, {bytes:#x} bytes at {offset:#x} after a header of {header_bytes} bytes, are not within its {length:#x} bytes");
                Error::implausible("BTF", why)
            })
        };
        let (types, strings) =
            (section("types", type_off, type_len)?, section("strings", str_off, str_len)?);
        let has_layout =
            usize::try_from(header_bytes).is_ok_and(|bytes| bytes >= LAYOUT_HEADER_BYTES);
        let layout = match records.words(HEADER_BYTES).filter(|_| has_layout) {
            Some([layout_off, layout_len]) => section("layouts", layout_off, layout_len)?,
            None => 0..0,
        };
        (records.types, records.strings, records.layout) = (types, strings, layout);
        Ok(records)
    }

    /// The bytes with all types.
    pub(super) fn types(&self) -> Range<usize> {
        self.types.clone()
    }

    /// The type at an offset.
    pub(super) fn type_at(&self, at: usize) -> Result<Type, Error> {
        let wrong =
            |why: String| Error::implausible("BTF", format!("the type at offset {at:#x} {why}"));
        let Some([name, info, size_or_type]) = self.words(at) else {
            return Err(wrong("is cut off".to_owned()));
        };
        let [kind_and_flag, elements @ ..] = info.to_be_bytes();
        let kind = Kind(kind_and_flag & 0x7f);
        let elements = elements.into_iter().fold(0, |count, byte| count << 8 | usize::from(byte));
        let additions = kind.additions().or_else(|| self.layout_of(kind));
        let Some((additions, of_each)) = additions else {
            return Err(wrong(format!("is of an unknown kind, {}", kind.0)));
        };
        let flag = kind_and_flag >> 7 == 1;
        let additions_at = at + TYPE_BYTES;
        // Up to 2^24 elements of 255 bytes each, more than 32 bits.
        let end = elements.saturating_mul(of_each).saturating_add(additions_at + additions);
        Ok(Type { name, kind, size_or_type, end, flag, elements, additions: additions_at })
    }

    /// What a kind adds by the layout section.
    fn layout_of(&self, kind: Kind) -> Option<(usize, usize)> {
        let at = self.layout.start + usize::from(kind.0) * LAYOUT_BYTES;
        let layout = self.bytes.get(at..at + LAYOUT_BYTES);
        match layout.filter(|_| at + LAYOUT_BYTES <= self.layout.end && kind.0 != 0) {
            Some([of_type, of_each, ..]) => Some((usize::from(*of_type), usize::from(*of_each))),
            _ => None,
        }
    }

    /// The members of a struct or union.
    pub(super) fn members(&self, of: &Type) -> impl Iterator<Item = Member> + '_ {
        let (at, flag) = (of.additions, of.flag);
        let words = (0..of.elements).map_while(move |nth| self.words(at + nth * 12));
        words.map(move |[name, type_id, offset]| {
            // With the flag, the upper byte is the width of a bit field.
            let (width, bits) = if flag { (offset >> 24, offset & 0xff_ffff) } else { (0, offset) };
            Member { name, type_id, bits: bits.into(), is_bit_field: width != 0 }
        })
    }

    /// The enumerators of an enum: the offset of the name of each, and its value.
    pub(super) fn enumerators(&self, of: &Type) -> impl Iterator<Item = (u32, u64)> + '_ {
        let (at, is_wide, is_signed) = (of.additions, of.kind == Kind::ENUM64, of.flag);
        (0..of.elements).map_while(move |nth| {
            if is_wide {
                let [name, low, high] = self.words(at + nth * 12)?;
                return Some((name, u64::from(high) << 32 | u64::from(low)));
            }
            let [name, value] = self.words(at + nth * 8)?;
            let sign = if is_signed { u64::from(value >> 31) << 32 } else { 0 };
            Some((name, u64::from(value).wrapping_sub(sign)))
        })
    }

    /// The type of an array's elements.
    pub(super) fn element_type(&self, array: &Type) -> Option<u32> {
        self.words(array.additions).map(|[type_id]| type_id)
    }

    /// How many elements an array has.
    pub(super) fn element_count(&self, array: &Type) -> Option<u32> {
        self.words(array.additions).map(|[_, _, count]| count)
    }

    /// Whether the string at this offset of the strings is `name`.
    pub(super) fn is_named(&self, offset: u32, name: &str) -> bool {
        let rest = self.strings_from(offset).strip_prefix(name.as_bytes());
        rest.and_then(<[u8]>::first) == Some(&0)
    }

    /// The string at this offset of the strings, and all those after it.
    pub(super) fn strings_from(&self, offset: u32) -> &[u8] {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let strings = self.bytes.get(self.strings.clone());
        strings.and_then(|strings| strings.get(offset..)).unwrap_or(&[])
    }

    /// The words at an offset, if all of them are there.
    fn words<const N: usize>(&self, at: usize) -> Option<[u32; N]> {
        let bytes = self.bytes.get(at..at.checked_add(N * 4)?)?;
        let mut words = [0; N];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = self.order.read_u32(bytes.first_chunk().copied()?);
        }
        Some(words)
    }
}

/// The first bytes of BTF: magic, version, and flags, of which there are none.
pub(super) fn magic(order: ByteOrder) -> [u8; 4] {
    let mut bytes = [0, 0, VERSION, 0];
    order.write_uint(bytes.split_at_mut(2).0, MAGIC.into());
    bytes
}

/// The length of BTF by the start of it, which has one header or the other.
pub(super) fn length(start: &[u8; LAYOUT_HEADER_BYTES], order: ByteOrder) -> u64 {
    let mut words = start.chunks_exact(4).map(|word| order.read_uint(word)).skip(1);
    let header_bytes = words.next().unwrap_or(0);
    let sections = if header_bytes < LAYOUT_HEADER_BYTES as u64 { 2 } else { 3 };
    let ends = (0..sections).filter_map(|_| Some(words.next()? + words.next()?));
    header_bytes + ends.max().unwrap_or(0)
}

/// A section, counted from the end of the header.
fn section(header_bytes: u32, offset: u32, bytes: u32) -> Option<Range<usize>> {
    let start = header_bytes.checked_add(offset)?;
    let end = start.checked_add(bytes)?;
    Some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}
