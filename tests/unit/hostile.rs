//! Any bytes: nothing panics, hangs, or uses more time and memory than the bytes justify. Inputs
//! that once did are kept by name.

use std::panic::catch_unwind;
use std::path::Path;

use super::targets::{self, TARGETS, Target, seeds};
use kdumpconv::{Dump, OpenOptions};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use support::elf::{Class, Endian, machine};
use support::notes::Note;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

/// A seed with some bytes overwritten, removed or duplicated, and its end cut off.
#[derive(Clone, Debug)]
enum Change {
    Byte(Index, u8),
    Number(Index, u64, u8),
    Cut(Index),
    Remove(Index, u8),
    Double(Index, u8),
}

fn changes() -> impl Strategy<Value = Change> {
    let number = prop_oneof![
        any::<u64>(),
        (0..64_u32, 0..3_u64).prop_map(|(bit, less)| (1_u64 << bit).wrapping_sub(less)),
        0..5000_u64,
    ];
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        4 => (at(), number, any::<u8>()).prop_map(|(at, n, form)| Change::Number(at, n, form)),
        1 => at().prop_map(Change::Cut),
        1 => (at(), any::<u8>()).prop_map(|(at, bytes)| Change::Remove(at, bytes)),
        1 => (at(), any::<u8>()).prop_map(|(at, bytes)| Change::Double(at, bytes)),
    ]
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let some = |at: usize, count: &u8, len: usize| at..len.min(at + usize::from(*count));
        let len = bytes.len();
        match self {
            Change::Byte(at, byte) => bytes[at.index(len)] = *byte,
            Change::Number(at, number, form) => {
                // Most fields are aligned.
                let at = at.index(len) / 4 * 4;
                let size = [2, 4, 8, 8][usize::from(form % 4)];
                let big = number.to_be_bytes();
                let little = number.to_le_bytes();
                let number = if form & 4 == 0 { &little[..size] } else { &big[8 - size..] };
                let end = len.min(at + size);
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            Change::Cut(at) => bytes.truncate(at.index(len)),
            Change::Remove(at, count) => drop(bytes.drain(some(at.index(len), count, len))),
            Change::Double(at, count) => {
                let part = bytes[some(at.index(len), count, len)].to_vec();
                let at = at.index(len);
                bytes.splice(at..at, part);
            }
        }
    }
}

/// Bytes that are printed as a byte string, to be copied into a test.
struct Bytes(Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

fn target(name: &str) -> Target {
    TARGETS.into_iter().find(|(other, _)| *other == name).unwrap().1
}

fn inputs(name: &'static str) -> impl Strategy<Value = Bytes> {
    let changed = (prop::sample::select(seeds::of(name)), vec(changes(), 0..6)).prop_map(
        |(mut bytes, changes)| {
            changes.iter().for_each(|change| change.apply(&mut bytes));
            bytes
        },
    );
    prop_oneof![15 => changed, 1 => vec(any::<u8>(), 0..400)].prop_map(Bytes)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2048,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_core_of_any_bytes_gives_the_pages_and_notes_that_its_headers_describe(
        bytes in inputs("elf")
    ) {
        target("elf")(&bytes.0);
    }

    #[test]
    fn the_types_of_btf_of_any_bytes_are_those_of_a_simple_walk(bytes in inputs("btf")) {
        target("btf")(&bytes.0);
    }

    #[test]
    fn a_container_of_any_bytes_is_the_same_at_random_and_forward(bytes in inputs("containers")) {
        target("containers")(&bytes.0);
    }

    #[test]
    fn memory_of_a_migration_stream_of_any_bytes_is_the_same_however_it_is_read(
        bytes in inputs("qemu")
    ) {
        target("qemu")(&bytes.0);
    }

    #[test]
    fn a_stored_page_of_any_bytes_decodes_as_in_other_decoders(bytes in inputs("decode")) {
        target("decode")(&bytes.0);
    }

    #[test]
    fn a_flattened_stream_of_any_bytes_is_the_file_of_its_records(bytes in inputs("flattened")) {
        target("flattened")(&bytes.0);
    }

    #[test]
    fn a_kdump_file_of_any_bytes_has_the_pages_that_its_descriptors_describe(
        bytes in inputs("kdump")
    ) {
        target("kdump")(&bytes.0);
    }

    #[test]
    fn a_log_of_any_bytes_ends_and_is_plain_text(bytes in inputs("dmesg")) {
        target("dmesg")(&bytes.0);
    }

    #[test]
    fn of_notes_of_any_bytes_the_whole_ones_are_found_and_copied(bytes in inputs("notes")) {
        target("notes")(&bytes.0);
    }

    #[test]
    fn vmcoreinfo_of_any_bytes_says_what_its_first_lines_say(bytes in inputs("vmcoreinfo")) {
        target("vmcoreinfo")(&bytes.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_image_of_any_bytes_has_no_more_memory_than_it_can_hold(bytes in inputs("images")) {
        target("images")(&bytes.0);
    }

    #[test]
    fn a_core_of_xen_of_any_bytes_has_no_page_that_is_not_in_it(bytes in inputs("xen")) {
        target("xen")(&bytes.0);
    }

    #[test]
    fn a_vmware_state_of_any_bytes_has_no_page_that_is_not_in_it(bytes in inputs("vmware")) {
        target("vmware")(&bytes.0);
    }

    #[test]
    fn no_edit_of_memory_makes_a_search_for_tasks_endless(bytes in inputs("tasks")) {
        target("tasks")(&bytes.0);
    }

    /// Fewer cases: edits of a whole machine take longer than edits of a few bytes.
    #[test]
    fn no_edit_of_memory_excludes_a_page_it_does_not_concern(
        bytes in prop_oneof![inputs("selection"), vec(any::<u8>(), 2..120).prop_map(Bytes)]
    ) {
        target("selection")(&bytes.0);
    }
}

#[test]
fn seeds_cut_at_every_length_are_handled() {
    for (name, check) in TARGETS {
        for (index, seed) in seeds::of(name).into_iter().enumerate() {
            for end in (0..seed.len()).step_by(1 + seed.len() / 150).chain([seed.len()]) {
                let took = catch_unwind(|| check(&seed[..end]));
                assert!(took.is_ok(), "{name} seed {index}, its first {end} bytes");
            }
        }
    }
}

/// Each byte that is not memory, and numbers of all ones, with which counts and sizes begin.
#[test]
fn a_guest_with_any_byte_wrong_or_cut_off_is_handled() {
    for name in ["vmware", "xen"] {
        let check = target(name);
        for (index, seed) in seeds::of(name).into_iter().enumerate() {
            let is_memory = |at: usize| {
                seed[..=at].iter().rev().take(64).all(|byte| *byte == seed[at]) && at > 1024
            };
            for at in (0..seed.len()).filter(|at| !is_memory(*at)) {
                let mut flipped = seed.clone();
                flipped[at] ^= 1 << (at % 8);
                let mut hostile = seed.clone();
                let end = seed.len().min(at + 8);
                hostile[at..end].fill(0xff);
                for bytes in [&seed[..at], &flipped, &hostile] {
                    let took = catch_unwind(|| check(bytes));
                    assert!(took.is_ok(), "{name} seed {index}, byte {at}");
                }
            }
        }
    }
}

/// Otherwise mutations of a seed would change nothing.
#[test]
fn the_guests_of_the_seeds_have_their_pages_and_registers() {
    let machine = [&seeds::of("xen")[0], &seeds::of("vmware")[0], &seeds::of("vmware")[1]];
    for seed in machine {
        let dump = Dump::of_bytes(seed.clone()).unwrap();
        assert_eq!(dump.kept().map(|run| run.len()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(dump.notes().cpus, 1);
        assert_eq!(dump.warnings().len(), 0, "{:?}", dump.warnings());
    }
}

/// Otherwise mutations of a seed would change nothing.
#[test]
fn the_logs_of_the_seeds_can_be_read() {
    for (index, seed) in seeds::of("dmesg").iter().enumerate() {
        let text = targets::dmesg::look(seed);
        assert!(text.contains("anic") && text.lines().count() > 1, "seed {index}: {text}");
    }
}

/// `testdata/hostile/TARGET/CLAIM`: inputs that once broke something, named after what they claim.
#[test]
fn what_once_broke_something_breaks_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/hostile");
    for kind in std::fs::read_dir(folder).unwrap() {
        let kind = kind.unwrap();
        let check = target(kind.file_name().to_str().unwrap());
        for file in std::fs::read_dir(kind.path()).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            assert!(catch_unwind(|| check(&bytes)).is_ok(), "{}", path.display());
        }
    }
}

/// A note that every reader looks for.
fn vmcoreinfo() -> Vec<u8> {
    Note::vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\n").encode(Endian::Little)
}

#[test]
fn padding_after_a_note_segment_does_not_hide_the_notes_of_the_next_one() {
    let file = [vec![0; 8], vmcoreinfo()].concat();
    let end = file.len() as u16;
    targets::notes::check(&targets::notes::encode(false, &[(0, 8), (8, end - 8)], &file));
}

#[test]
fn a_bad_sector_after_a_note_does_not_cost_the_note() {
    let mut file = vmcoreinfo();
    let end = file.len() as u16;
    file.resize(2048, 0);
    let mut bytes = targets::notes::encode(false, &[(0, end), (1024, 24)], &file);
    bytes[0] |= targets::notes::BAD;
    bytes[10..13].copy_from_slice(&[0, 4, 1]);
    targets::notes::check(&bytes);
}

#[test]
fn a_note_segment_that_ends_beyond_2_to_the_64_is_damage_and_gives_no_bytes() {
    // 0xf000 stands for 2^64 - 1.
    targets::notes::check(&targets::notes::encode(false, &[(0xf000, 8)], &[]));
}

#[test]
fn a_thousand_small_note_segments_do_not_cost_a_thousand_large_reads() {
    let mut core = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64);
    for _ in 0..1000 {
        core = core.raw_notes(Note::new("X", 1, vec![1, 2, 3, 4]).encode(Endian::Little));
    }
    targets::elf::check(&core.load(Load::new(0, vec![1; 100])).build());
}

#[test]
fn an_empty_vmcoreinfo_is_none_and_hides_none() {
    let none = Note::vmcoreinfo("").encode(Endian::Little);
    let file =
        [none.clone(), Note::new("ERASEINFO", 0, vec![]).encode(Endian::Little), vmcoreinfo()];
    let file = file.concat();
    targets::notes::check(&targets::notes::encode(false, &[(0, file.len() as u16)], &file));
    let core = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64);
    targets::elf::check(&core.raw_notes(none).load(Load::new(0, vec![1; 100])).build());
}

#[test]
fn notes_after_the_pages_cost_a_pipe_no_page() {
    let core = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64);
    // Too short for a note, so no code examines it before it is copied.
    let mut core =
        core.load(Load::new(0, vec![1; 200_000])).raw_notes(vec![0; 8]).notes_last().build();
    core[targets::elf::CHOICE_AT + 1] = targets::elf::STREAM;
    targets::elf::check(&core);
}

/// A byte of each bitmap, a descriptor, and a byte far after them: the rest of 16 GiB is gaps.
#[test]
fn a_flattened_file_that_claims_the_largest_memory_takes_no_time() {
    let pages = 1_u64 << 36;
    let half = pages / 8;
    let (mut main, sub) = (b"KDUMP   \x06\0\0\0".to_vec(), 4096);
    for name in ["Linux", "host", "6.1.0", "#1", "x86_64", ""] {
        main.extend(name.as_bytes());
        main.resize(main.len().next_multiple_of(65) + 12, 0);
    }
    main.truncate(402);
    main.resize(424, 0);
    main[408] = 1;
    for int in [0, 4096, 1, (2 * half / 4096) as u32, u32::MAX, 0, 0, 0, 0, 1] {
        main.extend(int.to_le_bytes());
    }
    let mut sub_header = vec![0; 104];
    sub_header[96..].copy_from_slice(&pages.to_le_bytes());
    let table = 8192 + 2 * half;
    let mut descriptor = (table + 24).to_le_bytes().to_vec();
    descriptor.extend([0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let parts: [(u64, &[u8]); 6] = [
        (0, &main),
        (sub, &sub_header),
        (8192, &[1]),
        (8192 + half, &[1]),
        (table, &descriptor),
        (1 << 40, &[1]),
    ];
    let bytes = seeds::stream(&parts, true);
    let start = std::time::Instant::now();
    let dump = Dump::open(Box::new(targets::Input::new(&bytes)), &OpenOptions::default()).unwrap();
    assert_eq!(dump.counts(), (1, 1));
    assert_eq!(dump.max_mapnr(), pages);
    let time = start.elapsed();
    assert!(time < std::time::Duration::from_secs(3), "{time:?}");
}

#[test]
fn offsets_near_2_to_the_64_are_out_of_range() {
    for seed in seeds::of("dmesg") {
        let text = String::from_utf8_lossy(&seed).into_owned();
        for (at, _) in text.match_indices("OFFSET(") {
            let from = at + text[at..].find('=').unwrap() + 1;
            let to = from + text[from..].find('\n').unwrap();
            let (from, to) = (find(&seed, &text[at..from]), to - from);
            for less in 0..12 {
                let mut bytes = seed.clone();
                let number = (u64::MAX - less).to_string();
                bytes.splice(from..from + to, number.bytes());
                let size = u16::from_le_bytes([bytes[4], bytes[5]]) as usize + number.len() - to;
                bytes[4..6].copy_from_slice(&(size as u16).to_le_bytes());
                targets::dmesg::check(&bytes);
            }
        }
    }
}

/// The offset after `text` in `bytes`.
fn find(bytes: &[u8], text: &str) -> usize {
    let is_there = |part: &[u8]| part == text.as_bytes();
    bytes.windows(text.len()).position(is_there).unwrap() + text.len()
}

#[test]
fn records_that_share_their_text_do_not_multiply_it() {
    let [ring, records] = seeds::overlapping_logs().try_into().unwrap();
    let text = targets::dmesg::look(&ring);
    assert!(text.starts_with("[    "), "{text}");
    // Of these none has room for its text.
    assert_eq!(targets::dmesg::look(&records), "");
}

#[test]
fn an_end_marker_of_lzo_may_give_any_length() {
    target("decode")(b"\x01\x01\x12\x00 \x1e\x00\x00\x12\x00\x00");
}
