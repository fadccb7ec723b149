//! An x86_64 guest that KASLR moved, with its name and page tables in memory.

use crate::common::x86_64;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

/// `__START_KERNEL_map`.
const MAP: u64 = 0xffff_ffff_8000_0000;
/// Where the image is linked, and where it is in memory.
const LINK: u64 = 0x100_0000;
const IMAGE: u64 = 0x20_0000;
/// KASLR's offset in virtual memory.
pub const OFFSET: u64 = 0x600_0000;
pub const RELEASE: &str = "6.1.0-guest";
const BYTES: usize = 0x40_0000;

/// The name, the page tables and the tables of the vmalloc area, from the start of the image.
const NAME: u64 = 0x3004;
const ROOT: u64 = 0x1_0000;
const VMALLOC_PTE: u64 = 0x1_5000;
/// The first page of the vmalloc area.
const VMALLOC: u64 = 0xffff_c900_0000_0000;

pub struct Guest(Vec<u8>);

impl Guest {
    pub fn new() -> Self {
        let mut guest = Guest(vec![0; BYTES]);
        for (nth, field) in ["Linux", "guest", RELEASE, "#1 SMP", "x86_64", ""].iter().enumerate() {
            guest.write(IMAGE + NAME + 65 * nth as u64, field.as_bytes());
        }
        let image = (LINK + OFFSET) >> 21;
        let tables = [
            (ROOT + 8 * 511, IMAGE + 0x1_1000),
            (0x1_1000 + 8 * 510, IMAGE + 0x1_2000),
            // A leaf of 2 MiB.
            (0x1_2000 + 8 * image, IMAGE | 0x180),
            (ROOT + 8 * ((VMALLOC >> 39) & 511), IMAGE + 0x1_3000),
            (0x1_3000, IMAGE + 0x1_4000),
            (0x1_4000, IMAGE + VMALLOC_PTE),
        ];
        for (at, entry) in tables {
            guest.write(IMAGE + at, &(entry | 0x63).to_le_bytes());
        }
        guest
    }

    fn write(&mut self, paddr: u64, bytes: &[u8]) {
        let at = usize::try_from(paddr).unwrap();
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// With `text` from the start of page `pfn` on.
    pub fn text(mut self, pfn: u64, text: &str) -> Self {
        self.write(pfn << 12, text.as_bytes());
        self
    }

    /// With page `pfn` as the n-th of the vmalloc area.
    pub fn vmalloc(mut self, nth: u64, pfn: u64) -> Self {
        self.write(IMAGE + VMALLOC_PTE + 8 * nth, &(pfn << 12 | 0x63).to_le_bytes());
        self
    }

    /// Without the page that has the name.
    pub fn without_name(mut self) -> Self {
        self.write(IMAGE + NAME, &[0; 390]);
        self
    }

    /// All of its memory, from address 0 on.
    pub fn memory(&self) -> Vec<u8> {
        self.0.clone()
    }

    pub fn core(&self) -> VmcoreBuilder {
        x86_64().load(Load::new(0, self.0.clone()))
    }

    /// The memory without the page that has the name.
    pub fn core_without_name(&self) -> VmcoreBuilder {
        let (low, high) = self.0.split_at(usize::try_from(IMAGE + 0x3000).unwrap());
        let (_, high) = high.split_at(0x1000);
        let low = Load::new(0, low.to_vec());
        x86_64().load(low).load(Load::new(IMAGE + 0x4000, high.to_vec()))
    }
}

/// The guest's VMCOREINFO.
pub fn own_text() -> String {
    text(RELEASE, OFFSET, 0)
}

/// That of a kernel with another offset, whose image is `moved` bytes further up.
pub fn text(release: &str, offset: u64, moved: u64) -> String {
    let phys_base = (IMAGE + moved).wrapping_sub(LINK).wrapping_sub(offset) as i64;
    let link = vmlinux_text_at(release, offset);
    format!(
        "{link}NUMBER(phys_base)={phys_base}\nNUMBER(pgtable_l5_enabled)=0\nKERNELOFFSET={offset:x}\n"
    )
}

/// As makedumpfile -g makes it from the vmlinux.
pub fn vmlinux_text() -> String {
    vmlinux_text_at(RELEASE, 0)
}

fn vmlinux_text_at(release: &str, offset: u64) -> String {
    let base = MAP + LINK + offset;
    format!(
        "OSRELEASE={release}\nPAGESIZE=4096\nSYMBOL(init_uts_ns)={:x}\nOFFSET(uts_namespace.name)=4\nSYMBOL(init_top_pgt)={:x}\nSYMBOL(_stext)={base:x}\n",
        base + NAME - 4,
        base + ROOT,
    )
}
