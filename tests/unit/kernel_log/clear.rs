//! Reading from the last clear of the log on.

use super::*;
use support::printk::ClearSeq;

const FORMS: [ClearSeq; 3] = [
    ClearSeq::Plain,
    ClearSeq::Latched { counter: 6 },
    // A clear that was interrupted after it wrote the first number.
    ClearSeq::Latched { counter: 7 },
];

fn since_clear(words: Words, image: &LogImage) -> (Vec<Logged>, LogReport) {
    read_from(&world(words, image), Start::LastClear)
}

#[test]
fn only_what_came_after_the_last_clear_of_a_ring_is_read() {
    for words in ALL_WORDS {
        for (form, before, after) in FORMS
            .into_iter()
            .flat_map(|form| [0, 1, 5, 8, 20].map(|before| (form, before)))
            .flat_map(|(form, before)| [0, 1, 3, 8, 9, 30].map(|after| (form, before, after)))
        {
            let mut ring = Ring::new(words, 3, 10);
            ring.clear_form = form;
            (0..before).for_each(|nth| ring.push(logged(b"before", nth), State::Finalized));
            ring.clear();
            (0..after).for_each(|nth| ring.push(logged(b"after", nth), State::Finalized));
            let (found, ended) = since_clear(words, &ring.image(base(words)));
            let kept = ring.expected();
            let expected: Vec<Logged> =
                kept.iter().filter(|logged| logged.text == b"after").cloned().collect();
            assert_eq!(found, expected, "{words:?} {form:?} {before} {after}");
            assert_eq!(ended, LogReport { records: found.len() as u64, ..LogReport::default() });
            assert_eq!(read(&world(words, &ring.image(base(words)))).0, kept);
        }
    }
}

#[test]
fn only_what_came_after_the_last_clear_of_the_records_is_read() {
    for words in ALL_WORDS {
        for (before, after) in [0, 1, 5, 20, 21, 22, 23, 24, 25, 40]
            .into_iter()
            .flat_map(|before| (0..40).map(move |after| (before, after)))
        {
            let mut records = Records::new(words, 1024, "printk_log", true);
            let text = |kind: &str, nth: u64| format!("{kind} {}", "x".repeat(nth as usize % 5));
            for nth in 0..before {
                records.push(logged(text("before", nth).as_bytes(), 1 + nth), b"");
            }
            records.clear();
            for nth in 0..after {
                records.push(logged(text("after", nth).as_bytes(), 1 + before + nth), b"");
            }
            let (found, ended) = since_clear(words, &records.image(base(words)));
            let kept = records.expected();
            let is_after = |logged: &&Logged| before == 0 || logged.text.starts_with(b"after");
            let expected: Vec<Logged> = kept.iter().filter(is_after).cloned().collect();
            assert_eq!(found, expected, "{words:?} {before} {after}");
            assert_eq!(ended, LogReport { records: found.len() as u64, ..LogReport::default() });
        }
    }
}

/// `clear_idx` says nothing then: a record begins at 0 as well.
#[test]
fn records_that_were_never_cleared_are_all_read() {
    let mut records = Records::new(LE64, 1024, "printk_log", true);
    for nth in 0..100 {
        records.push(logged(b"text", nth), b"");
        let (found, _) = since_clear(LE64, &records.image(base(LE64)));
        assert_eq!(found, records.expected());
    }
}

#[test]
fn a_clear_in_a_gap_starts_at_the_gap() {
    let mut records = Records::new(LE64, 1024, "printk_log", true);
    (1..8).for_each(|nth| records.push(logged(b"text", nth), b""));
    for broken in 0..6 {
        let place = records.places()[broken].clone();
        records.clear_idx = Some(place.start);
        let mut image = records.image(base(LE64));
        image.parts[4].1[place.start + 8] = 0;
        let (found, ended) = since_clear(LE64, &image);
        // An index of 0 is that of a log that was never cleared.
        let first = if broken == 0 { 1 } else { broken + 1 };
        assert_eq!((found, ended.lost), (records.expected()[first..].to_vec(), 1));
        records.clear_idx = Some(records.places()[6].start);
        let mut image = records.image(base(LE64));
        image.parts[4].1[place.start + 8] = 0;
        let (found, ended) = since_clear(LE64, &image);
        assert_eq!((found, ended.lost), (records.expected()[6..].to_vec(), 0), "a gap before it");
    }
}

#[test]
fn characters_since_the_last_clear_are_counted() {
    let text = b"<6>first\n<6>second\n<6>third\n";
    for (count, lines) in [(0, 0), (9, 1), (19, 2), (28, 3), (1000, 3), (12, 2)] {
        let mut image = chars_image(LE64, 1024, text, base(LE64));
        image.vmcoreinfo += &format!("SYMBOL(logged_chars)={:x}\n", base(LE64) + 32);
        image.parts.push((base(LE64) + 32, (count as u32).to_le_bytes().to_vec()));
        let (found, ended) = since_clear(LE64, &image);
        assert_eq!(found.len(), lines, "{count}");
        assert_eq!((ended.lost, ended.start_unknown), (0, None));
    }
}

#[test]
fn all_is_read_if_the_place_of_the_last_clear_is_unknown() {
    for words in ALL_WORDS {
        let forms = every_form(words);
        for ((form, image), symbol) in forms.iter().zip(["clear_seq", "clear_idx", "logged_chars"])
        {
            let lines = image.vmcoreinfo.lines();
            let lines: Vec<&str> = lines.filter(|line| !line.contains(symbol)).collect();
            let vmcoreinfo = format!("{}\n", lines.join("\n"));
            let image = LogImage { vmcoreinfo, ..image.clone() };
            let (found, ended) = since_clear(words, &image);
            let (all, _) = read(&world(words, &image));
            assert_eq!(found, all, "{form}");
            let why = format!("VMCOREINFO has no SYMBOL({symbol})");
            assert_eq!((ended.lost, ended.start_unknown), (0, Some(why)));
        }
    }
}

#[test]
fn a_clear_beyond_the_newest_record_is_not_believed() {
    let mut ring = Ring::new(LE64, 3, 10);
    (0..20).for_each(|nth| ring.push(logged(b"text", nth), State::Finalized));
    for clear_seq in [21, 1000] {
        ring.clear_seq = clear_seq;
        let (found, ended) = since_clear(LE64, &ring.image(base(LE64)));
        assert_eq!(found, ring.expected());
        let why = format!("clear_seq: {clear_seq} is beyond the next record, 20");
        assert_eq!(ended.start_unknown, Some(why));
    }
    let mut records = Records::new(LE64, 1024, "printk_log", true);
    records.push(logged(b"text", 1), b"");
    records.clear_idx = Some(1025);
    let (found, ended) = since_clear(LE64, &records.image(base(LE64)));
    assert_eq!(found, records.expected());
    let why = "clear_idx: 0x401 is beyond log_buf (0x400 bytes)";
    assert_eq!(ended.start_unknown.as_deref(), Some(why));
}

#[test]
fn a_latch_without_its_offset_is_unknown() {
    let ring = Ring::new(LE64, 3, 10);
    let mut image = ring.image(base(LE64));
    image.vmcoreinfo = image.vmcoreinfo.replace("OFFSET(latched_seq.val)=8\n", "");
    let (_, ended) = since_clear(LE64, &image);
    let why = "VMCOREINFO has no OFFSET(latched_seq.val)";
    assert_eq!(ended.start_unknown.as_deref(), Some(why));
}
