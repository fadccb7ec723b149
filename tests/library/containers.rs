//! A small tar archive cut at each length, or with each byte flipped: the dump, a part of it that is
//! known to be one, or an error.

use std::io::Cursor;

use crate::common::{only_right_pages, open_core, options, plain, text, x86_64};
use kdumpconv::{Codec, Dump, Input, Result};
use support::compare::compare;
use support::kdump::Kdump;
use support::model::Model;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

fn builder() -> VmcoreBuilder {
    x86_64()
        .align_data(64, 0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nCRASHTIME=1700000000\n")
        .load(Load::new(0x1000, text(1, 4096 + 900)))
        .load(Load::new(0x1_0000, text(3, 500)))
}

/// An entry by the numbers of POSIX, IEEE Std 1003.1, "ustar Interchange Format".
fn entry(name: &str, data: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    let size = format!("{:011o}", data.len());
    for (at, field) in [
        (0, name),
        (100, "0000644"),
        (124, &size),
        (148, "        "),
        (156, "0"),
        (257, "ustar\x0000"),
    ] {
        header[at..at + field.len()].copy_from_slice(field.as_bytes());
    }
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header.extend(data);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

fn archive() -> Vec<u8> {
    [entry("a", b"text"), entry("vmcore", &builder().build()), vec![0; 1024]].concat()
}

/// The dump in `bytes`, at random and forward.
fn opened(bytes: &[u8]) -> [Result<Dump>; 2] {
    let folder = std::env::temp_dir();
    let random = Input::unpacked(bytes.to_vec(), &folder);
    let stream = Input::from_reader(Box::new(Cursor::new(bytes.to_vec())), &folder);
    [random, stream].map(|input| open_core(input?, None))
}

#[test]
fn cut_at_any_length_it_is_a_part_of_the_dump_that_says_so() {
    let (model, archive) = (Model::new(&builder(), 4096), archive());
    let dump_end = 1024 + 512 + builder().build().len();
    let mut cut_dumps = 0;
    for len in (0..archive.len()).step_by(7).chain(dump_end - 9..dump_end + 9) {
        for dump in opened(&archive[..len]) {
            let Ok(dump) = dump else {
                assert!(len < dump_end, "{len}");
                continue;
            };
            let (file, report) = plain(&dump, &options(Codec::Zlib, 0, 1)).unwrap();
            assert_eq!(report.incomplete(), len < dump_end, "{len}");
            cut_dumps += u32::from(report.incomplete());
            only_right_pages(&model, &Kdump::from_bytes(&file).unwrap()).unwrap();
        }
    }
    assert!(cut_dumps > 100, "{cut_dumps}");
}

#[test]
fn a_flipped_byte_of_a_header_is_found_by_its_checksum() {
    let (model, archive) = (Model::new(&builder(), 4096), archive());
    for at in (0..512).chain(1024..1536) {
        let mut flipped = archive.clone();
        flipped[at] ^= 0x15;
        for dump in opened(&flipped) {
            // Only what the checksum sums up in the same way.
            let Ok(dump) = dump else { continue };
            let (file, _) = plain(&dump, &options(Codec::Zlib, 0, 1)).unwrap();
            compare(&model, &Kdump::from_bytes(&file).unwrap()).unwrap();
            assert!((148..156).contains(&(at % 512)), "{at}");
        }
    }
}

#[test]
fn a_map_of_a_sparse_file_with_absurdly_many_parts_is_refused() {
    // Maps that are long enough, but for their bound.
    let records = b"22 GNU.sparse.major=1\n27 GNU.sparse.realsize=100\n";
    let mut pax = entry("x", records);
    pax[156] = b'x';
    let text = format!("{}\n{}", (1 << 20) + 1, "1\n".repeat(2 << 20));
    let posix = [sealed(pax), entry("vmcore", text.as_bytes())].concat();
    let mut header = entry("vmcore", b"");
    header[156] = b'S';
    header[257..265].copy_from_slice(b"ustar  \0");
    header[482] = 1;
    header[483..495].copy_from_slice(b"00000000100\0");
    let mut extended = b"00000000001\x0000000000000\x00".repeat(21);
    extended.resize(512, 0);
    extended[504] = 1;
    let gnu = [sealed(header), extended.repeat((1 << 20) / 21 + 1)].concat();
    for (bytes, form) in [(posix, "posix"), (gnu, "GNU")] {
        for dump in opened(&bytes) {
            let error = dump.unwrap_err();
            let error = std::error::Error::source(&error).unwrap().to_string();
            assert!(error.contains("more than 1048576 parts"), "{form}: {error}");
        }
    }
}

/// An entry with the checksum of its header.
fn sealed(mut entry: Vec<u8>) -> Vec<u8> {
    entry[148..156].fill(b' ');
    let sum: u32 = entry[..512].iter().map(|byte| u32::from(*byte)).sum();
    entry[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    entry
}
