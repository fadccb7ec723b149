//! A kernel with a log.

use crate::common::x86_64;
use support::elf::Endian;
use support::printk::{LogImage, Logged, Records, Words, chars_image};
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
    with_image(&chars_image(WORDS, 8192, LOG.as_bytes(), KERNEL + address))
}

/// A kernel of 3.5 to 5.9 whose log has ten records, after each of which it may have been cleared.
fn records(clear_after: Option<usize>) -> Records {
    let mut records = Records::new(WORDS, 4096, "printk_log", false);
    records.clear_idx = None;
    for nth in 1..=10 {
        let (text, ts_nsec) = (format!("record {nth}").into_bytes(), nth as u64 * 1_000_000_000);
        let logged = Logged { ts_nsec, caller_id: 0, level: 6, facility: 0, text };
        records.push(logged, b"");
        if clear_after == Some(nth) {
            records.clear();
        }
    }
    records
}

/// Its log was cleared after the sixth record of ten.
pub fn with_cleared_log() -> VmcoreBuilder {
    with_image(&records(Some(6)).image(KERNEL + 0x3_0000))
}

/// Its log has a record without a length, the fourth. What is read of it.
pub fn with_broken_record() -> (VmcoreBuilder, Vec<String>) {
    let records = records(None);
    let mut image = records.image(KERNEL + 0x3_0000);
    let broken = records.places()[3].start;
    image.parts[4].1[broken + 8] = 0;
    let read = (1..=10).filter(|nth| *nth != 4).map(|nth| format!("record {nth}")).collect();
    (with_image(&image), read)
}

/// What is said of it.
pub const BROKEN: &str = "1 record could not be read: record at index 0x48: it has 0 bytes, its \
    header, text and dictionary 24; 24 bytes are stepped over";

const KERNEL: u64 = 0xffff_ffff_8000_0000;
const WORDS: Words = Words { long: 8, endian: Endian::Little };

fn with_image(image: &LogImage) -> VmcoreBuilder {
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
