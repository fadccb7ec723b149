//! Migration streams of any bytes: one that opens is used as any dump is, and what it has of memory
//! does not depend on how it is read.

use kdumpconv::{Architecture, ByteOrder, Dump, Machine, OpenOptions, PhysAddr};
use kdumpconv::{DumpMemory, PageReader};

use super::{Input, uses};

/// Larger guests are not read whole.
const MOST_PAGES: u64 = 1 << 12;

/// The size of a page of the dump, whatever those of the stream have.
const PAGE: u64 = 4096;

pub fn check(bytes: &[u8]) {
    let machine = Machine { arch: Architecture::X86_64, order: ByteOrder::Little };
    let input = Input::new(bytes);
    let options = OpenOptions::default().machine(machine);
    let dump = match Dump::open(Box::new(input.clone()), &options) {
        Ok(dump) => dump,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let (pages, kept) = dump.counts();
    if pages > MOST_PAGES {
        return;
    }
    let memory = DumpMemory::new(&dump).unwrap();
    let mut reader = PageReader::new(&dump).unwrap();
    let mut there = 0;
    for pfn in uses::pfns(dump.kept()) {
        let mut page = [0; PAGE as usize];
        let address = PhysAddr::new(pfn * PAGE);
        if let Ok(read) = uses::read(&mut reader, pfn) {
            there += 1;
            memory.read(address, &mut page).unwrap();
            assert!(page[..] == read[..], "page {pfn}");
            memory.read(PhysAddr::new(pfn * PAGE + 100), &mut page[..50]).unwrap();
            assert!(page[..50] == read[100..150], "within page {pfn}");
        }
    }
    assert!(there <= kept);
    uses::check(&dump);
}
