//! BTF of any bytes: the types that are found are those that a walk of its own finds, with their sizes,
//! members and values; the search ends.
//!
//! The input: byte order, and the BTF.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use kdumpconv::ByteOrder;
use kdumpconv::kernel::btf::Btf;

pub const BIG_ENDIAN: u8 = 1;

/// Types and members that are compared.
const MOST: usize = 48;

/// A type as the bytes have it.
struct Plain {
    name: u32,
    kind: u32,
    flag: bool,
    word: u32,
    elements: Vec<Vec<u32>>,
}

/// The walk: simple, and of one type after another.
struct Walk<'a> {
    bytes: &'a [u8],
    order: ByteOrder,
}

impl<'a> Walk<'a> {
    fn word(&self, at: usize) -> Option<u32> {
        Some(self.order.read_u32(self.bytes.get(at..at.checked_add(4)?)?.try_into().unwrap()))
    }

    fn section(&self, at: usize) -> Option<&'a [u8]> {
        let header = self.word(4)? as usize;
        let start = header + self.word(at)? as usize;
        let end = start + self.word(at + 4)? as usize;
        if start < 24 || start > u32::MAX as usize || end > u32::MAX as usize {
            return None;
        }
        self.bytes.get(start..end)
    }

    fn types(&self) -> Option<Vec<Plain>> {
        if self.bytes.len() < 24 || self.order.read_u16([self.bytes[0], self.bytes[1]]) != 0xeb9f {
            return None;
        }
        let section = self.section(8)?;
        self.section(16)?;
        let has_layout = self.word(4)? >= 32;
        let layout = if has_layout { self.section(24)? } else { &[] };
        let types = Walk { bytes: section, order: self.order };
        let mut found = Vec::new();
        let mut at = 0;
        while at < section.len() {
            let (name, info, word) = (types.word(at)?, types.word(at + 4)?, types.word(at + 8)?);
            let kind = info >> 24 & 0x7f;
            let count = (info & 0xff_ffff) as usize;
            let (once, each) = match kind {
                1 | 14 | 17 => (4, 0),
                2 | 7 | 8 | 9 | 10 | 11 | 12 | 16 | 18 => (0, 0),
                3 => (12, 0),
                4 | 5 | 15 | 19 => (0, 12),
                6 | 13 => (0, 8),
                _ => {
                    let of_kind = layout.get(kind as usize * 4..kind as usize * 4 + 4)?;
                    if kind == 0 {
                        return None;
                    }
                    (of_kind[0].into(), of_kind[1].into())
                }
            };
            let end = at + 12 + once + count * each;
            section.get(at..end)?;
            let wanted = matches!(kind, 4 | 5 | 6 | 19).then_some(count).unwrap_or(0);
            let element = |nth: usize| {
                (0..each / 4)
                    .map(|word| types.word(at + 12 + nth * each + word * 4).unwrap())
                    .collect()
            };
            let elements = (0..wanted).map(element).collect();
            found.push(Plain { name, kind, flag: info >> 31 == 1, word, elements });
            at = end;
        }
        Some(found)
    }

    /// A name that can be looked up.
    fn name(&self, offset: u32) -> Option<&'a str> {
        let strings = self.section(16)?.get(offset as usize..)?;
        let end = strings.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(&strings[..end]).ok().filter(|name| !name.is_empty())
    }
}

pub fn check(bytes: &[u8]) {
    let Some((flags, bytes)) = bytes.split_first() else { return };
    let order = if flags & BIG_ENDIAN == 0 { ByteOrder::Little } else { ByteOrder::Big };
    let start = Instant::now();
    let walk = Walk { bytes, order };
    let (found, plain) = (Btf::parse(bytes.to_vec(), order), walk.types());
    match (found, plain) {
        (Ok(btf), Some(types)) => {
            compare(&btf, &walk, &types, |kind| matches!(kind, 4 | 5), aggregate);
            compare(&btf, &walk, &types, |kind| matches!(kind, 6 | 19), enumeration);
        }
        (Err(why), None) => assert!(why.to_string().starts_with("BTF: "), "{why}"),
        (found, plain) => panic!("{:?}, but by the walk {:?}", found.err(), plain.map(|t| t.len())),
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

/// Calls `check` for the first type of each name.
fn compare(
    btf: &Btf,
    walk: &Walk<'_>,
    types: &[Plain],
    is_wanted: impl Fn(u32) -> bool,
    check: impl Fn(&Btf, &Walk<'_>, &str, &Plain),
) {
    let mut names = HashSet::new();
    for plain in types.iter().filter(|plain| is_wanted(plain.kind) && plain.name != 0) {
        let Some(name) = walk.name(plain.name) else { continue };
        if names.insert(name) && names.len() < MOST {
            check(btf, walk, name, plain);
        }
    }
}

fn aggregate(btf: &Btf, walk: &Walk<'_>, name: &str, plain: &Plain) {
    assert_eq!(btf.struct_size(name), Some(plain.word.into()), "{name}");
    let mut names = HashSet::new();
    for member in plain.elements.iter().take(MOST) {
        let Some(of_member) = walk.name(member[0]).filter(|name| !name.contains('.')) else {
            continue;
        };
        if !names.insert(of_member) {
            continue;
        }
        let (width, bits) =
            if plain.flag { (member[2] >> 24, member[2] & 0xff_ffff) } else { (0, member[2]) };
        let expected = (width == 0 && bits % 8 == 0).then_some(u64::from(bits / 8));
        assert_eq!(btf.member_offset(name, of_member), expected, "{name}.{of_member}");
        // Whatever it leads to.
        btf.member_length(name, of_member);
        btf.member_offset(name, &format!("{of_member}.next"));
    }
    btf.member_offset(name, "no such member");
}

fn enumeration(btf: &Btf, walk: &Walk<'_>, name: &str, plain: &Plain) {
    let mut names = HashSet::new();
    for value in plain.elements.iter().take(MOST) {
        let Some(of_value) = walk.name(value[0]).filter(|name| names.insert(*name)) else {
            continue;
        };
        let expected = match (plain.kind, plain.flag) {
            (19, _) => u64::from(value[1]) + (u64::from(value[2]) << 32),
            (_, true) => i64::from(value[1] as i32) as u64,
            _ => value[1].into(),
        };
        assert_eq!(btf.enum_value(name, of_value), Some(expected), "{name}.{of_value}");
    }
}
