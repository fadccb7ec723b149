//! Hypervisors' files of guests with any bytes: what opens has no page that is not in the file, and
//! takes no more work than its bytes are worth. The bytes of such files are made here, from what the
//! formats say, and not by the library.

use kdumpconv::pages::ranges::count;
use kdumpconv::{Architecture, ByteOrder, Dump, Machine, OpenOptions, PageReader};

use super::Input;
use super::uses::{self, pfns};

/// Pages of a dump that are looked at.
const MOST_PAGES: usize = 64;

/// Dumps of more pages are not put to other uses.
const MOST_PFN: u64 = 1 << 16;

/// A core of Xen, or a VMware state that has its memory.
pub fn check(bytes: &[u8]) {
    let input = Input::new(bytes);
    let machine = Machine { arch: Architecture::X86_64, order: ByteOrder::Little };
    let opened = Dump::open(input.clone(), &OpenOptions::default().machine(machine));
    // Memory is searched for a VMCOREINFO, in up to 64 ranges that may have the same bytes; a tag of
    // VMware takes a read of its own.
    let most = 400 * bytes.len() as u64 + (1 << 20);
    assert!(input.read() <= most, "{} bytes read of {}", input.read(), bytes.len());
    match opened {
        Ok(dump) => look(&dump, bytes),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The same, and a VMware state with its memory in another file.
pub fn check_apart(bytes: &[u8]) {
    check(bytes);
    let machine = Machine { arch: Architecture::X86_64, order: ByteOrder::Little };
    let inputs = vec![Input::new(bytes), Input::new(&[7; 2 * 4096])];
    let opened = Dump::open_all(inputs, &OpenOptions::default().machine(machine));
    if let Ok(dump) = opened {
        assert!(dump.image_kind().is_some(), "no image");
        look(&dump, &[bytes, &[7; 2 * 4096]].concat());
    }
}

fn look(dump: &Dump, bytes: &[u8]) {
    let mut reader = PageReader::new(dump).unwrap();
    for pfn in pfns(dump.kept()).take(MOST_PAGES) {
        let Ok(page) = uses::read(&mut reader, pfn) else { continue };
        // The last page may be there in part: the rest is zeros.
        let zeros = page.iter().rev().take_while(|byte| **byte == 0).count();
        let page = &page[..page.len() - zeros];
        let is_in_file = page.is_empty() || bytes.windows(page.len()).any(|part| part == page);
        assert!(is_in_file, "page {pfn} is not in the file");
    }
    let memory = &dump.elf().unwrap().memory;
    let pages = count(memory.with_data()) + count(memory.missing());
    if pages <= MOST_PAGES as u64 && memory.max_mapnr().get() < MOST_PFN {
        uses::check(dump);
    }
}

/// A core of a guest with a CPU and three pages, two of which follow each other.
pub fn xen_core() -> Vec<u8> {
    let note = |kind: u32, longs: &[u64]| {
        let desc: Vec<u8> = longs.iter().flat_map(|long| long.to_le_bytes()).collect();
        let head = [4, desc.len() as u32, kind].map(u32::to_le_bytes).concat();
        [head, b"Xen\0".to_vec(), desc].concat()
    };
    let notes = [
        note(0x200_0000, &[]),
        note(0x200_0001, &[0xf00f_ebee, 1, 3, 4096]),
        note(0x200_0003, &[1]),
    ]
    .concat();
    let mut context = vec![0; 5168];
    context[648..656].copy_from_slice(&0xffff_ffff_8100_0000_u64.to_le_bytes());
    let pages: Vec<u8> = [1, 2, 3].into_iter().flat_map(|byte| [byte; 4096]).collect();
    let table = [0x10_u64, 0x11, 0x40].map(u64::to_le_bytes).concat();
    let names = b"\0.shstrtab\0.note.Xen\0.xen_prstatus\0.xen_pages\0.xen_pfn\0";
    let sections =
        [(1, 3, names.len()), (11, 7, notes.len()), (21, 1, 5168), (35, 1, 3 * 4096), (46, 1, 24)];
    let bodies = [names.to_vec(), notes, context, pages, table];
    let mut at = 64 + 6 * 64;
    let mut headers = vec![0; 64];
    for (name, kind, bytes) in sections {
        headers.extend([name, kind].map(u32::to_le_bytes).concat());
        headers.extend([0, 0, at as u64, bytes as u64].map(u64::to_le_bytes).concat());
        headers.extend([0; 24]);
        at += bytes;
    }
    let mut file = b"\x7fELF\x02\x01\x01\0\x01".to_vec();
    file.resize(16, 0);
    file.extend([4, 0, 62, 0, 1, 0, 0, 0]);
    file.extend([0_u64, 0, 64].map(u64::to_le_bytes).concat());
    file.extend([0, 0, 0, 0]);
    file.extend([64_u16, 56, 0, 64, 6, 1].map(u16::to_le_bytes).concat());
    [file, headers, bodies.concat()].concat()
}

/// States of a guest with two ranges of memory and a CPU: with the memory, which has sizes of 64 or of
/// 32 bits, and without.
pub fn vmware_states() -> Vec<Vec<u8>> {
    let tag = |name: &str, indices: &[u32], value: &[u8]| {
        let flags = (indices.len() << 6 | value.len()) as u8;
        let indices: Vec<u8> = indices.iter().flat_map(|index| index.to_le_bytes()).collect();
        [&[flags, name.len() as u8], name.as_bytes(), &indices, value].concat()
    };
    let mut cpu = tag("cpu:numVCPUs", &[], &1_u32.to_le_bytes());
    cpu.extend(tag("rip", &[0], &0xffff_ffff_8100_0000_u64.to_le_bytes()));
    cpu.extend(tag("CR64", &[0, 3], &0x1000_u64.to_le_bytes()));
    cpu.extend([0, 0]);
    let mut ranges = tag("regionsCount", &[], &2_u32.to_le_bytes());
    for (index, [stored, first, pages]) in [[0, 0x10, 2], [2, 0x40, 1_u32]].into_iter().enumerate()
    {
        let index = [index as u32];
        ranges.extend(tag("regionPageNum", &index, &stored.to_le_bytes()));
        ranges.extend(tag("regionPPN", &index, &first.to_le_bytes()));
        ranges.extend(tag("regionSize", &index, &pages.to_le_bytes()));
    }
    let pages: Vec<u8> = [1, 2, 3].into_iter().flat_map(|byte| [byte; 4096]).collect();
    let size = 3 * 4096_u64;
    let block = |size: &[u8]| {
        let head = [&b"\xbf\x06Memory\0\0\0\0\0\0\0\0"[..], size, size, b"\x03\0pad"].concat();
        [head, pages.clone()].concat()
    };
    let bodies = [
        (b"\xd2\xbe\xd2\xbe", block(&size.to_le_bytes())),
        (b"\xd0\xbe\xd0\xbe", block(&(size as u32).to_le_bytes())),
        (b"\xd1\xba\xd1\xba", Vec::new()),
    ];
    let state = |(magic, memory): (&[u8; 4], Vec<u8>)| {
        let group = |name: &str, at: usize| {
            let mut group = name.as_bytes().to_vec();
            group.resize(64, 0);
            group.extend([at as u64, 0].map(u64::to_le_bytes).concat());
            group
        };
        let start = 12 + 2 * 80;
        let groups = [group("cpu", start), group("memory", start + cpu.len())].concat();
        let head = [&magic[..], &8_u32.to_le_bytes(), &2_u32.to_le_bytes()].concat();
        [&head, &*groups, &cpu, &ranges, &memory, &[0, 0]].concat()
    };
    bodies.into_iter().map(state).collect()
}
