//! Each field of each record is broken in turn: the others are read, none of them twice, and nothing
//! that was not logged.

use super::*;

/// What a field may become: flipped bits, and values that programs write by mistake.
fn values(old: &[u8]) -> Vec<Vec<u8>> {
    let bits = (0..old.len() * 8).map(|bit| {
        let mut new = old.to_vec();
        new[bit / 8] ^= 1 << (bit % 8);
        new
    });
    let fills = [0, 0xff, b'A', 0x10].map(|byte| vec![byte; old.len()]);
    bits.chain(fills).filter(|new| new != old).collect()
}

/// Numbered records, so that no two are alike.
fn numbered(nth: u64) -> Logged {
    let text = format!("record {nth} {}", "x".repeat(nth as usize * 7 % 23));
    Logged { ts_nsec: (nth + 1) * 1_000_000_007, ..logged(text.as_bytes(), nth) }
}

/// A log of records with dictionaries, that has wrapped after `pushes` if they are many.
fn records_of(words: Words, has_caller: bool, pushes: u64) -> Records {
    let mut records = Records::new(words, 1024, "printk_log", has_caller);
    for nth in 0..pushes {
        let dict = &b"SUBSYSTEM=pci\0DEVICE=+pci"[..(nth % 3) as usize * 9];
        records.push(numbered(nth), dict);
    }
    records
}

/// Asserts that all records but `broken` are found, and of that nothing but its own text, up to the
/// bytes after it that fill the record up.
fn assert_others(found: &[Logged], expected: &[Logged], broken: usize, case: &str) -> bool {
    let own = &expected[broken].text;
    let is_there = found.len() == expected.len();
    let mut others = found.to_vec();
    if is_there {
        let shown = others.remove(broken).text;
        let is_own =
            shown.starts_with(own) && shown.len() <= own.len() + 7 || own.starts_with(&shown);
        assert!(is_own, "{case}: {:?}", String::from_utf8_lossy(&shown));
    }
    let mut right = expected.to_vec();
    right.remove(broken);
    assert_eq!(others, right, "{case}");
    is_there
}

#[test]
fn a_broken_field_of_a_record_costs_that_record_at_most() {
    for (words, has_caller, pushes) in
        [(LE64, true, 12), (LE64, false, 40), (BE64, false, 90), (LE32, true, 61), (LE32, false, 7)]
    {
        let records = records_of(words, has_caller, pushes);
        let (expected, places) = (expected_of(&records), records.places());
        let image = records.image(base(words));
        let mut fields = vec![(0, 8), (8, 2), (10, 2), (12, 2), (14, 1), (15, 1)];
        if has_caller {
            fields.push((16, 4));
        }
        let mut unsaid = 0;
        for (broken, place) in places.iter().enumerate() {
            for &(offset, width) in &fields {
                let field = place.start + offset..place.start + offset + width;
                for new in values(&image.parts[4].1[field.clone()]) {
                    let mut image = image.clone();
                    image.parts[4].1[field.clone()].copy_from_slice(&new);
                    let (found, ended) = read(&world(words, &image));
                    let case = format!("{words:?} {pushes} {broken} {offset} {new:?} {ended:?}");
                    let is_there = assert_others(&found, &expected, broken, &case);
                    assert_eq!(ended.lost == 0, is_there, "{case}");
                    if let Some(why) = ended.why {
                        let at = format!("record at index {:#x}: ", place.start);
                        // A length that is wrong by its padding leads to beside the next record.
                        unsaid += u32::from(!why.starts_with(&at));
                    }
                }
            }
        }
        assert_eq!(unsaid, 0, "{words:?} {pushes}");
    }
}

#[test]
fn a_length_that_leads_beside_the_next_record_does_not_cost_that() {
    let mut records = Records::new(LE64, 1024, "printk_log", false);
    (0..5).for_each(|nth| records.push(logged(b"12345678", nth), b""));
    let mut image = records.image(base(LE64));
    // 24 bytes are full; 28 would be so with an alignment of 8.
    image.parts[4].1[24 + 8] = 28;
    let (found, ended) = read(&world(LE64, &image));
    assert_eq!(found.len(), 4, "{ended:?}");
    assert_eq!(ended.lost, 1);
}

#[test]
fn a_blank_page_in_the_records_costs_what_was_in_it() {
    for is_missing in [false, true] {
        let mut records = Records::new(LE64, 16384, "printk_log", false);
        // The buffer has wrapped; it is half a page into its first page.
        (0..600).for_each(|nth| records.push(numbered(nth), b""));
        let expected = expected_of(&records);
        let mut image = records.image(base(LE64));
        for page in 0..3 {
            let start = image.parts[4].0 - linear(LE64) + page * 4096;
            let mut world = world(LE64, &image);
            if is_missing {
                world.machine.memory.forget(start);
            } else {
                world.machine.memory.write(start, &[0; 4096]);
            }
            let (found, ended) = read(&world);
            let blank = page as usize * 4096..(page as usize + 1) * 4096;
            let is_hit =
                |place: &std::ops::Range<usize>| place.start < blank.end && blank.start < place.end;
            let right: Vec<Logged> = expected
                .iter()
                .zip(records.places())
                .filter(|(_, place)| !is_hit(place))
                .map(|(logged, _)| logged.clone())
                .collect();
            let is_other = |found: &&Logged| right.contains(found);
            let others: Vec<Logged> = found.iter().filter(is_other).cloned().collect();
            assert_eq!(others, right, "{page} {ended:?}");
            // Of the record that reaches into the page, the text may be blank; of that which reaches
            // out of it, the time.
            assert!(found.len() <= right.len() + 2);
            assert!(ended.lost > 0, "{page}");
        }
        image.parts.clear();
    }
}

#[test]
fn broken_indices_cost_no_record_twice() {
    for (words, pushes) in [(LE64, 12), (LE64, 90), (BE64, 61)] {
        let records = records_of(words, true, pushes);
        let image = records.image(base(words));
        let logged: Vec<Logged> = (0..pushes).map(numbered).collect();
        for part in [1, 2, 3] {
            for new in values(&image.parts[part].1) {
                let mut image = image.clone();
                image.parts[part].1 = new.clone();
                let world = world(words, &image);
                let mut last = None;
                let case = format!("{words:?} {pushes} {part} {new:?}");
                let _ = log::read(&world.kernel(), Start::Oldest, &mut |record| {
                    let at = logged.iter().position(|logged| logged.text == record.text);
                    assert!(at.is_some(), "{case}: {:?}", String::from_utf8_lossy(record.text));
                    // Without the index of the oldest, older remains may come first.
                    assert!(at > last, "{case}: {at:?} after {last:?}");
                    last = at;
                    ControlFlow::Continue(())
                });
            }
        }
    }
}

/// A ring of numbered records, which has wrapped after more than eight of them.
fn ring_of(words: Words, pushes: u64) -> Ring {
    let mut ring = Ring::new(words, 3, 10);
    (0..pushes).for_each(|nth| ring.push(numbered(nth), State::Finalized));
    ring
}

#[test]
fn a_broken_field_of_the_ring_costs_its_record_at_most() {
    for (words, pushes) in [(LE64, 5), (LE64, 30), (BE64, 8), (LE32, 21)] {
        let ring = ring_of(words, pushes);
        let expected = ring.expected();
        let image = ring.image(base(words));
        let long = words.long;
        // Part, offset, width of each field of a descriptor and an info.
        let fields = [
            (2, 0, long),
            (2, long, long),
            (2, 2 * long, long),
            (3, 0, 8),
            (3, 8, 8),
            (3, 16, 2),
            (3, 18, 1),
            (3, 19, 1),
            (3, 20, 4),
        ];
        for (broken, logged) in expected.iter().enumerate() {
            let index = (pushes as usize - expected.len() + broken) % 8;
            for (part, offset, width) in fields {
                let at = index * [3 * long, 88][part - 2] + offset;
                for new in values(&image.parts[part].1[at..at + width]) {
                    let mut image = image.clone();
                    image.parts[part].1[at..at + width].copy_from_slice(&new);
                    let (found, ended) = read(&world(words, &image));
                    let case = format!("{words:?} {pushes} {broken} {part} {offset} {new:?}");
                    let case = format!("{case}: {ended:?}");
                    let is_there = assert_others(&found, &expected, broken, &case);
                    // Another state, or no room for the text, is as right as that which it was.
                    let is_silent = part == 2 && ended.lost == 0;
                    assert_eq!(ended.lost == 0, is_there || is_silent, "{case}");
                    assert!(ended.lost <= 1, "{case}");
                }
            }
            // The id that the block of its text begins with.
            let text = &logged.text;
            let data = &image.parts[4].1;
            let at = (0..data.len()).find(|&at| data[at..].starts_with(text)).unwrap() - long;
            for new in values(&data[at..at + long]) {
                let mut image = image.clone();
                image.parts[4].1[at..at + long].copy_from_slice(&new);
                let (found, ended) = read(&world(words, &image));
                // The two highest bits are not of an id.
                if ended.lost == 0 {
                    assert_eq!(found, expected);
                    continue;
                }
                assert!(!assert_others(&found, &expected, broken, &format!("{new:?}")));
                let why = ended.why.unwrap();
                assert!(
                    why.contains("its text block, from ") && why.contains(" is that of record")
                );
            }
        }
    }
}

#[test]
fn broken_ids_of_the_ring_are_found_by_its_descriptors() {
    for (words, pushes) in [(LE64, 5), (LE64, 30), (BE64, 8), (LE32, 21), (LE64, 1)] {
        let ring = ring_of(words, pushes);
        let image = ring.image(base(words));
        for member in [3, 4] {
            let field = member * words.long..(member + 1) * words.long;
            for new in values(&image.parts[1].1[field.clone()]) {
                let mut image = image.clone();
                image.parts[1].1[field.clone()].copy_from_slice(&new);
                let (found, ended) = read(&world(words, &image));
                assert_eq!(found, ring.expected(), "{words:?} {pushes} {member} {new:?} {ended:?}");
                // The two highest bits are not of an id.
                let is_same = (new[0] ^ new[words.long - 1]) & 0x3f
                    == (image.parts[1].1[field.start] ^ image.parts[1].1[field.end - 1]) & 0x3f;
                assert!(ended.lost == 1 || is_same, "{new:?} {ended:?}");
            }
        }
    }
}

#[test]
fn descriptors_that_are_blank_between_others_are_said() {
    let ring = ring_of(LE64, 6);
    let mut image = ring.image(base(LE64));
    image.parts[2].1[24..72].fill(0);
    let (found, ended) = read(&world(LE64, &image));
    let right: Vec<Logged> = [0, 3, 4, 5].into_iter().map(numbered).collect();
    assert_eq!((found, ended.lost), (right, 2));
    assert_eq!(
        ended.why.unwrap(),
        "record 0x3ffffffffffffff9: its descriptor is as before it, that of a newer record is not"
    );
    // Of the newest, whoever moved the head may not have come to it yet.
    let mut image = ring.image(base(LE64));
    image.parts[2].1[5 * 24..6 * 24].fill(0);
    let (found, ended) = read(&world(LE64, &image));
    assert_eq!((found.len(), ended.lost), (5, 0));
}

#[test]
fn a_line_is_not_put_together_over_missing_characters() {
    let text: String = (0..900).map(|nth| format!("<6>line {nth}\n")).collect();
    for is_missing in [false, true] {
        let image = chars_image(LE64, 16384, text.as_bytes(), base(LE64));
        let mut world = world(LE64, &image);
        let page = image.parts[3].0 - linear(LE64) + 4096;
        if is_missing {
            world.machine.memory.forget(page / 4096 * 4096);
        } else {
            world.machine.memory.write(page, &[0; 4096]);
        }
        let (found, ended) = read(&world);
        assert_eq!(ended.lost, 1, "{ended:?}");
        let mut last = None;
        for found in &found {
            let line = String::from_utf8(found.text.clone()).unwrap();
            let is_whole = line.starts_with("line ") && text.contains(&format!("<6>{line}\n"));
            let nth = text.find(&line).unwrap();
            assert!(Some(nth) > last || !is_whole, "{line}");
            last = last.max(is_whole.then_some(nth));
        }
        assert!(found.len() > 500);
    }
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn records_that_are_not_hit_come_once_and_in_order(
        which in 0usize..3,
        pushes in 1u64..120,
        changes in changes(),
    ) {
        let words = ALL_WORDS[which];
        let records = records_of(words, true, pushes);
        let mut image = records.image(base(words));
        let buffer = &mut image.parts[4].1;
        for (at, value) in changes {
            let at = at.index(buffer.len());
            buffer[at] = value;
        }
        let original = records.image(base(words)).parts[4].1.clone();
        let changed: Vec<usize> =
            (0..1024).filter(|&at| original[at] != image.parts[4].1[at]).collect();
        let places = records.places();
        let is_hit = |nth: usize| changed.iter().any(|at| places[nth].contains(at));
        let expected = records.expected();
        let hit = (0..expected.len()).filter(|&nth| is_hit(nth)).count();
        let (found, _) = read(&world(words, &image));
        let mut last = None;
        let mut others = 0;
        for found in &found {
            match expected.iter().position(|logged| logged == found) {
                Some(nth) => {
                    prop_assert!(Some(nth) > last, "{nth} after {last:?}");
                    last = Some(nth);
                }
                None => others += 1,
            }
        }
        prop_assert!(others <= hit, "{others} of {hit} that were hit");
    }
}
