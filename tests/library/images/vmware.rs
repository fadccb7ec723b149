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
