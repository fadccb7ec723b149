//! Cores of Xen guests are read as the vmcore of the guest, whatever the order of their pages.

use kdumpconv::summary::FileFacts;
use kdumpconv::{Dump, ImageKind, PageReader, Summary};
use support::xen::{INVALID, XenCore};

use super::guest::{Guest, assert_honest_when_cut, cpus, small_page, small_pfns};

fn pfns(guest: &Guest) -> Vec<u64> {
    guest.ram.iter().flat_map(|range| range.start >> 12..range.end >> 12).collect()
}

fn build(guest: &Guest, pfns: Vec<u64>) -> Vec<u8> {
    XenCore::new(pfns, guest.cpus.clone()).build(|pfn, page| guest.read(pfn << 12, page))
}

#[test]
fn the_core_of_a_guest_is_read_like_its_vmcore() {
    let guest = Guest::new();
    let mut pfns = pfns(&guest);
    // The guest has given memory back while its core was written.
    pfns.extend([INVALID; 3]);
    let file = build(&guest, pfns);
    let bytes = file.len() as u64;
    let dump = Dump::of_bytes(file).unwrap();
    guest.assert_same(&dump, "ascending");
    let summary = Summary::of(&dump);
    assert_eq!(summary.file, FileFacts::Image(ImageKind::Xen));
    assert_eq!(summary.bytes.file, Some(bytes));
}

#[test]
fn pages_may_be_in_any_order() {
    let guest = Guest::new();
    let mut pfns = pfns(&guest);
    pfns.rotate_left(1234);
    pfns[2000..5000].reverse();
    pfns.insert(300, INVALID);
    guest.assert_same(&Dump::of_bytes(build(&guest, pfns)).unwrap(), "any order");
}

#[test]
fn of_pages_that_are_there_twice_the_first_is_taken_and_it_is_said() {
    let mut pfns = small_pfns();
    pfns.extend(pfns[1..3].to_vec());
    let mut count = 0;
    let file = XenCore::new(pfns, cpus()).build(|pfn, page| {
        count += 1;
        small_page(pfn << 12, page);
        page[0] = count;
    });
    let dump = Dump::of_bytes(file).unwrap();
    let mut reader = PageReader::new(&dump).unwrap();
    let first: Vec<u8> = small_pfns().into_iter().map(|pfn| reader.page(pfn).unwrap()[0]).collect();
    assert_eq!(first, [1, 2, 3, 4, 5]);
    let said = dump.warnings().join("\n");
    assert!(said.contains("2 pages more than once: the first is taken"), "{said}");
}

#[test]
fn a_core_that_is_cut_off_is_incomplete_or_an_error() {
    let core = XenCore::new(small_pfns(), cpus());
    let file = core.build(|pfn, page| small_page(pfn << 12, page));
    let open = |length: usize| Dump::of_bytes(file[..length].to_vec());
    // The end of the file is the name of the section of names, which nobody needs.
    let end = file.len() - "\0.shstrtab\0".len();
    let lengths =
        (0..end).filter(|&length| length < 700 || length % 100 == 0 || end - length < 200);
    let errors = assert_honest_when_cut(lengths, open);
    // What tells Xen's cores from others is the first note, after eight headers of 64 bytes.
    let first_note = 8 * 64 + 16;
    for (length, error) in errors.into_iter().filter(|(length, _)| *length >= first_note) {
        assert!(error.contains("the core is cut off"), "{length} of {end} bytes: {error}");
    }
}

#[test]
fn a_guest_with_its_own_page_tables_is_refused_by_name() {
    let mut core = XenCore::new(small_pfns(), cpus());
    core.is_pv = true;
    let file = core.build(|pfn, page| small_page(pfn << 12, page));
    let said = Dump::of_bytes(file).unwrap_err().to_string();
    assert!(said.contains("paravirtualized guest"), "{said}");
}
