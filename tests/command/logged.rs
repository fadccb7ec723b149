//! A kernel with a log.

use crate::common::x86_64;
use support::elf::Endian;
use support::printk::{Words, chars_image};
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

/// Its log.
pub const LOG: &str = "Linux version 6.1.0-log\nsysrq: Trigger a crash\n";

/// A kernel that maps its text at physical 0, with a plain log buffer in it.
pub fn with_log() -> VmcoreBuilder {
    with_log_at(0x3_0000)
}

/// With the log buffer at this address; the page tables are at 0x1_0000.
pub fn with_log_at(address: u64) -> VmcoreBuilder {
    const KERNEL: u64 = 0xffff_ffff_8000_0000;
    let words = Words { long: 8, endian: Endian::Little };
    let image = chars_image(words, 8192, LOG.as_bytes(), KERNEL + address);
    let mut memory = vec![0; 0x8_0000];
    // swapper_pg_dir, a table of 1 GiB entries, one of 2 MiB entries: the first is our memory.
    for (at, entry) in [(0x1_0ff8, 0x1_1063_u64), (0x1_1ff0, 0x1_2063), (0x1_2000, 0x1e3)] {
        memory[at..at + 8].copy_from_slice(&entry.to_le_bytes());
    }
    for (vaddr, bytes) in &image.parts {
        let at = usize::try_from(vaddr - KERNEL).unwrap();
        memory[at..at + bytes.len()].copy_from_slice(bytes);
    }
    let info = format!(
        "OSRELEASE=6.1.0-log\nPAGESIZE=4096\nCRASHTIME=1763764770\nNUMBER(phys_base)=0\nSYMBOL(swapper_pg_dir)={:x}\n{}",
        KERNEL + 0x1_0000,
        image.vmcoreinfo
    );
    x86_64().vmcoreinfo(&info).prstatus(0).load(Load::new(0, memory).vaddr(KERNEL))
}
