//! Damaged migration streams: cut off at each byte, with each bit of their headers flipped, and with
//! counts that no file can hold.

use super::qemu::{PAGE, Pages, assert_pages, mapped, open, page, stream};
use kdumpconv::{Dump, DumpMemory, Error, PhysAddr};
use support::qemu::{Records, Stream};

/// Reads all there is; nothing may panic, and what is read is bounded.
fn use_all(dump: &Dump) {
    let Ok(memory) = DumpMemory::new(dump) else { return };
    for run in dump.present() {
        for pfn in run.iter().take(64) {
            let _ = memory.read(PhysAddr::new(pfn.get() * PAGE), &mut [0; PAGE as usize]);
        }
    }
}

/// Four pages: two that are full, one of zeros, one that comes twice.
fn small() -> (Vec<u8>, Pages) {
    let first = Records::new().page(Some("pc.ram"), 0, &page(0)).page(None, PAGE, &page(77));
    let second = Records::new()
        .fill(Some("pc.ram"), 2 * PAGE, 0)
        .page(None, 3 * PAGE, &page(3))
        .fill(Some("vga.vram"), 0, 0)
        .page(Some("pc.ram"), PAGE, &page(1));
    let bytes = stream(4 * PAGE, &[first.eos(), second.eos()]).eof(None).bytes().to_vec();
    let zeros = vec![0; PAGE as usize];
    (bytes, [(0, page(0)), (PAGE, page(1)), (2 * PAGE, zeros), (3 * PAGE, page(3))].into())
}

#[test]
fn a_stream_that_is_cut_off_has_what_arrived_and_no_more() {
    let (bytes, pages) = small();
    let mut opened = 0;
    let interesting = |len: &usize| len % 97 < 12 || bytes.len() - len < 200 || *len < 300;
    for len in (0..bytes.len()).filter(interesting) {
        let cut = bytes[..len].to_vec();
        let Ok(dump) = open(cut.clone()) else { continue };
        opened += 1;
        assert!(dump.is_incomplete(), "{len} bytes");
        let said = dump.warnings().join("\n");
        assert!(said.contains("the stream is cut off"), "{len} bytes: {said}");
        let memory = DumpMemory::new(&dump).unwrap();
        let mut there = 0;
        for (address, expected) in &pages {
            let mut found = vec![0; PAGE as usize];
            match memory.read(PhysAddr::new(*address), &mut found) {
                Ok(()) => {
                    there += 1;
                    let is_old = *address == PAGE && found == page(77);
                    assert!(found == *expected || is_old, "{len} bytes: page at {address:#x}");
                }
                Err(error) => assert!(error.to_string().contains("cannot read"), "{error}"),
            }
        }
        // A page counts once all its bytes are there.
        assert!(there * PAGE <= len as u64 + PAGE, "{len} bytes have {there} pages");
        assert_eq!(dump.max_mapnr().get(), 4, "memory that did not arrive is missing, not absent");
    }
    assert!(opened > 500, "{opened}");
    assert_pages(&open(bytes).unwrap(), &pages);
}

#[test]
fn flipped_bits_of_headers_harm_nothing_else() {
    let (bytes, _) = small();
    let mapped = mapped(64, &[("pc.ram", vec![Some(page(0)), None, Some(page(2))])]);
    for bytes in [bytes, mapped.eof(None).bytes().to_vec()] {
        let is_of_page = |at: usize| bytes[at..].len() > 64 && (200..).contains(&(at % 4096));
        for at in (0..bytes.len()).filter(|at| !is_of_page(*at)) {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                match open(damaged) {
                    Ok(dump) => use_all(&dump),
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
            }
        }
    }
}

#[test]
fn counts_that_no_file_holds_are_refused_or_bounded() {
    let ram = |content: &[u8]| {
        let bytes = Stream::new().configuration("pc-q35-9.2", &[]).start(2, "ram", 4, content);
        bytes.end(2, &Records::new().fill(Some("pc.ram"), 0, 0).eos()).eof(None)
    };
    let list = |total: u64, name: &str, bytes: u64| {
        let list = Records::new().raw(&((total & !0xfff) | 4).to_be_bytes());
        list.raw(&[name.len() as u8]).raw(name.as_bytes()).raw(&bytes.to_be_bytes())
    };
    for (what, list) in [
        ("a block larger than all", list(PAGE, "pc.ram", 1 << 63)),
        ("a block of 2^63 bytes", list(1 << 63, "pc.ram", 1 << 63)),
        ("a block of 2^64 bytes", list(u64::MAX, "pc.ram", !0xfff)),
        ("a list that goes on", list(1 << 60, "pc.ram", PAGE)),
        ("a block of 2^55 bytes", list(1 << 55, "pc.ram", 1 << 55)),
        ("a name that goes on", Records::new().raw(&(PAGE | 4).to_be_bytes()).raw(&[255])),
    ] {
        match open(ram(&list.eos()).bytes().to_vec()) {
            Ok(dump) => use_all(&dump),
            Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{what}: {error}"),
        }
    }
    let damaged = |stream: Stream, expected: &str| match open(stream.bytes().to_vec()) {
        Err(error) => assert!(error.to_string().contains(expected), "{expected}: {error}"),
        Ok(dump) => panic!("{expected}: {:?}", dump.warnings()),
    };
    let start = || Stream::new().configuration("pc-q35-9.2", &[]);
    damaged(Stream::default().raw(b"QEVM\0\0\0\x02"), "version is 2, not 3");
    damaged(start().start(2, "ram", 3, &[]), "version is 3, not 4");
    damaged(start().raw(&[0x33]), "type is 0x33");
    damaged(start().eof(None), "ends before its memory");
    damaged(Stream::new().raw(b"\x07\xff\xff\xff\xff"), "4294967295 bytes");
    let bits = ("configuration/target-page-bits", 63u32.to_be_bytes().to_vec());
    damaged(Stream::new().configuration("virt", &[bits]), "a page size that no guest has");
    let unknown = ("configuration/colour", vec![]);
    damaged(Stream::new().configuration("virt", &[unknown]), "configuration/colour is not known");
    let one = Records::new().blocks(&[("pc.ram", PAGE)]);
    let section = |records: Records| start().start(2, "ram", 4, &records.eos());
    damaged(section(one.clone().fill(Some("pc.rom"), 0, 0)), "no RAM block is called pc.rom");
    damaged(section(one.clone().fill(Some("pc.ram"), PAGE, 0)), "0x1000 in RAM block pc.ram of");
    damaged(section(one.clone().fill(None, 0, 0)), "it goes on with no block");
    damaged(section(one.flag(Some("pc.ram"), 0, 0x800)), "flags are 0x800");
}

#[test]
fn mapped_memory_that_is_cut_off_lacks_what_is_after_the_end() {
    let pages: Vec<Option<Vec<u8>>> = (0..8).map(|number| Some(page(number))).collect();
    let bytes = mapped(1 << 14, &[("pc.ram", pages)]).eof(None).bytes().to_vec();
    let start = 1 << 14;
    for len in [start + 1, start + 4096, start + 5 * 4096 + 7, start + 8 * 4096, bytes.len() - 40] {
        let dump = open(bytes[..len].to_vec()).unwrap();
        assert!(dump.is_incomplete(), "{len} bytes");
        let memory = DumpMemory::new(&dump).unwrap();
        for number in 0..8 {
            let mut found = vec![0; PAGE as usize];
            let is_there = start + (number + 1) * 4096 <= len;
            let read = memory.read(PhysAddr::new(number as u64 * PAGE), &mut found);
            assert_eq!(read.is_ok(), is_there, "{len} bytes, page {number}");
            assert!(!is_there || found == page(number as u64), "{len} bytes, page {number}");
        }
    }
    // QEMU writes the bitmap last: one of zeros was not written.
    let mut unfinished = bytes[..start + 8 * 4096 + 3].to_vec();
    let bitmap = unfinished.windows(8).position(|word| word == [0xff, 0, 0, 0, 0, 0, 0, 0]);
    unfinished[bitmap.unwrap()] = 0;
    let dump = open(unfinished).unwrap();
    assert_pages(&dump, &(0..8).map(|number| (number * PAGE, page(number))).collect());
    assert!(dump.is_incomplete());
}
