//! A flattened ELF core is read in place as the core itself; where it breaks off, the pages that
//! arrived are right, and the others are unreadable.

use crate::common::{
    core_of, flat, noise, only_right_pages, options, plain, stream_of, text, x86_64,
};
use kdumpconv::summary::FileFacts;
use kdumpconv::{
    Codec, Dump, ElfOptions, FlattenedSink, OpenOptions, PageReader, Summary, VerifyOptions,
    to_elf, verify,
};
use support::flattened::flatten;
use support::kdump::Kdump;
use support::model::{Expected, Model};
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

fn builder() -> VmcoreBuilder {
    x86_64()
        .align_data(64, 0)
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nCRASHTIME=1700000000\n")
        .load(Load::new(0x1000, text(1, 4096 + 900)))
        .load(Load::new(0x3000, [noise(2, 5000), vec![0; 4096]].concat()).memsz(0x4000))
        .load(Load::new(0x1_0000, text(3, 4096 + 500)))
}

/// A stream of records of `bytes`, of which the order is reversed in blocks of `block`.
fn shuffled(file: &[u8], bytes: usize, block: usize) -> Vec<u8> {
    let stream = flatten(file, bytes);
    let records: Vec<&[u8]> = stream[4096..stream.len() - 16].chunks(16 + bytes).collect();
    let mut out = stream[..4096].to_vec();
    for block in records.chunks(block) {
        block.iter().rev().for_each(|record| out.extend_from_slice(record));
    }
    out.extend([0xff; 16]);
    out
}

#[test]
fn it_converts_to_the_same_file_as_the_plain_core_whatever_its_records() {
    let core = builder().build();
    let options = options(Codec::Zlib, 1, 2);
    let (expected, _) = plain(&core_of(core.clone()).unwrap(), &options).unwrap();
    for bytes in [1, 7, 100, 4096, 1 << 20] {
        for block in [1, 3, 1000] {
            let stream = shuffled(&core, bytes, block);
            for dump in [core_of(stream.clone()).unwrap(), stream_of(stream.clone()).unwrap()] {
                assert!(!dump.is_incomplete() && !dump.is_sequential());
                let (file, report) = plain(&dump, &options).unwrap();
                assert!(file == expected && !report.incomplete(), "{bytes} {block}");
            }
            let summary = Summary::of(&core_of(stream.clone()).unwrap());
            let FileFacts::Elf(elf) = &summary.file else { panic!("no ELF core") };
            let facts = elf.flattened.as_ref().unwrap();
            assert_eq!(facts.records, core.len().div_ceil(bytes) as u64);
            assert_eq!((facts.bytes, facts.has_end_mark), (stream.len() as u64, true));
            assert_eq!(summary.bytes.file, Some(stream.len() as u64));
            assert!(summary.is_complete());
        }
    }
}

/// The pages of an incomplete dump that can be read, all of which are right.
fn readable(dump: &Dump, model: &Model) -> usize {
    let mut reader = PageReader::new(dump).unwrap();
    let is_right = |pfn: &u64| {
        let Ok(page) = reader.page(*pfn) else { return false };
        assert_eq!(model.page(*pfn), Expected::Data(page), "{pfn:#x}");
        true
    };
    (0..model.max_mapnr).filter(is_right).count()
}

#[test]
fn cut_at_any_byte_it_has_the_pages_that_arrived_and_says_that_it_is_incomplete() {
    let (core, model) = (builder().build(), Model::new(&builder(), 4096));
    for (bytes, block) in [(1500, 1), (1500, 4), (1 << 20, 1)] {
        let stream = shuffled(&core, bytes, block);
        let (mut opened, mut most) = (0, 0);
        for len in (0..stream.len()).step_by(13).chain(stream.len() - 30..stream.len()) {
            let Ok(dump) = core_of(stream[..len].to_vec()) else { continue };
            opened += 1;
            assert!(dump.is_incomplete(), "{len}");
            let said = &dump.warnings()[0];
            assert!(said.starts_with("the flattened file is cut off at offset "), "{said}");
            most = most.max(readable(&dump, &model));
            let (file, report) = plain(&dump, &options(Codec::Zlib, 0, 1)).unwrap();
            assert!(report.incomplete(), "{len}");
            let kdump = Kdump::from_bytes(&file).unwrap();
            assert!(kdump.is_incomplete());
            only_right_pages(&model, &kdump).unwrap();
            let findings = verify(&dump, None, &VerifyOptions::default(), &mut |_| ()).unwrap();
            assert!(findings.damaged() && findings.cut_off.is_empty(), "{len}");
            let summary = Summary::of(&dump);
            let FileFacts::Elf(elf) = &summary.file else { panic!("no ELF core") };
            assert!(!elf.flattened.as_ref().unwrap().has_end_mark && !summary.is_complete());
        }
        // Without its end mark alone, it has all pages.
        assert!(opened > 1000 && most == 7, "{opened} {most}");
    }
}

#[test]
fn reopened_it_is_still_known_to_be_cut_off() {
    let stream = flatten(&builder().build(), 1 << 20);
    let cut = core_of(stream[..stream.len() - 16].to_vec()).unwrap();
    let again = cut.reopen(&OpenOptions::default()).unwrap();
    assert!(again.is_incomplete());
    assert!(again.warnings()[0].contains("cut off"), "{:?}", again.warnings());
}

#[test]
fn flattened_again_it_has_the_same_pages() {
    let dump = core_of(flatten(&builder().build(), 3000)).unwrap();
    let mut stream = Vec::new();
    let mut sink = FlattenedSink::new(&mut stream);
    to_elf(&dump, &mut sink, &ElfOptions::default(), &mut |_| ()).unwrap();
    let again = core_of(stream).unwrap();
    let findings = verify(&again, Some(&dump), &VerifyOptions::default(), &mut |_| ()).unwrap();
    assert!(!findings.damaged() && findings.pages.checked == 7);
}

#[test]
fn what_else_is_in_a_flattened_file_is_named() {
    let refused = |content: &[u8]| core_of(flatten(content, 1000)).unwrap_err().to_string();
    let core = builder().build();
    assert_eq!(refused(&flatten(&core, 1000)), "in a flattened file: another flattened file");
    let said = refused(&[7; 5000]);
    assert!(said.starts_with("in a flattened file: the input is no ELF vmcore"), "{said}");
    assert!(refused(b"%!PS and more text").contains("text file"), "{}", refused(b"%!PS"));
    assert!(core_of(flatten(&core[..3], 1000)).unwrap_err().to_string().contains("cut off"));
    let kdump = plain(&core_of(core).unwrap(), &options(Codec::Zlib, 1, 1)).unwrap().0;
    assert!(core_of(flatten(&flatten(&kdump, 1000), 1000)).is_err());
    assert!(flat(&core_of(flatten(&kdump, 99)).unwrap(), &options(Codec::Lzo, 1, 1)).is_ok());
}
