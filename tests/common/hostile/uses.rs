//! Uses of an open dump, whatever it was opened from: it is verified, summarised, and converted to
//! an ELF core. All results agree with its pages when they are read singly.

use std::sync::atomic::AtomicBool;

use kdumpconv::PageReader;
use kdumpconv::Summary;
use kdumpconv::dump::Runs;
use kdumpconv::pages::{Pfn, PfnRange};
use kdumpconv::summary::{Cell, Picture};
use kdumpconv::{Dump, OpenOptions};
use kdumpconv::{ElfOptions, to_elf};
use kdumpconv::{SearchScope, find_vmcoreinfo};
use kdumpconv::{Severity, verify};

use super::Input;
use super::memory::SparseSink;

/// Larger files are not read back.
const MOST_BYTES: u64 = 16 << 20;

/// One page, or why not.
pub fn read(reader: &mut PageReader<'_>, pfn: u64) -> Result<Vec<u8>, String> {
    reader.page(pfn).map_err(|error| std::error::Error::source(&error).unwrap().to_string())
}

/// A page of the core; zeros for one that it has no data of.
fn read_at(core: &Dump, reader: &mut PageReader<'_>, pfn: Pfn) -> Result<Vec<u8>, String> {
    let is_empty = core.is_present(pfn) && core.kept_within(PfnRange::of(pfn, 1)).next().is_none();
    if is_empty { Ok(vec![0; core.page_size().bytes() as usize]) } else { read(reader, pfn.get()) }
}

/// The pfns of runs.
pub fn pfns(runs: Runs<'_>) -> impl Iterator<Item = u64> + '_ {
    runs.flat_map(|run| run.iter()).map(Pfn::get)
}

/// Checks a dump of few pages.
pub fn check(dump: &Dump) {
    let mut reader = PageReader::new(dump).unwrap();
    let mut good = 0;
    for pfn in pfns(dump.kept()) {
        good += u64::from(read(&mut reader, pfn).is_ok());
    }
    let (ram, kept) = dump.counts();
    let findings = verify(dump, None, &kdumpconv::VerifyOptions::default(), &mut |_| ()).unwrap();
    assert!(!findings.cancelled);
    let promised = kept + count(dump);
    assert_eq!((findings.pages.checked, findings.pages.good_pages()), (promised, good));
    assert!(good == promised || findings.severity() >= Some(Severity::Incomplete));
    let itself =
        verify(dump, Some(dump), &kdumpconv::VerifyOptions::default(), &mut |_| ()).unwrap();
    assert_eq!(itself.pages.equal + itself.pages.only_here, good, "{itself:?}");

    let summary = Summary::of(dump);
    assert_eq!((summary.pages.ram, summary.pages.kept), (ram, kept + count(dump)));
    for cells in [1, 60] {
        let picture = Picture::of(dump, cells);
        assert!(picture.cells.len() <= cells, "{} of {cells}", picture.cells.len());
        let sum = picture.cells.iter().fold((0, 0), |sum, cell| match cell {
            Cell::Stretch { ram, kept } => (sum.0 + ram, sum.1 + kept),
            Cell::LongHole => sum,
        });
        assert_eq!(sum, (ram, kept));
    }
    for scope in [SearchScope::FirstProved, SearchScope::All, SearchScope::Page(0.into())] {
        find_vmcoreinfo(dump, scope, &AtomicBool::new(false), &mut |_| ()).unwrap();
    }
    dump.vmcoreinfo_proof().unwrap();
    dump.relocated_vmcoreinfo().unwrap();
    check_elf(dump, &mut reader);
}

/// Pages after the end of an ELF core.
fn count(dump: &Dump) -> u64 {
    dump.missing().iter().map(PfnRange::len).sum()
}

/// Converted to an ELF core, the dump has the same pages.
fn check_elf(dump: &Dump, reader: &mut PageReader<'_>) {
    let mut sink = SparseSink::default();
    let report = match to_elf(dump, &mut sink, &ElfOptions::default(), &mut |_| ()) {
        Ok(report) => report,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    if report.file_bytes > MOST_BYTES {
        return;
    }
    let file = sink.bytes();
    let options = OpenOptions { page_size: Some(dump.page_size()), ..OpenOptions::default() };
    let core = Dump::open(Box::new(Input::new(&file)), &options).expect("it is a core");
    if core.page_size() != dump.page_size() {
        return;
    }
    assert_eq!(core.counts().0, dump.counts().0);
    let mut from_core = PageReader::new(&core).unwrap();
    for pfn in pfns(dump.kept()) {
        // A core of 32-bit arm counts its pages from the first that it has.
        let address = dump.grid().address_of(Pfn::new(pfn));
        let (at, _) = core.grid().locate(address).expect("it is above the origin");
        let (is, was) = (read_at(&core, &mut from_core, at), read(reader, pfn));
        match (is, was) {
            (Ok(is), Ok(was)) => assert!(is == was, "pfn {pfn:#x}: other bytes in the core"),
            // The core has no data of it.
            (Ok(is), Err(_)) => assert!(is.iter().all(|byte| *byte == 0), "pfn {pfn:#x} made up"),
            (Err(why), Ok(_)) => panic!("pfn {pfn:#x} is lost in the core: {why}"),
            (Err(_), Err(_)) => {}
        }
    }
}
