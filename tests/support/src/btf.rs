//! BTF as pahole writes it, type by type: from include/uapi/linux/btf.h alone.

use crate::elf::Endian;

/// Kinds of types, BTF_KIND_*.
pub mod kind {
    pub const INT: u8 = 1;
    pub const PTR: u8 = 2;
    pub const ARRAY: u8 = 3;
    pub const STRUCT: u8 = 4;
    pub const UNION: u8 = 5;
    pub const ENUM: u8 = 6;
    pub const FWD: u8 = 7;
    pub const TYPEDEF: u8 = 8;
    pub const VOLATILE: u8 = 9;
    pub const CONST: u8 = 10;
    pub const RESTRICT: u8 = 11;
    pub const FUNC: u8 = 12;
    pub const FUNC_PROTO: u8 = 13;
    pub const VAR: u8 = 14;
    pub const DATASEC: u8 = 15;
    pub const FLOAT: u8 = 16;
    pub const DECL_TAG: u8 = 17;
    pub const TYPE_TAG: u8 = 18;
    pub const ENUM64: u8 = 19;
}

/// Flag of a struct with bit fields, or of an enum of signed values.
pub const FLAG: u32 = 1 << 31;

/// What each kind adds, as the layout section has it: once, and for each element.
pub const LAYOUTS: [(u8, u8); 20] = [
    (0, 0),
    (4, 0),
    (0, 0),
    (12, 0),
    (0, 12),
    (0, 12),
    (0, 8),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 0),
    (0, 8),
    (4, 0),
    (0, 12),
    (0, 0),
    (4, 0),
    (0, 0),
    (0, 12),
];

/// Types under construction.
#[derive(Debug, Clone)]
pub struct BtfBuilder {
    endian: Endian,
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
    layouts: Option<Vec<(u8, u8)>>,
}

impl BtfBuilder {
    pub fn new(endian: Endian) -> Self {
        BtfBuilder { endian, types: Vec::new(), strings: vec![0], count: 0, layouts: None }
    }

    /// With the header of 7.3: what each kind adds, from kind 0 on.
    pub fn layouts(mut self, layouts: Vec<(u8, u8)>) -> Self {
        self.layouts = Some(layouts);
        self
    }

    /// Any type; gives its number. `info` has the flag and the number of elements.
    pub fn add(&mut self, name: &str, kind: u8, info: u32, word: u32, additions: &[u32]) -> u32 {
        let name = self.string(name);
        self.words(&[name, info | u32::from(kind) << 24, word]);
        self.words(additions);
        self.count += 1;
        self.count
    }

    /// Members: name, type, offset in bits.
    pub fn aggregate(
        &mut self,
        kind: u8,
        name: &str,
        bytes: u32,
        members: &[(&str, u32, u32)],
    ) -> u32 {
        let words = members.iter().flat_map(|(name, id, bits)| [self.string(name), *id, *bits]);
        let words: Vec<u32> = words.collect();
        self.add(name, kind, members.len() as u32, bytes, &words)
    }

    /// Members: name, type, offset in bytes.
    pub fn structure(&mut self, name: &str, bytes: u32, members: &[(&str, u32, u32)]) -> u32 {
        let members: Vec<_> = members.iter().map(|(name, id, at)| (*name, *id, at * 8)).collect();
        self.aggregate(kind::STRUCT, name, bytes, &members)
    }

    pub fn array(&mut self, of: u32, count: u32) -> u32 {
        self.add("", kind::ARRAY, 0, 0, &[of, 0, count])
    }

    pub fn enumeration(&mut self, name: &str, values: &[(&str, u32)]) -> u32 {
        let words = values.iter().flat_map(|(name, value)| [self.string(name), *value]);
        let words: Vec<u32> = words.collect();
        self.add(name, kind::ENUM, values.len() as u32, 4, &words)
    }

    /// The offset of a string, the same for equal ones.
    pub fn string(&mut self, text: &str) -> u32 {
        let wanted = [text.as_bytes(), &[0]].concat();
        let starts = |at: &usize| *at == 0 || self.strings[at - 1] == 0;
        let known = self.strings.windows(wanted.len()).enumerate();
        let mut known = known.filter(|(_, part)| *part == wanted).map(|(at, _)| at);
        if let Some(at) = known.find(starts) {
            return at as u32;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(wanted);
        at
    }

    fn words(&mut self, words: &[u32]) {
        self.types.extend(words.iter().flat_map(|word| self.endian.bytes((*word).into(), 4)));
    }

    pub fn build(&self) -> Vec<u8> {
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        // pahole puts the layouts between types and strings.
        let layouts: Vec<u8> = self
            .layouts
            .iter()
            .flatten()
            .flat_map(|(of_type, of_each)| {
                [vec![*of_type, *of_each], self.endian.bytes(0, 2)].concat()
            })
            .collect();
        let after = types + layouts.len() as u32;
        let mut sections = vec![0, types, after, strings];
        if self.layouts.is_some() {
            sections.extend([types, layouts.len() as u32]);
        }
        let mut bytes = self.endian.bytes(0xeb9f, 2);
        bytes.extend([1, 0]);
        let header = 8 + 4 * sections.len() as u32;
        for word in std::iter::once(header).chain(sections) {
            bytes.extend(self.endian.bytes(word.into(), 4));
        }
        [bytes, self.types.clone(), layouts, self.strings.clone()].concat()
    }
}

/// One type of each kind, and structs that lead through them.
pub fn sample(endian: Endian) -> BtfBuilder {
    let mut btf = BtfBuilder::new(endian);
    let int = btf.add("int", kind::INT, 0, 4, &[0x0100_0020]);
    let pointer = btf.add("", kind::PTR, 0, int, &[]);
    let list = btf.structure("list_head", 16, &[("next", pointer, 0), ("prev", pointer, 8)]);
    let wrapped = [kind::TYPEDEF, kind::VOLATILE, kind::CONST, kind::RESTRICT, kind::TYPE_TAG]
        .into_iter()
        .fold(list, |to, kind| btf.add("list_t", kind, 0, to, &[]));
    let lists = btf.array(wrapped, 3);
    btf.add("list_head", kind::FWD, 0, 0, &[]);
    let argument = btf.string("argument");
    let proto = btf.add("", kind::FUNC_PROTO, 1, int, &[argument, int]);
    // Its linkage is in the place of a number of elements.
    btf.add("function", kind::FUNC, 2, proto, &[]);
    let variable = btf.add("variable", kind::VAR, 0, int, &[1]);
    btf.add(".data", kind::DATASEC, 1, 8, &[variable, 0, 4]);
    btf.add("float", kind::FLOAT, 0, 4, &[]);
    btf.add("tag", kind::DECL_TAG, 0, list, &[u32::MAX]);
    btf.enumeration("small", &[("ZERO", 0), ("LARGE", 0xffff_fff0)]);
    let below = btf.string("BELOW");
    btf.add("signed", kind::ENUM, FLAG | 1, 4, &[below, 0xffff_fff0]);
    let wide = btf.string("WIDE");
    btf.add("large", kind::ENUM64, 1, 8, &[wide, 0x89ab_cdef, 0x0123_4567]);
    let inner = btf.aggregate(kind::UNION, "", 16, &[("chain", wrapped, 0), ("number", int, 0)]);
    let outer = btf.structure("", 24, &[("first", int, 0), ("", inner, 8)]);
    btf.structure("task", 100, &[("state", int, 0), ("", outer, 16), ("many", lists, 48)]);
    // Width and offset in bits.
    let names = ["low", "high", "whole"].map(|name| btf.string(name));
    let words = [names[0], int, 3 << 24, names[1], int, 13 << 24 | 3, names[2], int, 64];
    btf.add("flags", kind::STRUCT, FLAG | 3, 12, &words);
    btf
}
