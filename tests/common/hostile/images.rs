//! LiME and AVML images, and raw memory, of any bytes.

use kdumpconv::pages::ranges::count;
use kdumpconv::{
    Architecture, ByteOrder, Dump, Machine, OpenOptions, PageReader, PhysAddr, RawMemory,
};
use support::lime::{avml_range, lime_range};

use super::Input;
use super::uses::{self, pfns};

/// Pages that are looked at.
const MOST_PAGES: u64 = 64;

/// Page frame numbers of dumps that are used as a whole; others are sparse.
const MOST_PFN: u64 = 1 << 16;

/// An image that its first bytes name, and the same bytes as raw memory, wherever that may be.
pub fn check(bytes: &[u8]) {
    let machine = Machine { arch: Architecture::X86_64, order: ByteOrder::Little };
    let address = bytes.iter().take(5).fold(0, |address, byte| address << 8 | u64::from(*byte));
    let address = RawMemory::At(vec![PhysAddr::new(address << 12)]);
    for raw in [None, Some(address), Some(RawMemory::Guessed), Some(RawMemory::Firecracker)] {
        let is_raw = raw.is_some();
        let options = OpenOptions::default().machine(machine).raw(raw);
        match Dump::open(Input::new(bytes), &options) {
            Ok(dump) => look(&dump, bytes, is_raw),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn look(dump: &Dump, bytes: &[u8], is_raw: bool) {
    assert!(dump.image_kind().is_some() || !is_raw);
    let Some(core) = dump.elf() else { return };
    let pages = count(core.memory.with_data());
    // AVML packs memory, but not by more than this.
    assert!(pages <= 16 * (1 + bytes.len() as u64), "{pages} pages of {} bytes", bytes.len());
    let mut reader = PageReader::new(dump).unwrap();
    for pfn in pfns(dump.kept()).take(MOST_PAGES as usize) {
        let _ = uses::read(&mut reader, pfn);
    }
    if pages <= MOST_PAGES && core.memory.max_mapnr().get() < MOST_PFN {
        uses::check(dump);
    }
}

/// Images of a few pages: in order and not, packed and not, with a text that looks like a VMCOREINFO.
pub fn seeds() -> Vec<Vec<u8>> {
    let info = b"OSRELEASE=6.1.0-seed\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff80000200\n\
        NUMBER(phys_base)=0\nSYMBOL(init_top_pgt)=ffffffff80001000\n";
    let mut text = vec![0; 4096];
    text[..info.len()].copy_from_slice(info);
    let (low, high) = (vec![7; 6000], [text.clone(), vec![9; 100]].concat());
    vec![
        [lime_range(0x1000, &low), lime_range(0x8000, &high)].concat(),
        [avml_range(0x8000, &high, 4096), avml_range(0x1000, &low, 65536)].concat(),
        [avml_range(0, &low, 1000), lime_range(0x1_0000, &high)].concat(),
        [low, text].concat(),
    ]
}
