//! VMCOREINFO of any bytes: every look-up gives the value of the first line with its key, or
//! nothing.

use kdumpconv::Vmcoreinfo;

/// Keys that the library looks up, whatever the text has.
const KEYS: [&str; 8] = [
    "OSRELEASE",
    "PAGESIZE",
    "CRASHTIME",
    "SYMBOL(init_uts_ns)",
    "OFFSET(uts_namespace.name)",
    "NUMBER(phys_base)",
    "NUMBER(PHYS_OFFSET)",
    "",
];

/// Maximum number of lines whose keys are compared: each is searched in all others.
const MOST_LINES: usize = 300;

pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let info = Vmcoreinfo::parse(bytes);
    let lines: Vec<(&str, &str)> =
        text.split('\n').take(MOST_LINES).filter_map(|line| line.split_once('=')).collect();
    for key in KEYS.into_iter().chain(lines.iter().map(|(key, _)| *key)) {
        let whole = text.split('\n').filter_map(|line| line.split_once('='));
        let first = whole.into_iter().find(|(other, _)| *other == key).map(|(_, value)| value);
        let said = info.get(key);
        // NULs may fill the note's page, and blanks may end a line.
        let bare =
            |value: &str| value.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned();
        assert_eq!(said.map(bare), first.map(bare), "{key:?}");
        numbers(&info, key, said);
    }
    only_the_first_of_a_key_counts(bytes, &info, &lines);
}

/// A number that is parsed is one that is written there, in the notation of its kind.
fn numbers(info: &Vmcoreinfo, key: &str, said: Option<&str>) {
    let plain = |text: &str| text.trim_start_matches(['+', '0']).to_ascii_lowercase();
    let same = |number: String, text: &str| assert_eq!(plain(&number), plain(text), "{key}");
    let name = |kind: &str| key.strip_prefix(kind).and_then(|rest| rest.strip_suffix(")"));
    let said_text = said.unwrap_or_default();
    if let Some(name) = name("SYMBOL(") {
        if let Some(address) = info.symbol(name) {
            same(format!("{address:x}"), said_text);
        }
    }
    if let Some(name) = name("OFFSET(") {
        if let Some(offset) = info.offset(name) {
            same(offset.to_string(), said_text);
        }
    }
    if let Some(name) = name("NUMBER(") {
        match (info.number(name), said_text.strip_prefix("0x")) {
            (Some(number), Some(hex)) => same(format!("{number:x}"), hex),
            (Some(number), None) if said_text.starts_with('-') => {
                let magnitude = number.wrapping_neg();
                same(magnitude.to_string(), said_text.trim_start_matches('-'));
                assert!(magnitude <= 1 << 63, "{said_text} is beyond 64 bits");
            }
            (Some(number), None) => same(number.to_string(), said_text),
            (None, _) => {}
        }
    }
    if key == "PAGESIZE" {
        let right = said_text.parse::<u64>().ok();
        assert_eq!(info.page_size(), right);
    }
}

/// Lines after the text change nothing; lines before it hide later ones with the same key.
fn only_the_first_of_a_key_counts(bytes: &[u8], info: &Vmcoreinfo, lines: &[(&str, &str)]) {
    let repeated: String = lines.iter().map(|(key, _)| format!("{key}=another\n")).collect();
    let behind = Vmcoreinfo::parse(&[bytes, b"\nno line of ours\n", repeated.as_bytes()].concat());
    let before = Vmcoreinfo::parse(&[repeated.as_bytes(), bytes].concat());
    for (key, _) in lines {
        assert_eq!(behind.get(key), info.get(key), "{key:?} behind");
        assert_eq!(before.get(key), Some("another"), "{key:?} before");
    }
    for key in KEYS {
        let was = info.get(key);
        assert_eq!(behind.get(key), was, "{key}");
        if was.is_none() {
            assert_eq!(before.get(key), None, "{key}");
        }
    }
}
