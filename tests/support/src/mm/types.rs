//! The kernel's types in its image, as BTF with a symbol table that leads to it: the same structs,
//! flags and types of pages as VMCOREINFO describes, in the shape that the kernel's headers give them.

use std::collections::BTreeMap;

use crate::btf::{BtfBuilder, kind};
use crate::kallsyms::{self, Addresses};
use crate::machine::Memory;

use super::kernel::Kernel;
use super::ram::{IMAGE, LOG, Mm};

/// Where the types are, counted from the start of the image; the symbol table is before them, the log
/// after them.
const TYPES: u64 = 0x2_0000;

/// Members that are in a struct or union of their own within their struct.
const NESTED: [&str; 6] =
    ["mapping", "private", "compound_head", "compound_info", "compound_dtor", "compound_order"];

impl Mm {
    /// Puts the types into the image; tells the lines of VMCOREINFO that lead to them.
    pub fn put_types(&mut self, types: &BtfBuilder) -> String {
        self.put_types_and(types, &[])
    }

    /// The same with other symbols, which are after the types.
    pub fn put_types_and(&mut self, types: &BtfBuilder, others: &[(char, &str, u64)]) -> String {
        let (arch, bytes) = (self.kernel.arch, types.build());
        assert!(IMAGE + TYPES + (bytes.len() as u64) < LOG, "the types reach the log");
        let image = arch.image + IMAGE;
        let symbols = [
            ('T', "_stext", image),
            ('D', "__start_BTF", image + TYPES),
            ('D', "__stop_BTF", image + TYPES + bytes.len() as u64),
        ];
        let symbols = [&symbols, others].concat();
        let mut memory = Memory::default();
        let base = Addresses::FromBase(image);
        let info = kallsyms::write(&mut memory, arch.endian, image, base, &symbols);
        memory.write(TYPES, &bytes);
        for chunk in memory.chunks() {
            let mut bytes = vec![0; 4096];
            memory.read(chunk, &mut bytes).unwrap();
            self.patches.push((IMAGE + chunk, bytes));
        }
        info
    }
}

/// The types that lines of VMCOREINFO describe.
#[must_use]
pub fn types(kernel: &Kernel, info: &str) -> BtfBuilder {
    let lines = |of: &str| {
        let prefix = format!("{of}(");
        let items = info.lines().filter_map(move |line| {
            let (name, value) = line.strip_prefix(&prefix)?.split_once(")=")?;
            Some((name.to_owned(), value.parse::<i64>().ok()?))
        });
        items.collect::<BTreeMap<_, _>>()
    };
    let (sizes, offsets, lengths) = (lines("SIZE"), lines("OFFSET"), lines("LENGTH"));
    let mut btf = BtfBuilder::new(kernel.arch.endian);
    let long_bytes = kernel.arch.long as u32;
    let long = btf.add("unsigned long", kind::INT, 0, long_bytes, &[long_bytes * 8]);
    let flags = btf.structure("", long_bytes, &[("f", long, 0)]);
    let flags = btf.add("memdesc_flags_t", kind::TYPEDEF, 0, flags, &[]);
    let mut structs: BTreeMap<&str, Vec<(&str, u32)>> = BTreeMap::new();
    for (name, at) in &offsets {
        let (of, member) = name.split_once('.').unwrap();
        structs.entry(of).or_default().push((member, *at as u32));
    }
    for name in sizes.keys() {
        structs.entry(name).or_default();
    }
    for (name, members) in structs {
        let bytes = sizes.get(name).map_or(2048, |&bytes| bytes as u32);
        let mut placed = Vec::new();
        for (member, at) in members {
            let id = match lengths.get(&format!("{name}.{member}")) {
                Some(&count) => btf.array(long, count as u32),
                None if member == "flags" => flags,
                None => long,
            };
            placed.push(if NESTED.contains(&member) {
                // In a struct within a union, a word before the member.
                let before = at.min(long_bytes);
                let inner = btf.structure("", 64, &[("before", long, 0), (member, id, before)]);
                ("", btf.aggregate(kind::UNION, "", 64, &[("", inner, 0)]), at - before)
            } else {
                (member, id, at)
            });
        }
        btf.structure(name, bytes, &placed);
    }
    enums(&mut btf, kernel, &lines("NUMBER"));
    btf
}

fn enums(btf: &mut BtfBuilder, kernel: &Kernel, numbers: &BTreeMap<String, i64>) {
    let mut flags = vec![("PG_reserved", kernel.bits.reserved), ("PG_head", kernel.bits.head)];
    let mut kinds = Vec::new();
    for (name, &value) in numbers {
        if let Some(kind) = kind_of_pages(name) {
            kinds.extend(enumerator(kind, value));
        } else if name == "HUGETLB_PAGE_DTOR" {
            let ids = [("NULL_COMPOUND_DTOR", 0), (name.as_str(), value as u32)];
            btf.enumeration("compound_dtor_id", &ids);
        } else if name.starts_with("PG_") && name != "PG_head_mask" {
            flags.push((name, value as u32));
        }
    }
    btf.enumeration("pageflags", &flags);
    if !kinds.is_empty() {
        let kinds: Vec<_> = kinds.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        btf.enumeration("pagetype", &kinds);
    }
}

fn kind_of_pages(number: &str) -> Option<&str> {
    number.strip_prefix("PAGE_")?.strip_suffix("_MAPCOUNT_VALUE")
}

/// The enumerator of a type of pages: a number in the top byte since 6.12, a bit that is clear in 6.11,
/// a macro before.
fn enumerator(kind: &str, value: i64) -> Option<(String, u32)> {
    let (kind, value) = (kind.to_ascii_lowercase(), value as u32);
    match value {
        _ if value & 0x00ff_ffff == 0 => Some((format!("PGTY_{kind}"), value >> 24)),
        0..0xffff_0000 if value & 0xffff == 0xffff => Some((format!("PG_{kind}"), !value)),
        _ => None,
    }
}

/// Whether the types have what a line of VMCOREINFO says, if it is one of those that say which page is
/// what.
#[must_use]
pub fn are_redundant(line: &str) -> bool {
    const STRUCTS: [&str; 6] = ["page", "folio", "mem_section", "pglist_data", "zone", "free_area"];
    let Some((item, value)) = line.split_once('=') else { return false };
    let Some((of, name)) = item.trim_end_matches(')').split_once('(') else { return false };
    let of_struct = STRUCTS.contains(&name.split('.').next().unwrap());
    match of {
        // The order of a compound was in page[1].lru before 4.4.
        "SIZE" | "OFFSET" => (of_struct || name == "list_head") && name != "page.lru",
        "LENGTH" => of_struct && name.contains('.'),
        "NUMBER" => match kind_of_pages(name) {
            Some(kind) => enumerator(kind, value.parse().unwrap()).is_some(),
            None => name.starts_with("PG_") || name == "HUGETLB_PAGE_DTOR",
        },
        _ => false,
    }
}
