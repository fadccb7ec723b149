//! The environment of a conversion may change only a timestamp in the output, and only on request.

use crate::process::{Folder, code, stderr};
use kdumpconv::Architecture;
use kdumpconv::fixtures::{Load, VmcoreBuilder, VmcoreinfoText};

/// Offsets of `tv_sec` in the main header of 64 and 32 bits.
const TV_SEC_64: usize = 408;
const TV_SEC_32: usize = 404;

/// A folder with a vmcore that has no crash time.
fn folder(arch: Architecture) -> Folder {
    let folder = Folder::new();
    let builder = VmcoreBuilder::new(arch)
        .vmcoreinfo(VmcoreinfoText::new("6.12.0-epoch", 4096))
        .load(Load::new(0..1 << 20))
        .page(7, b"seven");
    folder.write("vmcore", &builder.to_vec().unwrap());
    folder
}

fn convert(folder: &Folder, epoch: Option<&str>, arguments: &[&str]) -> Vec<u8> {
    let mut command = folder.command(&["--force", "--quiet"]);
    command.args(arguments).args(["vmcore", "out"]);
    if let Some(epoch) = epoch {
        command.env("SOURCE_DATE_EPOCH", epoch);
    }
    let output = command.output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    folder.read("out")
}

/// The offsets at which two files of one length differ.
fn differing(a: &[u8], b: &[u8]) -> Vec<usize> {
    assert_eq!(a.len(), b.len());
    (0..a.len()).filter(|&at| a[at] != b[at]).collect()
}

#[test]
fn source_date_epoch_is_the_timestamp_and_nothing_else() {
    let folder = folder(Architecture::X86_64);
    let without = convert(&folder, None, &[]);
    let one = convert(&folder, Some("1700000001"), &[]);
    let other = convert(&folder, Some("4886718345"), &[]);
    let tv_sec = |file: &[u8]| file[TV_SEC_64..TV_SEC_64 + 8].to_vec();
    assert_eq!(tv_sec(&without), [0; 8]);
    assert_eq!(tv_sec(&one), 1_700_000_001_u64.to_le_bytes());
    assert_eq!(tv_sec(&other), 0x1_2345_6789_u64.to_le_bytes());
    assert_eq!(differing(&without, &one), [408, 409, 410, 411]);
    assert_eq!(differing(&without, &other), [408, 409, 410, 411, 412]);

    let flat = |epoch| convert(&folder, Some(epoch), &["--format", "flat"]);
    let (one, other) = (flat("1"), flat("2"));
    let [at] = differing(&one, &other)[..] else { panic!("more than a byte") };
    assert_eq!((one[at], other[at]), (1, 2));
}

#[test]
fn a_32_bit_header_has_its_timestamp_too() {
    let folder = folder(Architecture::I386);
    let (one, other) = (convert(&folder, Some("1"), &[]), convert(&folder, Some("258"), &[]));
    assert_eq!(one[TV_SEC_32..TV_SEC_32 + 4], [1, 0, 0, 0]);
    assert_eq!(other[TV_SEC_32..TV_SEC_32 + 4], [2, 1, 0, 0]);
    assert_eq!(differing(&one, &other), [404, 405]);
}

#[test]
fn the_crash_time_of_a_vmcore_wins() {
    let folder = folder(Architecture::X86_64);
    let info = VmcoreinfoText::new("6.12.0-epoch", 4096).crash_time(1_600_000_000);
    let builder = VmcoreBuilder::new(Architecture::X86_64).vmcoreinfo(info);
    folder.write("vmcore", &builder.load(Load::new(0..4096)).to_vec().unwrap());
    let file = convert(&folder, Some("1700000001"), &[]);
    assert_eq!(file[TV_SEC_64..TV_SEC_64 + 8], 1_600_000_000_u64.to_le_bytes());
    assert!(file == convert(&folder, None, &[]));
}

#[test]
fn an_invalid_source_date_epoch_is_wrong_usage_and_nothing_is_written() {
    let folder = folder(Architecture::X86_64);
    for wrong in ["", "now", "-1", "1e9"] {
        let mut command = folder.command(&["vmcore", "out"]);
        let output = command.env("SOURCE_DATE_EPOCH", wrong).output().unwrap();
        assert_eq!(code(&output), 2, "{wrong:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("SOURCE_DATE_EPOCH"), "{}", stderr(&output));
        assert_eq!(folder.names(), ["vmcore"]);
    }
}

#[test]
fn no_name_path_user_or_time_zone_gets_into_the_output() {
    let folder = folder(Architecture::X86_64);
    let expected = convert(&folder, None, &["-z"]);
    let elsewhere = Folder::new();
    elsewhere.write("another name", &folder.read("vmcore"));
    let mut command = elsewhere.command(&["-z", "-j", "3", "another name", "another output"]);
    let output = command
        .env_clear()
        .envs([("HOSTNAME", "other"), ("USER", "other"), ("HOME", "/other"), ("TZ", "Asia/Tokyo")])
        .envs([("LC_ALL", "de_DE.UTF-8"), ("TMPDIR", "/nonexistent"), ("COLUMNS", "7")])
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(elsewhere.read("another output") == expected);
}
