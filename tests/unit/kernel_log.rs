//! The kernel log is read in each of its three forms, for every word size and byte order. Damage
//! costs only the damaged records.

mod clear;
mod damage;

use std::ops::ControlFlow;

use crate::unit_tests::world::{World, chain};
use kdumpconv::Architecture;
use kdumpconv::Vmcoreinfo;
use kdumpconv::kernel::Error;
use kdumpconv::kernel::log::{self, Caller, LogReport, PanicFinder, PrintOptions, Start};
use proptest::prelude::*;
use support::elf::Endian;
use support::machine::{PageTables, Paging};
use support::printk::{LogImage, Logged, Records, Ring, State, Words, chars_image};

const LE64: Words = Words { long: 8, endian: Endian::Little };
const BE64: Words = Words { long: 8, endian: Endian::Big };
const LE32: Words = Words { long: 4, endian: Endian::Little };
const ALL_WORDS: [Words; 3] = [LE64, BE64, LE32];

/// The start of the log: in the linear map, at physical address 4 MiB.
const PADDR: u64 = 0x40_0000;

/// The start of the linear map of a kernel with this word size.
fn linear(words: Words) -> u64 {
    match words {
        LE64 => 0xffff_ffff_8000_0000,
        LE32 => 0xc000_0000,
        _ => 0,
    }
}

fn base(words: Words) -> u64 {
    linear(words) + PADDR
}

/// A kernel with this log in its memory, mapped page by page.
fn world(words: Words, image: &LogImage) -> World {
    let (arch, paging, own) = match words {
        LE64 => {
            let own = "SYMBOL(swapper_pg_dir)=ffffffff80100000\nNUMBER(phys_base)=0\n";
            (Architecture::X86_64, Paging::X86_64 { levels: 4, encrypted: 0 }, own)
        }
        LE32 => {
            let own = "SYMBOL(swapper_pg_dir)=c0100000\nCONFIG_X86_PAE=y\n";
            (Architecture::I386, Paging::I386Pae, own)
        }
        _ => (Architecture::S390x, Paging::S390 { tables: 2 }, "SYMBOL(swapper_pg_dir)=100000\n"),
    };
    let mut world = World::new(arch, 4096, &format!("{own}{}", image.vmcoreinfo));
    let memory = &mut world.machine.memory;
    let mut tables = PageTables::new(memory, paging, 0x10_0000, 0x12_0000);
    let last = paging.levels().len() - 1;
    tables.map(memory, linear(words) + 0x10_0000, 0x10_0000, last);
    for (vaddr, bytes) in &image.parts {
        memory.write(vaddr - linear(words), bytes);
        for page in vaddr / 4096..=(vaddr + bytes.len() as u64) / 4096 {
            tables.map(memory, page * 4096, page * 4096 - linear(words), last);
        }
    }
    world
}

/// The result of reading a log.
fn read(world: &World) -> (Vec<Logged>, LogReport) {
    read_from(world, Start::Oldest)
}

fn read_from(world: &World, start: Start) -> (Vec<Logged>, LogReport) {
    let mut found = Vec::new();
    let ended = log::read(&world.kernel(), start, &mut |record| {
        found.push(Logged {
            ts_nsec: record.ts_nsec.unwrap_or(u64::MAX),
            caller_id: match record.caller {
                None => u32::MAX,
                Some(Caller::Task(pid)) => pid,
                Some(Caller::Cpu(cpu)) => cpu | 1 << 31,
            },
            level: record.level.unwrap_or(u8::MAX),
            facility: record.facility.unwrap_or(u8::MAX),
            text: record.text.to_vec(),
        });
        ControlFlow::Continue(())
    });
    (found, ended.unwrap_or_else(|why| panic!("{}", chain(&why))))
}

fn complaint(world: &World) -> String {
    chain(
        &log::read(&world.kernel(), Start::Oldest, &mut |_| ControlFlow::Continue(())).unwrap_err(),
    )
}

fn logged(text: &[u8], nth: u64) -> Logged {
    Logged {
        ts_nsec: nth * 1_234_567_891,
        caller_id: if nth % 3 == 0 { 1 << 31 | nth as u32 } else { nth as u32 },
        level: (nth % 8) as u8,
        facility: (nth % 24) as u8,
        text: text.to_vec(),
    }
}

/// Every form of log, with the same three records.
fn every_form(words: Words) -> Vec<(&'static str, LogImage)> {
    let texts: [&[u8]; 3] = [b"Linux version 6.1", b"two\nlines", b"sysrq: Trigger a crash"];
    let mut ring = Ring::new(words, 3, 10);
    let mut records = Records::new(words, 1024, "printk_log", true);
    for (nth, text) in texts.into_iter().enumerate() {
        ring.push(logged(text, nth as u64), State::Finalized);
        records.push(logged(text, nth as u64), b"");
    }
    let text = b"<6>Linux version 2.6\n<4>second\n";
    vec![
        ("ring", ring.image(base(words))),
        ("records", records.image(base(words))),
        ("chars", chars_image(words, 1024, text, base(words))),
    ]
}

#[test]
fn a_ring_that_has_wrapped_gives_all_its_records() {
    for words in ALL_WORDS {
        for pushes in [0, 1, 7, 8, 9, 50, 1000] {
            let mut ring = Ring::new(words, 3, 8);
            for nth in 0..pushes {
                let text = vec![b'a' + (nth % 26) as u8; (nth * 7 % 40) as usize];
                ring.push(logged(&text, nth), State::Finalized);
            }
            let world = world(words, &ring.image(base(words)));
            let (found, ended) = read(&world);
            assert_eq!(found, ring.expected(), "{words:?} {pushes}");
            let records = found.len() as u64;
            assert_eq!(ended, LogReport { records, ..LogReport::default() });
            assert_eq!(found.is_empty(), pushes == 0);
        }
    }
}

#[test]
fn only_the_written_part_of_a_ring_is_read() {
    for words in ALL_WORDS {
        let mut ring = Ring::new(words, 4, 10);
        let states = [State::Reserved, State::Committed, State::Finalized, State::Reusable];
        for (nth, state) in states.into_iter().enumerate() {
            ring.push(logged(format!("{state:?}").as_bytes(), nth as u64), state);
        }
        ring.push(logged(&[b'x'; 600], 9), State::Finalized);
        let (found, _) = read(&world(words, &ring.image(base(words))));
        let texts: Vec<_> = found.iter().map(|logged| logged.text.as_slice()).collect();
        assert_eq!(texts, [&b"Committed"[..], b"Finalized"], "no room for the last: no text");
    }
}

#[test]
fn a_text_that_is_longer_than_its_block_is_not_shown() {
    for words in ALL_WORDS {
        let mut ring = Ring::new(words, 3, 8);
        ring.push(logged(b"short", 1), State::Finalized);
        let room = 5_usize.next_multiple_of(words.long) as u16;
        for (text_len, is_shown) in [(room, true), (room + 1, false), (u16::MAX, false)] {
            ring.claim_text_len(text_len);
            let (found, ended) = read(&world(words, &ring.image(base(words))));
            assert_eq!((found.len(), ended.lost), (is_shown.into(), (!is_shown).into()));
            let why = format!("its text of {text_len} bytes does not fit into its block");
            assert_eq!(ended.why.is_some_and(|found| found.contains(&why)), !is_shown);
        }
    }
}

#[test]
fn a_block_may_end_where_the_ring_ends() {
    // A kernel that does not move the block to the start: positions 192 to 256 of a ring of 256
    // bytes.
    let mut ring = Ring::new(LE64, 3, 8);
    ring.push(logged(&[b'z'; 56], 1), State::Finalized);
    let mut image = ring.image(base(LE64));
    let descs = &mut image.parts[2].1;
    let id = state_of(descs) & (u64::MAX >> 2);
    let block = [&[0; 192][..], &id.to_le_bytes(), &[b'e'; 56]].concat();
    image.parts[4].1 = block;
    let descs = &mut image.parts[2].1;
    descs[8..16].copy_from_slice(&192u64.to_le_bytes());
    descs[16..24].copy_from_slice(&256u64.to_le_bytes());
    let (found, ended) = read(&world(LE64, &image));
    assert_eq!(ended, LogReport { records: 1, ..LogReport::default() });
    assert_eq!(found[0].text, [b'e'; 56]);
}

/// What must be read of records, of which some have no caller.
fn expected_of(records: &Records) -> Vec<Logged> {
    let id = |logged: &Logged| if records.has_caller { logged.caller_id } else { u32::MAX };
    records.expected().into_iter().map(|l| Logged { caller_id: id(&l), ..l }).collect()
}

/// state_var of a descriptor.
fn state_of(desc: &[u8]) -> u64 {
    u64::from_le_bytes(desc[..8].try_into().unwrap())
}

#[test]
fn old_records_are_read_after_the_buffer_has_wrapped() {
    for words in ALL_WORDS {
        for (name, has_caller) in [("printk_log", true), ("printk_log", false), ("log", false)] {
            for pushes in [0, 1, 10, 300] {
                let mut records = Records::new(words, 1024, name, has_caller);
                for nth in 0..pushes {
                    let text = vec![b'a' + (nth % 26) as u8; (nth * 11 % 90) as usize];
                    let dict = &b"SUBSYSTEM=pci\0DEVICE=+pci"[..(nth % 25) as usize];
                    records.push(logged(&text, nth), dict);
                }
                let (found, ended) = read(&world(words, &records.image(base(words))));
                let expected: Vec<Logged> = records
                    .expected()
                    .into_iter()
                    .map(|logged| Logged {
                        caller_id: if has_caller { logged.caller_id } else { u32::MAX },
                        level: if name == "log" { u8::MAX } else { logged.level },
                        facility: if name == "log" { u8::MAX } else { logged.facility },
                        ..logged
                    })
                    .collect();
                assert_eq!(found, expected, "{words:?} {name} {pushes}");
                assert_eq!(ended.lost, 0);
            }
        }
    }
}

#[test]
fn the_oldest_log_is_read_line_by_line() {
    for words in ALL_WORDS {
        let text: String =
            (0..300).map(|nth| format!("<{}>[    {nth}.0] line {nth}\n", nth % 8)).collect();
        // The whole buffer, and its end after it has wrapped.
        for bytes in [16384, 1024] {
            let image = chars_image(words, bytes, text.as_bytes(), base(words));
            let (found, ended) = read(&world(words, &image));
            let kept = &text[text.len().saturating_sub(bytes)..];
            let lines: Vec<&str> = kept.lines().collect();
            assert_eq!(found.len(), lines.len());
            assert_eq!(ended.records, lines.len() as u64);
            for (found, line) in found.iter().zip(lines).skip(1) {
                let (level, text) = line[1..].split_once('>').unwrap();
                assert_eq!(found.level.to_string(), level);
                assert_eq!(found.text, text.as_bytes());
            }
        }
    }
}

fn printed(world: &World, caller: bool) -> String {
    let mut out = Vec::new();
    log::print(&world.kernel(), &mut out, PrintOptions { caller, ..PrintOptions::default() })
        .unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_log_is_printed_as_crash_and_dmesg_print_it() {
    let mut ring = Ring::new(LE64, 4, 12);
    let mut push = |ts_nsec: u64, caller_id: u32, text: &[u8]| {
        let logged = Logged { ts_nsec, caller_id, level: 6, facility: 0, text: text.to_vec() };
        ring.push(logged, State::Finalized);
    };
    push(0, 0, b"Linux version 6.1.0");
    push(1_999_999_999, 1, b"first\nsecond\n\tthird");
    push(123_456_789_012_345, 1 << 31 | 3, b"");
    push(2, 4_194_304, b"\x1b[2Jclear \xc3\xa9\r\x00\x7f\\");
    let world = world(LE64, &ring.image(base(LE64)));
    assert_eq!(
        printed(&world, false),
        "[    0.000000] Linux version 6.1.0\n\
         [    1.999999] first\n\
         \u{20}              second\n\
         \u{20}              \tthird\n\
         [123456.789012] \n\
         [    0.000000] \\x1b[2Jclear \\xc3\\xa9\\x0d\\x00\\x7f\\\n"
    );
    assert_eq!(
        printed(&world, true),
        "[    0.000000][    T0] Linux version 6.1.0\n\
         [    1.999999][    T1] first\n\
         \u{20}                      second\n\
         \u{20}                      \tthird\n\
         [123456.789012][    C3] \n\
         [    0.000000][T4194304] \\x1b[2Jclear \\xc3\\xa9\\x0d\\x00\\x7f\\\n"
    );
}

#[test]
fn a_log_without_times_is_printed_without() {
    let image = chars_image(LE64, 1024, b"<6>[    0.1] one\n<4>two\nlast", base(LE64));
    assert_eq!(printed(&world(LE64, &image), true), "[    0.1] one\ntwo\nlast\n");
}

#[test]
fn writing_fails_with_the_writers_error() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for (form, image) in every_form(LE64) {
        let world = world(LE64, &image);
        let error = log::print(&world.kernel(), &mut Full, PrintOptions::default()).unwrap_err();
        let log::PrintError::Write(why) = error else { panic!("{form}: {error}") };
        assert_eq!(why.kind(), std::io::ErrorKind::StorageFull);
    }
}

#[test]
fn what_is_missing_from_vmcoreinfo_is_named() {
    for words in ALL_WORDS {
        let own = world(words, &LogImage::default());
        assert_eq!(complaint(&own), "VMCOREINFO has neither SYMBOL(prb) nor SYMBOL(log_buf)");
        for (form, image) in every_form(words) {
            let lines: Vec<&str> = image.vmcoreinfo.lines().collect();
            for without in &lines {
                let key = without.split('=').next().unwrap();
                let rest: Vec<&str> =
                    lines.iter().copied().filter(|line| line != without).collect();
                let info = format!("{}\n", rest.join("\n"));
                let world = world(words, &LogImage { vmcoreinfo: info, ..image.clone() });
                let optional = ["caller_id", "dict_len", "atomic_long_t", "printk_info.seq"];
                let is_of_clear = ["clear_", "latched_seq"].iter().any(|part| key.contains(part));
                if is_of_clear {
                    continue;
                }
                if optional.iter().any(|part| key.contains(part)) {
                    assert!(!read(&world).0.is_empty(), "{form} without {key}");
                    continue;
                }
                let why = complaint(&world);
                assert!(why.starts_with("VMCOREINFO has n"), "{form} without {key}: {why}");
                assert!(why.contains(key), "{form} without {key}: {why}");
            }
        }
    }
    let both = World::new(Architecture::X86_64, 4096, "SYMBOL(log_buf)=1");
    assert_eq!(
        complaint(&both),
        "VMCOREINFO has neither SYMBOL(log_first_idx) nor SYMBOL(log_end)"
    );
}

#[test]
fn a_kernel_that_cannot_be_translated_says_so() {
    let mut world = world(LE64, &every_form(LE64)[0].1);
    world.info = Vmcoreinfo::parse(b"SYMBOL(prb)=1");
    let error =
        log::read(&world.kernel(), Start::Oldest, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, Error::NoTranslation(_)), "{error}");
}

#[test]
fn a_missing_page_of_text_costs_only_its_records() {
    let mut ring = Ring::new(LE64, 6, 14);
    for nth in 0..40 {
        ring.push(logged(&[b'a' + (nth % 26) as u8; 248], nth), State::Finalized);
    }
    let image = ring.image(base(LE64));
    let mut world = world(LE64, &image);
    // Texts of 256 bytes with their ids; then the page that begins within them, and all of them.
    let data = image.parts[4].0 - linear(LE64);
    world.machine.memory.forget(data / 4096 * 4096 + 4096);
    let (found, ended) = read(&world);
    let expected = ring.expected();
    assert_eq!(found.len() + ended.lost as usize, expected.len());
    assert!((16..=17).contains(&ended.lost), "{ended:?}");
    assert!(found.iter().all(|found| expected.contains(found)));
    let why = ended.why.unwrap();
    assert!(why.ends_with("cannot be read: the dump has no memory there"), "{why}");
}

#[test]
fn sizes_beyond_all_memory_are_refused() {
    for words in ALL_WORDS {
        for (member, offset) in [("count_bits", 0), ("size_bits", 6 * words.long)] {
            for bits in [20u8, 31, 40, 63, 64, 255] {
                let mut image = every_form(words)[0].1.clone();
                let at = if words.endian == Endian::Little { offset } else { offset + 3 };
                image.parts[1].1[at] = bits;
                let why = complaint(&world(words, &image));
                assert!(why.contains(member) && why.contains("memory"), "{bits}: {why}");
            }
        }
        for form in 1..3 {
            let mut image = every_form(words)[form].1.clone();
            image.parts[1].1.fill(0xff);
            let why = complaint(&world(words, &image));
            assert!(why.starts_with("log_buf_len: 4294967295 bytes are more than"), "{why}");
        }
    }
}

#[test]
fn ids_that_span_more_than_the_ring_are_reported_and_the_newest_are_read() {
    let mut ring = Ring::new(LE64, 3, 10);
    for nth in 0..8 {
        ring.push(logged(b"text", nth), State::Finalized);
    }
    let mut image = ring.image(base(LE64));
    image.parts[1].1[32..40].fill(0);
    let (found, ended) = read(&world(LE64, &image));
    assert_eq!(found, ring.expected());
    assert_eq!(ended.lost, 1);
    assert!(ended.why.unwrap().ends_with("are more than the ring's 8 descriptors"));
}

#[test]
fn old_records_in_a_circle_end() {
    let mut records = Records::new(LE64, 1024, "printk_log", false);
    records.push(logged(b"first", 1), b"");
    records.push(logged(b"second", 2), b"");
    let first_bytes = records.image(0).parts[4].1[8];
    for next in [0xfff0u32, 4] {
        let mut image = records.image(base(LE64));
        image.parts[3].1 = next.to_le_bytes().to_vec();
        // The rest of the buffer is a sequence of records.
        let buffer = &mut image.parts[4].1;
        for at in (usize::from(first_bytes) * 2..1008).step_by(16) {
            buffer[at + 8] = 16;
        }
        let (found, ended) = read(&world(LE64, &image));
        assert!(found.len() <= 64, "{}", found.len());
        assert_eq!(ended.lost, 1, "{ended:?}");
    }
    // A record of length 0 at the start points to itself.
    let mut image = records.image(base(LE64));
    image.parts[4].1[8] = 0;
    let (found, ended) = read(&world(LE64, &image));
    assert_eq!((found, ended.lost), (expected_of(&records)[1..].to_vec(), 1));
    // Nothing leads to the end.
    let mut image = records.image(base(LE64));
    image.parts[2].1 = u32::from(first_bytes).to_le_bytes().to_vec();
    image.parts[3].1 = 999u32.to_le_bytes().to_vec();
    let (found, ended) = read(&world(LE64, &image));
    assert_eq!((found, ended.lost), (expected_of(&records)[1..].to_vec(), 1));
    assert!(ended.why.unwrap().contains("its header is empty; 9"));
}

#[test]
fn overlapping_texts_end_when_they_exceed_the_ring() {
    let mut ring = Ring::new(LE64, 6, 9);
    for nth in 0..64 {
        ring.push(logged(b"", nth), State::Finalized);
    }
    let mut image = ring.image(base(LE64));
    // Each of them claims 128 bytes, of which eight are its own.
    for nth in 0..40 {
        let begin = nth * 8;
        let desc = &mut image.parts[2].1[nth * 24..][..24];
        let id = state_of(desc) & (u64::MAX >> 2);
        desc[8..16].copy_from_slice(&(begin as u64).to_le_bytes());
        desc[16..24].copy_from_slice(&(begin as u64 + 136).to_le_bytes());
        image.parts[3].1[nth * 88 + 16] = 128;
        image.parts[4].1[begin..begin + 8].copy_from_slice(&id.to_le_bytes());
    }
    let (found, ended) = read(&world(LE64, &image));
    assert_eq!((found.len(), ended.lost), (4, 1));
    assert!(ended.why.unwrap().ends_with("the texts are larger than their ring"));
}

#[test]
fn a_ring_whose_descriptors_are_missing_is_given_up() {
    let ring = Ring::new(LE64, 17, 8);
    let mut image = ring.image(base(LE64));
    let descs = image.parts.remove(2).0 - linear(LE64);
    image.parts[1].1[24..40]
        .copy_from_slice(&[&[0xff, 0xff, 1, 0, 0, 0, 0, 0][..], &[0; 8]].concat());
    let (found, ended) = read(&world(LE64, &image));
    assert_eq!(found, []);
    assert_eq!(ended.lost, 65536);
    assert!(
        ended.why.unwrap().contains("record 0x0: virtual address 0xffffffff8040"),
        "{descs:#x}"
    );
}

#[test]
fn an_old_record_never_reaches_into_the_next() {
    let mut records = Records::new(LE64, 1024, "printk_log", false);
    records.push(logged(b"first", 1), b"");
    records.push(logged(b"second", 2), b"");
    let mut image = records.image(base(LE64));
    image.parts[4].1[10] = 0xff;
    let (found, ended) = read(&world(LE64, &image));
    assert_eq!(found, expected_of(&records)[1..]);
    assert_eq!(
        ended.why.unwrap(),
        "record at index 0x0: it has 24 bytes, its header, text and dictionary 271; 24 bytes are \
         stepped over"
    );
}

fn panic_of(texts: &[(u64, &[u8])]) -> log::Panic {
    let mut finder = PanicFinder::default();
    for &(seconds, text) in texts {
        finder.look(&log::Record {
            ts_nsec: Some(seconds * 1_000_000_000),
            caller: None,
            level: None,
            facility: None,
            text,
        });
    }
    finder.finish()
}

#[test]
fn the_panic_and_what_led_to_it_are_found() {
    let found = panic_of(&[
        (1, b"Linux version 6.1"),
        (5, b"BUG: kernel NULL pointer dereference, address: 0000000000000000"),
        (5, b"Oops: 0002 [#1] PREEMPT SMP"),
        (90, b"BUG: unable to handle page fault for address: ffffc90000000000"),
        (90, b"#PF: supervisor write access\nOops: 0002 [#2] PREEMPT SMP"),
        (90, b"Kernel panic - not syncing: Fatal exception"),
        (91, b"BUG: scheduling while atomic"),
        (91, b"Kernel panic - not syncing: again"),
    ]);
    assert_eq!(
        found.cause.unwrap(),
        "BUG: unable to handle page fault for address: ffffc90000000000"
    );
    assert_eq!(found.message.unwrap(), "Kernel panic - not syncing: Fatal exception");
    let quiet = panic_of(&[(1, b"Linux version"), (2, b"not a Kernel panic - not syncing: x")]);
    assert_eq!(quiet, log::Panic::default());
    let sysrq = panic_of(&[(1, b"sysrq: Trigger a crash")]);
    assert_eq!(sysrq.cause.unwrap(), "sysrq: Trigger a crash");
    let escape = panic_of(&[(1, b"Oops: \x1b[31m")]);
    assert_eq!(escape.cause.unwrap(), "Oops: \\x1b[31m");
}

fn texts() -> impl Strategy<Value = Vec<(Vec<u8>, u8)>> {
    let text = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..40),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ];
    prop::collection::vec((text, 0u8..8), 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_was_logged_is_read(
        which in 0usize..3,
        count_bits in 1u32..7,
        size_bits in 6u32..12,
        texts in texts(),
    ) {
        let words = ALL_WORDS[which];
        let mut ring = Ring::new(words, count_bits, size_bits);
        let mut records = Records::new(words, 1 << (size_bits.max(9)), "printk_log", true);
        for (nth, (text, state)) in texts.iter().enumerate() {
            let state = match state {
                0 => State::Reserved,
                1 => State::Committed,
                _ => State::Finalized,
            };
            ring.push(logged(text, nth as u64), state);
            records.push(logged(text, nth as u64), &[]);
        }
        let (found, ended) = read(&world(words, &ring.image(base(words))));
        prop_assert_eq!(found, ring.expected());
        prop_assert_eq!(ended.lost, 0);
        let (found, ended) = read(&world(words, &records.image(base(words))));
        prop_assert_eq!(found, records.expected());
        prop_assert_eq!(ended.lost, 0);
    }

    #[test]
    fn a_log_with_flipped_bytes_ends_soon(
        which in 0usize..3,
        form in 0usize..3,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..24),
        hole in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let words = ALL_WORDS[which];
        let mut image = every_form(words)[form].1.clone();
        for (part, at, value) in flips {
            let part = part.index(image.parts.len());
            let bytes = &mut image.parts[part].1;
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let mut world = world(words, &image);
        if let Some(hole) = hole {
            let chunks: Vec<u64> = world.machine.memory.chunks().collect();
            world.machine.memory.forget(chunks[hole.index(chunks.len())]);
        }
        let mut records = 0u32;
        let mut bytes = 0;
        let _ = log::read(&world.kernel(), Start::Oldest, &mut |record| {
            records += 1;
            bytes += record.text.len();
            ControlFlow::Continue(())
        });
        // No more records than memory can hold with the smallest header, 16 bytes.
        prop_assert!(u64::from(records) <= world.machine.memory.bytes());
        prop_assert!(world.machine.reads.get() < 2_000_000);
    }
}
