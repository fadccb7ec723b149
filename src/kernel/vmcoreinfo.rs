//! VMCOREINFO: the text in which a kernel describes itself to dump tools.
//!
//! Source: the kernel's Documentation/admin-guide/kdump/vmcoreinfo.rst. `SYMBOL()` is hexadecimal
//! without prefix, `OFFSET()`, `SIZE()` and `LENGTH()` are decimal, `NUMBER()` is signed decimal,
//! or hexadecimal with 0x on some architectures.

use std::collections::HashMap;
use std::fmt;

use crate::kernel::error::Error;
use crate::pages::VirtAddr;

/// The kinds of items that describe the kernel's variables and types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// `SYMBOL()`: the virtual address of a variable or function.
    Symbol,
    /// `OFFSET()`: the offset of a member within its struct, in bytes.
    Offset,
    /// `SIZE()`: the size of a type in bytes.
    Size,
    /// `LENGTH()`: the number of elements of an array.
    Length,
    /// `NUMBER()`: any other value.
    Number,
}

/// An item of VMCOREINFO by kind and name, such as `SYMBOL(mem_section)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Item {
    /// The kind.
    pub kind: ItemKind,
    /// The variable, member or type.
    pub name: String,
}

impl Item {
    /// `SYMBOL(name)`.
    #[must_use]
    pub fn symbol(name: impl Into<String>) -> Self {
        Item { kind: ItemKind::Symbol, name: name.into() }
    }

    /// `OFFSET(member)`.
    #[must_use]
    pub fn offset(member: impl Into<String>) -> Self {
        Item { kind: ItemKind::Offset, name: member.into() }
    }

    /// `SIZE(name)`.
    #[must_use]
    pub fn size(name: impl Into<String>) -> Self {
        Item { kind: ItemKind::Size, name: name.into() }
    }

    /// `LENGTH(name)`.
    #[must_use]
    pub fn length(name: impl Into<String>) -> Self {
        Item { kind: ItemKind::Length, name: name.into() }
    }

    /// `NUMBER(name)`.
    #[must_use]
    pub fn number(name: impl Into<String>) -> Self {
        Item { kind: ItemKind::Number, name: name.into() }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ItemKind::Symbol => "SYMBOL",
            ItemKind::Offset => "OFFSET",
            ItemKind::Size => "SIZE",
            ItemKind::Length => "LENGTH",
            ItemKind::Number => "NUMBER",
        };
        write!(f, "{kind}({})", self.name)
    }
}

/// The text of a VMCOREINFO note, looked up by key.
#[derive(Debug, Clone, Default)]
pub struct Vmcoreinfo {
    lines: HashMap<String, String>,
}

impl Vmcoreinfo {
    /// The largest text that is read. A kernel's own has a few pages at the most.
    pub const MAX_BYTES: u64 = 1 << 20;

    /// Splits the note's text into `KEY=value` lines and ignores all others. The first line of a
    /// repeated key counts. Blanks and NULs around a value are not part of it.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut lines = HashMap::new();
        let is_padding = |c: char| c.is_whitespace() || c == '\0';
        for line in String::from_utf8_lossy(text).lines() {
            if let Some((key, value)) = line.split_once('=') {
                let value = value.trim_matches(is_padding);
                lines.entry(key.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        Vmcoreinfo { lines }
    }

    /// Adds an item, unless there is one.
    pub(crate) fn add(&mut self, item: &Item, value: u64) {
        let value = || match item.kind {
            ItemKind::Symbol => format!("{value:x}"),
            _ => value.to_string(),
        };
        self.lines.entry(item.to_string()).or_insert_with(value);
    }

    /// The value of `key`, such as `OSRELEASE`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.lines.get(key).map(String::as_str)
    }

    /// Whether the text lacks `KERNELOFFSET=`, as one that makedumpfile -g made from a vmlinux. An
    /// x86_64 kernel's own text has it, with 0 if the kernel was not moved.
    #[must_use]
    pub fn lacks_kernel_offset(&self) -> bool {
        self.get("KERNELOFFSET").is_none()
    }

    /// `PAGESIZE=`, in bytes.
    #[must_use]
    pub fn page_size(&self) -> Option<u64> {
        self.get("PAGESIZE")?.parse().ok()
    }

    /// `CRASHTIME=`, in seconds since the epoch.
    #[must_use]
    pub fn crash_time(&self) -> Option<u64> {
        self.get("CRASHTIME")?.parse().ok()
    }

    /// `SYMBOL(name)=`: a kernel virtual address.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<VirtAddr> {
        address(self.get(&format!("SYMBOL({name})"))?)
    }

    /// The addresses of all symbols, in no particular order.
    pub fn symbols(&self) -> impl Iterator<Item = VirtAddr> + '_ {
        let is_symbol = |key: &str| key.starts_with("SYMBOL(") && key.ends_with(')');
        let symbols = self.lines.iter().filter(move |(key, _)| is_symbol(key));
        symbols.filter_map(|(_, value)| address(value))
    }

    /// `OFFSET(member)=`: the offset in bytes of a member, such as `uts_namespace.name`.
    #[must_use]
    pub fn offset(&self, member: &str) -> Option<u64> {
        self.get(&format!("OFFSET({member})"))?.parse().ok()
    }

    /// `SIZE(name)=`: the size in bytes of a type, such as `printk_log`.
    #[must_use]
    pub fn size(&self, name: &str) -> Option<u64> {
        self.get(&format!("SIZE({name})"))?.parse().ok()
    }

    /// `LENGTH(name)=`: the number of elements of an array, such as `mem_section`.
    #[must_use]
    pub fn length(&self, name: &str) -> Option<u64> {
        self.get(&format!("LENGTH({name})"))?.parse().ok()
    }

    /// Whether the kernel was built with a `CONFIG_` option, such as `X86_PAE`.
    #[must_use]
    pub fn config(&self, option: &str) -> bool {
        self.get(&format!("CONFIG_{option}")) == Some("y")
    }

    /// The value of an item that is no symbol.
    #[must_use]
    pub(crate) fn value(&self, item: &Item) -> Option<u64> {
        match item.kind {
            ItemKind::Symbol => None,
            ItemKind::Offset => self.offset(&item.name),
            ItemKind::Size => self.size(&item.name),
            ItemKind::Length => self.length(&item.name),
            ItemKind::Number => self.number(&item.name),
        }
    }

    /// The first of `names` that has an address, and that; list the newest name first.
    #[must_use]
    pub fn first_symbol(&self, names: &[&'static str]) -> Option<(&'static str, VirtAddr)> {
        names.iter().find_map(|&name| Some((name, self.symbol(name)?)))
    }

    /// `NUMBER(name)=`; a negative number is in two's complement.
    ///
    /// x86_64 prints phys_base with %ld: it is negative if KASLR put the kernel below its link address.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        let text = self.get(&format!("NUMBER({name})"))?;
        match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text
                .parse::<u64>()
                .ok()
                .or_else(|| text.parse::<i64>().ok().map(|n| 0u64.wrapping_add_signed(n))),
        }
    }

    /// `name=`: a hexadecimal number without prefix, such as `KERNELOFFSET`.
    #[must_use]
    pub fn hex(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.get(name)?, 16).ok()
    }

    /// As [`symbol`](Self::symbol), but an error without it.
    ///
    /// # Errors
    /// [`Error::MissingItem`], or [`Error::Implausible`] if its value is not a number.
    pub fn require_symbol(&self, name: &str) -> Result<VirtAddr, Error> {
        self.require(self.symbol(name), || Item::symbol(name))
    }

    /// As [`offset`](Self::offset), but an error without it.
    ///
    /// # Errors
    /// As [`require_symbol`](Self::require_symbol).
    pub fn require_offset(&self, member: &str) -> Result<u64, Error> {
        self.require(self.offset(member), || Item::offset(member))
    }

    /// As [`size`](Self::size), but an error without it.
    ///
    /// # Errors
    /// As [`require_symbol`](Self::require_symbol).
    pub fn require_size(&self, name: &str) -> Result<u64, Error> {
        self.require(self.size(name), || Item::size(name))
    }

    /// As [`length`](Self::length), but an error without it.
    ///
    /// # Errors
    /// As [`require_symbol`](Self::require_symbol).
    pub fn require_length(&self, name: &str) -> Result<u64, Error> {
        self.require(self.length(name), || Item::length(name))
    }

    /// As [`number`](Self::number), but an error without it.
    ///
    /// # Errors
    /// As [`require_symbol`](Self::require_symbol).
    pub fn require_number(&self, name: &str) -> Result<u64, Error> {
        self.require(self.number(name), || Item::number(name))
    }

    fn require<T>(&self, value: Option<T>, item: impl FnOnce() -> Item) -> Result<T, Error> {
        value.ok_or_else(|| {
            let item = item();
            match self.get(&item.to_string()) {
                Some(_) => Error::implausible(format!("{item} in VMCOREINFO"), "not a number"),
                None => Error::missing(item),
            }
        })
    }
}

/// The value of a `SYMBOL()`.
fn address(text: &str) -> Option<VirtAddr> {
    u64::from_str_radix(text, 16).ok().map(VirtAddr::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_is_parsed_in_its_own_notation() {
        let info = Vmcoreinfo::parse(
            b"OSRELEASE=6.1.0-56-cloud-amd64\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff9a81a580\n\
              OFFSET(uts_namespace.name)=4\nNUMBER(phys_base)=-16777216\nNUMBER(PHYS_OFFSET)=0x40000000\n\
              NUMBER(VA_BITS)=48\nCRASHTIME=1763764770\njunk\n\0\0",
        );
        assert_eq!(info.get("OSRELEASE"), Some("6.1.0-56-cloud-amd64"));
        assert_eq!(info.page_size(), Some(4096));
        assert_eq!(info.symbol("init_uts_ns"), Some(VirtAddr::new(0xffff_ffff_9a81_a580)));
        assert_eq!(info.offset("uts_namespace.name"), Some(4));
        assert_eq!(info.number("phys_base"), Some(0xffff_ffff_ff00_0000));
        assert_eq!(info.number("PHYS_OFFSET"), Some(0x4000_0000));
        assert_eq!(info.number("VA_BITS"), Some(48));
        assert_eq!(info.crash_time(), Some(1_763_764_770));
        assert_eq!(info.get("junk"), None);
        let info = Vmcoreinfo::parse(b"KERNELOFFSET=3ffe0000000\nIDENTITYBASE=0x10\n");
        assert_eq!(info.hex("KERNELOFFSET"), Some(0x3ff_e000_0000));
        assert_eq!(info.hex("IDENTITYBASE"), None, "not in this notation");
        let info = Vmcoreinfo::parse(
            b"SIZE(prb_desc)=24\nLENGTH(free_area)=11\nCONFIG_X86_PAE=y\nCONFIG_SMP=n",
        );
        assert_eq!(info.size("prb_desc"), Some(24));
        assert_eq!(info.length("free_area"), Some(11));
        assert!(info.config("X86_PAE") && !info.config("SMP") && !info.config("KASAN"));
    }

    #[test]
    fn a_required_item_that_is_missing_or_no_number_is_named() {
        let info = Vmcoreinfo::parse(b"SYMBOL(a)=x\nNUMBER(b)=0x10\n");
        let why = info.require_symbol("a").unwrap_err();
        assert_eq!(why.to_string(), "SYMBOL(a) in VMCOREINFO: not a number");
        assert_eq!(info.require_number("b"), Ok(16));
        let why = info.require_size("b").unwrap_err();
        assert_eq!(why, Error::MissingItem(vec![Item::size("b")]));
        assert_eq!(why.to_string(), "VMCOREINFO has no SIZE(b)");
        let items = vec![Item::symbol("a"), Item::offset("b.c"), Item::length("d")];
        let why = Error::MissingItem(items[..2].to_vec()).to_string();
        assert_eq!(why, "VMCOREINFO has neither SYMBOL(a) nor OFFSET(b.c)");
        let why = Error::MissingItem(items).to_string();
        assert_eq!(why, "VMCOREINFO has none of SYMBOL(a), OFFSET(b.c), LENGTH(d)");
    }

    #[test]
    fn the_first_symbol_that_has_an_address_counts() {
        let info = Vmcoreinfo::parse(b"SYMBOL(init_level4_pgt)=10\nSYMBOL(init_top_pgt)=20");
        let names = ["swapper_pg_dir", "init_top_pgt", "init_level4_pgt"];
        assert_eq!(info.first_symbol(&names), Some(("init_top_pgt", VirtAddr::new(0x20))));
        assert_eq!(info.first_symbol(&names[..1]), None);
    }

    #[test]
    fn only_symbols_are_listed() {
        let info = Vmcoreinfo::parse(b"SYMBOL(a)=10\nSIZE(b)=20\nSYMBOL(c)=ff\nSYMBOL(d)=x\n");
        let mut symbols: Vec<u64> = info.symbols().map(VirtAddr::get).collect();
        symbols.sort_unstable();
        assert_eq!(symbols, [0x10, 0xff]);
    }

    #[test]
    fn padding_is_not_part_of_a_value() {
        let info = Vmcoreinfo::parse(b"A=1\r\nB= 2 \nC=3\0\0\r\nD=4\0 \0\r");
        assert_eq!(["A", "B", "C", "D"].map(|key| info.get(key)), ["1", "2", "3", "4"].map(Some));
    }

    #[test]
    fn text_other_than_vmcoreinfo_has_no_values() {
        let info = Vmcoreinfo::parse(&[0xff; 64]);
        assert_eq!(info.page_size(), None);
        assert_eq!(Vmcoreinfo::parse(b"PAGESIZE=x\nCRASHTIME=-1").page_size(), None);
        assert_eq!(Vmcoreinfo::parse(b"CRASHTIME=-1").crash_time(), None);
    }
}
