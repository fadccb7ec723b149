//! VMware's states of guests, with the memory in them or apart, are read as the vmcore of the guest.

use kdumpconv::summary::FileFacts;
use kdumpconv::{Dump, ImageKind, Input, OpenOptions, PfnRange, Result, Summary};
use support::vmware::{MAGICS, VmwareState};

use super::guest::{Guest, SMALL, assert_honest_when_cut, cpus, small_page};

fn open(files: Vec<Vec<u8>>) -> Result<Dump> {
    let inputs: Vec<Input> = files.into_iter().map(Input::from).collect();
    Dump::open_all(inputs, &OpenOptions::default())
}

#[test]
fn a_state_of_each_version_is_read_like_the_vmcore() {
    let guest = Guest::new();
    let mut state = VmwareState::new(guest.ram.clone(), guest.cpus.clone());
    let memory = state.memory(|address, page| guest.read(address, page));
    for (nth, magic) in MAGICS.into_iter().enumerate() {
        let (is_inside, has_blocks) = (nth % 2 == 0, nth < 2);
        (state.magic, state.has_blocks) = (magic, has_blocks);
        let what = format!("{magic:#x}: memory inside {is_inside}, blocks {has_blocks}");
        let files = match is_inside {
            true => vec![state.build(Some(&memory))],
            false => vec![state.build(None), memory.clone()],
        };
        let bytes: usize = files.iter().map(Vec::len).sum();
        let dump = open(files).unwrap_or_else(|error| panic!("{what}: {error}"));
        guest.assert_same(&dump, &what);
        let summary = Summary::of(&dump);
        assert_eq!(summary.file, FileFacts::Image(ImageKind::Vmware), "{what}");
        assert_eq!(summary.bytes.file, Some(bytes as u64), "{what}");
    }
}

#[test]
fn each_region_says_where_its_memory_is() {
    let guest = Guest::new();
    let mut regions = guest.ram.clone();
    regions.rotate_left(1);
    // Regions that are next to each other in memory, but not in the file.
    let last = regions.remove(0);
    let middle = last.start + (1 << 20);
    regions.insert(0, last.start..middle);
    regions.push(middle..last.end);
    let state = VmwareState::new(regions, guest.cpus.clone());
    let memory = state.memory(|address, page| guest.read(address, page));
    guest.assert_same(&open(vec![state.build(Some(&memory))]).unwrap(), "inside");
    guest.assert_same(&open(vec![memory, state.build(None)]).unwrap(), "apart, named first");
}

#[test]
fn memory_without_regions_begins_at_0() {
    let guest = Guest::without_hole();
    let state = VmwareState::new(guest.ram.clone(), guest.cpus.clone());
    let memory = state.memory(|address, page| guest.read(address, page));
    guest.assert_same(&open(vec![state.build(Some(&memory))]).unwrap(), "inside");
    guest.assert_same(&open(vec![state.build(None), memory]).unwrap(), "apart");
}

#[test]
fn a_state_that_is_cut_off_is_incomplete_or_an_error() {
    let state = VmwareState::new(SMALL.to_vec(), cpus());
    let memory = state.memory(small_page);
    let file = state.build(Some(&memory));
    // The group of the memory ends with an empty tag.
    let end = file.len() - 2;
    let headers = end - memory.len();
    let lengths = (0..headers.min(12_000)).chain((headers..end).step_by(500));
    let errors = assert_honest_when_cut(lengths, |length| open(vec![file[..length].to_vec()]));
    for (length, error) in errors {
        assert!(length <= headers, "{length} of {end} bytes: {error}");
        let is_named = error.contains("VMware") || length < 12;
        assert!(is_named, "{length} of {end} bytes: {error}");
    }
}

#[test]
fn memory_apart_that_is_cut_off_is_incomplete() {
    let state = VmwareState::new(SMALL.to_vec(), cpus());
    let memory = state.memory(small_page);
    let open = |length: usize| open(vec![state.build(None), memory[..length].to_vec()]);
    let errors = assert_honest_when_cut((1..memory.len()).step_by(500), open);
    assert!(errors.iter().all(|(length, _)| *length < 4096), "{errors:?}");
    let dump = open(3 * 4096).unwrap();
    assert_eq!(dump.missing().iter().map(PfnRange::len).sum::<u64>(), 2);
    let said = dump.warnings().join("\n");
    assert!(said.contains("the memory is cut off: 12288 of 20480 bytes are there"), "{said}");
}

#[test]
fn groups_that_share_many_tags_are_read_once_and_said_once() {
    let block = |bytes: u64| {
        let mut block = b"\x3f\x06Memory".to_vec();
        block.extend([bytes.to_le_bytes(), bytes.to_le_bytes()].concat());
        block.extend([0, 0]);
        block.resize(block.len() + bytes as usize, 7);
        block
    };
    let mut file = [MAGICS[0], 8, 3].map(u32::to_le_bytes).concat();
    for _ in 0..3 {
        let start = file.len();
        file.extend(b"memory");
        file.resize(start + 64, 0);
        file.extend([252_u64.to_le_bytes(), [0; 8]].concat());
    }
    file.extend(block(8192));
    file.extend(block(1).repeat(400_000));
    file.extend([0, 0]);
    let options = OpenOptions::default().machine(kdumpconv::Machine {
        arch: kdumpconv::Architecture::X86_64,
        order: kdumpconv::ByteOrder::Little,
    });
    let dump = Dump::open(Input::from(file), &options).unwrap();
    let said = dump.warnings().join("\n");
    assert_eq!(said.matches("a second block of memory").count(), 1, "{}", said.len());
    assert_eq!(said.matches("only the first 1048576 tags are read").count(), 1, "{said}");
}

#[test]
fn a_packed_state_that_is_damaged_makes_the_guest_incomplete() {
    let state = VmwareState::new(SMALL.to_vec(), cpus());
    let memory = state.memory(small_page);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &state.build(None)).unwrap();
    let packed = encoder.finish().unwrap();
    for is_damaged in [false, true] {
        let mut packed = packed.clone();
        let checksum = packed.len() - 8;
        packed[checksum] ^= u8::from(is_damaged);
        let reader = Box::new(std::io::Cursor::new(packed));
        let input = Input::from_reader(reader, std::env::temp_dir()).unwrap();
        let inputs = vec![input, Input::from(memory.clone())];
        let options = OpenOptions::default().machine(kdumpconv::Machine {
            arch: kdumpconv::Architecture::X86_64,
            order: kdumpconv::ByteOrder::Little,
        });
        let dump = Dump::open_all(inputs, &options).unwrap();
        assert_eq!(dump.is_incomplete(), is_damaged, "{:?}", dump.warnings());
    }
}
