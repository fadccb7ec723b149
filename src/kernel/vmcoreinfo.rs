//! VMCOREINFO: the lines by which a kernel describes itself to dump tools.
//!
//! Source: the kernel's Documentation/admin-guide/kdump/vmcoreinfo.rst. `SYMBOL()` is hexadecimal
//! without prefix, `OFFSET()`, `SIZE()` and `LENGTH()` are decimal, `NUMBER()` is signed decimal,
//! or hexadecimal with 0x on some architectures.

use std::collections::HashMap;

/// The text of a VMCOREINFO note, looked up by key.
#[derive(Debug, Clone, Default)]
pub struct Vmcoreinfo {
    lines: HashMap<String, String>,
}

impl Vmcoreinfo {
    /// Splits the note's text into its `KEY=value` lines; others are passed over, and of a
    /// repeated key the first counts. Blanks and NULs around a value are none of it.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut lines = HashMap::new();
        let around = |c: char| c.is_whitespace() || c == '\0';
        for line in String::from_utf8_lossy(text).lines() {
            if let Some((key, value)) = line.split_once('=') {
                let value = value.trim_matches(around);
                lines.entry(key.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        Vmcoreinfo { lines }
    }

    /// The value of `key`, such as `OSRELEASE`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.lines.get(key).map(String::as_str)
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
    pub fn symbol(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.get(&format!("SYMBOL({name})"))?, 16).ok()
    }

    /// The addresses of all symbols, in no order.
    pub fn symbols(&self) -> impl Iterator<Item = u64> + '_ {
        let is_symbol = |key: &str| key.starts_with("SYMBOL(") && key.ends_with(')');
        let symbols = self.lines.iter().filter(move |(key, _)| is_symbol(key));
        symbols.filter_map(|(_, value)| u64::from_str_radix(value, 16).ok())
    }

    /// `OFFSET(member)=`, in bytes, such as `uts_namespace.name`.
    #[must_use]
    pub fn offset(&self, member: &str) -> Option<u64> {
        self.get(&format!("OFFSET({member})"))?.parse().ok()
    }

    /// `SIZE(name)=`: bytes of a struct, such as `printk_log`.
    #[must_use]
    pub fn size(&self, name: &str) -> Option<u64> {
        self.get(&format!("SIZE({name})"))?.parse().ok()
    }

    /// `LENGTH(name)=`: elements of an array, such as `mem_section`.
    #[must_use]
    pub fn length(&self, name: &str) -> Option<u64> {
        self.get(&format!("LENGTH({name})"))?.parse().ok()
    }

    /// Whether the kernel was built with an option, such as `X86_PAE` of `CONFIG_X86_PAE=y`.
    #[must_use]
    pub fn config(&self, option: &str) -> bool {
        self.get(&format!("CONFIG_{option}")) == Some("y")
    }

    /// The address and name of the first of `names` that there is; list the newest name first.
    #[must_use]
    pub fn first_symbol(&self, names: &[&'static str]) -> Option<(&'static str, u64)> {
        names.iter().find_map(|&name| Some((name, self.symbol(name)?)))
    }

    /// `NUMBER(name)=`, negative ones as two's complement.
    ///
    /// x86_64 prints phys_base with %ld: a KASLR kernel below its link address has a negative one.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_is_read_in_its_own_notation() {
        let info = Vmcoreinfo::parse(
            b"OSRELEASE=6.1.0-56-cloud-amd64\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff9a81a580\n\
              OFFSET(uts_namespace.name)=4\nNUMBER(phys_base)=-16777216\nNUMBER(PHYS_OFFSET)=0x40000000\n\
              NUMBER(VA_BITS)=48\nCRASHTIME=1763764770\njunk\n\0\0",
        );
        assert_eq!(info.get("OSRELEASE"), Some("6.1.0-56-cloud-amd64"));
        assert_eq!(info.page_size(), Some(4096));
        assert_eq!(info.symbol("init_uts_ns"), Some(0xffff_ffff_9a81_a580));
        assert_eq!(info.offset("uts_namespace.name"), Some(4));
        assert_eq!(info.number("phys_base"), Some(0xffff_ffff_ff00_0000));
        assert_eq!(info.number("PHYS_OFFSET"), Some(0x4000_0000));
        assert_eq!(info.number("VA_BITS"), Some(48));
        assert_eq!(info.crash_time(), Some(1_763_764_770));
        assert_eq!(info.get("junk"), None);
        let info = Vmcoreinfo::parse(
            b"SIZE(prb_desc)=24\nLENGTH(free_area)=11\nCONFIG_X86_PAE=y\nCONFIG_SMP=n",
        );
        assert_eq!(info.size("prb_desc"), Some(24));
        assert_eq!(info.length("free_area"), Some(11));
        assert!(info.config("X86_PAE") && !info.config("SMP") && !info.config("KASAN"));
    }

    #[test]
    fn of_several_names_the_first_that_is_there_counts() {
        let info = Vmcoreinfo::parse(b"SYMBOL(init_level4_pgt)=10\nSYMBOL(init_top_pgt)=20");
        let names = ["swapper_pg_dir", "init_top_pgt", "init_level4_pgt"];
        assert_eq!(info.first_symbol(&names), Some(("init_top_pgt", 0x20)));
        assert_eq!(info.first_symbol(&names[..1]), None);
    }

    #[test]
    fn all_symbols_are_listed_and_nothing_else() {
        let info = Vmcoreinfo::parse(b"SYMBOL(a)=10\nSIZE(b)=20\nSYMBOL(c)=ff\nSYMBOL(d)=x\n");
        let mut symbols: Vec<u64> = info.symbols().collect();
        symbols.sort_unstable();
        assert_eq!(symbols, [0x10, 0xff]);
    }

    #[test]
    fn what_is_around_a_value_is_none_of_it() {
        let info = Vmcoreinfo::parse(b"A=1\r\nB= 2 \nC=3\0\0\r\nD=4\0 \0\r");
        assert_eq!(["A", "B", "C", "D"].map(|key| info.get(key)), ["1", "2", "3", "4"].map(Some));
    }

    #[test]
    fn text_that_is_no_vmcoreinfo_has_no_values() {
        let info = Vmcoreinfo::parse(&[0xff; 64]);
        assert_eq!(info.page_size(), None);
        assert_eq!(Vmcoreinfo::parse(b"PAGESIZE=x\nCRASHTIME=-1").page_size(), None);
        assert_eq!(Vmcoreinfo::parse(b"CRASHTIME=-1").crash_time(), None);
    }
}
