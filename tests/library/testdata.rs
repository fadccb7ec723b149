//! The vmcore in the repository is what its builder builds, and it converts.
use std::path::Path;

use kdumpconv::FlattenedSink;
use kdumpconv::Input;
use kdumpconv::{Dump, OpenOptions};
use support::compare::compare;
use support::flattened::unflatten;
use support::kdump::Kdump;
use support::model::Model;
use support::sample::small_vmcore;

fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/small.vmcore.zst")
}

#[test]
fn the_shipped_vmcore_is_what_the_builder_builds() {
    let packed = std::fs::read(shipped()).unwrap();
    let vmcore = zstd::stream::decode_all(packed.as_slice()).unwrap();
    assert!(vmcore == small_vmcore().build());
}

#[test]
fn the_shipped_vmcore_converts_to_the_pages_it_holds() {
    let input = Input::open(&shipped(), std::env::temp_dir()).unwrap();
    let core = Dump::open(input, &OpenOptions::default()).unwrap();
    let mut stream = Vec::new();
    let sink = &mut FlattenedSink::new(&mut stream);
    let options = kdumpconv::ConvertOptions::default();
    let report = kdumpconv::convert(&core, sink, &options, &mut |_| ()).unwrap();
    assert!(!report.incomplete());
    let file = unflatten(&stream).unwrap();
    assert_eq!(report.file_bytes, file.len() as u64);
    let kdump = Kdump::from_bytes(&file).unwrap();
    compare(&Model::new(&small_vmcore(), 4096), &kdump).unwrap();
    assert_eq!(kdump.header.uts("version"), "#1 SMP sample", "found in memory");
    assert!(report.pages.zero > 0 && report.pages.compressed > 0 && report.pages.raw > 0);
}
