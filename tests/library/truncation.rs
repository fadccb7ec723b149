//! A core cut at any length, or with any header byte flipped, gives an error or a dump whose pages
//! are right and which does not claim to be complete.

use crate::common::{InMemory, core_of, noise, only_right_pages, open_core, plain, text, x86_64};
use kdumpconv::Codec;
use kdumpconv::Dump;
use kdumpconv::Input;
use kdumpconv::{ConvertOptions, ConvertReport, Error, Result, UnsupportedKind};
use support::compare::compare;
use support::elf::{Class, Endian, machine};
use support::kdump::Kdump;
use support::model::Model;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

/// The maximum size of an output, whatever a header claims.
const MAX_SIZE: u64 = 4 << 20;

fn bounded() -> ConvertOptions {
    ConvertOptions::default().codec(Codec::Lzo).max_size(MAX_SIZE)
}

/// Notes and six pages in three segments, less than 24 KiB.
fn small(builder: VmcoreBuilder) -> VmcoreBuilder {
    builder
        .align_data(64, 0)
        .prstatus(0)
        .vmcoreinfo("OSRELEASE=6.1.0\nPAGESIZE=4096\nCRASHTIME=1700000000\n")
        .load(Load::new(0x1000, text(1, 4096 + 900)))
        .load(Load::new(0x2500, noise(2, 5000)).memsz(0x4000))
        .load(Load::new(0x1_0000, text(3, 4096 + 500)))
}

fn cores() -> Vec<VmcoreBuilder> {
    let ppc = VmcoreBuilder::new(Class::Elf32, Endian::Big, machine::PPC);
    vec![
        small(x86_64()),
        small(x86_64()).data_order(vec![2, 1, 0]).notes_last(),
        small(ppc).data_order(vec![1, 2, 0]).qemu_headers().pn_xnum(),
    ]
}

/// Like `stream_of`, but without short reads, because the tests read many streams.
fn stream(bytes: &[u8]) -> Result<Dump> {
    let reader = Box::new(std::io::Cursor::new(bytes.to_vec()));
    open_core(Input::from_reader(reader, std::env::temp_dir())?, None)
}

type Judged = (Kdump, ConvertReport, Vec<u8>);

/// The outcome for a damaged core: an error, or a file that the strict reader accepts. Otherwise
/// returns the reader's objection.
fn judged(core: Result<Dump>) -> std::result::Result<Option<Judged>, String> {
    let Ok(core) = core else { return Ok(None) };
    let Ok((file, report)) = plain(&core, &bounded()) else { return Ok(None) };
    let kdump = Kdump::from_bytes(&file)
        .map_err(|e| format!("{e}; {:?} {:?}", report.reasons, core.warnings()))?;
    if kdump.is_incomplete() != report.incomplete() {
        return Err(format!("the header says otherwise than {:?}", report.reasons));
    }
    if kdump.dumped.count() != report.pages.written() {
        return Err(format!("{} pages, {} said", kdump.dumped.count(), report.pages.written()));
    }
    Ok(Some((kdump, report, file)))
}

fn cut_at_every_length(builder: &VmcoreBuilder, open: fn(&[u8]) -> Result<Dump>) {
    let (bytes, model) = (builder.build(), Model::new(builder, 4096));
    let (mut converted, mut most) = (0, 0);
    let mut wrong = Vec::new();
    for len in 0..bytes.len() {
        let result = judged(open(&bytes[..len])).and_then(|dump| {
            let Some((kdump, report, _)) = dump else { return Ok(()) };
            converted += 1;
            most = most.max(report.pages.written());
            if !report.incomplete() {
                return Err("claims to be all".to_owned());
            }
            only_right_pages(&model, &kdump)
        });
        wrong.extend(result.err().map(|why| (len, why)));
    }
    let (first, last) = (wrong.first(), wrong.last());
    assert!(wrong.is_empty(), "{} of {} lengths, {first:?} to {last:?}", wrong.len(), bytes.len());
    assert!(converted > 10_000, "only {converted} lengths gave a dump");
    assert!(most > 3, "at most {most} pages were kept");
    let (kdump, report, _) = judged(open(&bytes)).unwrap().unwrap();
    assert!(!report.incomplete());
    compare(&model, &kdump).unwrap();
}

#[test]
fn a_core_cut_at_any_length_gives_the_pages_before_the_cut_and_says_so() {
    cut_at_every_length(&cores()[0], |bytes| core_of(bytes.to_vec()));
}

#[test]
fn a_cut_core_with_data_out_of_order_and_notes_last_gives_the_pages_before_the_cut() {
    cut_at_every_length(&cores()[1], |bytes| core_of(bytes.to_vec()));
}

#[test]
fn a_cut_32_bit_big_endian_core_gives_the_pages_before_the_cut() {
    cut_at_every_length(&cores()[2], |bytes| core_of(bytes.to_vec()));
}

#[test]
fn a_stream_that_ends_early_gives_the_pages_before_the_cut() {
    cut_at_every_length(&cores()[0], stream);
}

#[test]
fn a_cut_stream_with_its_notes_last_gives_the_pages_before_the_cut() {
    cut_at_every_length(&cores()[1], stream);
}

#[test]
fn a_cut_32_bit_big_endian_stream_gives_the_pages_before_the_cut() {
    cut_at_every_length(&cores()[2], stream);
}

#[test]
fn a_stream_cut_within_memory_gives_the_same_bytes_as_a_file() {
    let builder = &cores()[0];
    let (bytes, layout) = (builder.build(), builder.layout());
    let memory = layout.data(layout.load(0)).start;
    for len in (memory..bytes.len()).step_by(7) {
        let from_file = judged(core_of(bytes[..len].to_vec())).unwrap().unwrap().2;
        let from_stream = judged(stream(&bytes[..len])).unwrap().unwrap().2;
        assert!(from_file == from_stream, "cut at {len}");
    }
}

#[test]
fn every_page_before_the_cut_is_kept() {
    let builder = x86_64().prstatus(0).load(Load::new(0x10_0000, noise(1, 200 * 4096)));
    let (bytes, layout) = (builder.build(), builder.layout());
    let start = layout.data(1).start;
    for pages in [1, 63, 64, 65, 128, 199] {
        for extra in [0, 1, 4095] {
            let cut = bytes[..start + pages * 4096 + extra].to_vec();
            for core in [core_of(cut.clone()), stream(&cut)] {
                let (kdump, report, _) = judged(core).unwrap().unwrap();
                assert_eq!(report.pages.written(), pages as u64);
                assert_eq!(report.pages.unreadable, 200 - pages as u64);
                only_right_pages(&Model::new(&builder, 4096), &kdump).unwrap();
            }
        }
    }
}

/// Offsets of every byte of the ELF header, the program headers, section header 0 and the notes'
/// headers with their names.
fn header_bytes(builder: &VmcoreBuilder) -> Vec<usize> {
    let layout = builder.layout();
    let sizes = if builder.class == Class::Elf64 { [64, 64] } else { [52, 40] };
    let mut places: Vec<usize> = (0..sizes[0]).collect();
    if layout.shnum > 0 {
        let start = usize::try_from(layout.shoff).unwrap();
        places.extend(start..start + sizes[1]);
    }
    let start = usize::try_from(layout.phoff).unwrap();
    places.extend(start..start + layout.phnum * usize::try_from(layout.phentsize).unwrap());
    for note in 0..2 {
        let desc = layout.note_desc(0, note);
        // "CORE" and "VMCOREINFO" with their NUL and padding.
        let name = if note == 0 { 8 } else { 12 };
        places.extend(desc.start - 12 - name..desc.start);
    }
    places
}

fn flips(byte: u8) -> Vec<u8> {
    let mut values: Vec<u8> = (0..8).map(|bit| byte ^ 1 << bit).collect();
    values.extend([0, 0xff, byte.wrapping_add(1), byte.wrapping_sub(1)]);
    values
}

#[test]
fn a_flipped_header_byte_gives_an_error_or_a_sound_file() {
    let (mut dumps, mut errors) = (0, 0);
    let mut wrong = Vec::new();
    for builder in cores() {
        let (bytes, layout) = (builder.build(), builder.layout());
        let info = layout.note_desc(0, 1).start - 24;
        for place in header_bytes(&builder) {
            for value in flips(bytes[place]) {
                let mut flipped = bytes.clone();
                flipped[place] = value;
                if layout.get(&flipped, info + 4..info + 8) == 0 {
                    continue; // an empty VMCOREINFO, which the strict reader does not know
                }
                for core in [core_of(flipped.clone()), stream(&flipped)] {
                    match judged(core) {
                        Ok(Some(_)) => dumps += 1,
                        Ok(None) => errors += 1,
                        Err(e) => wrong.push(format!("byte {place:#x} made {value:#x}: {e}")),
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} times, first {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(dumps > 1000 && errors > 1000, "{dumps} dumps, {errors} errors");
}

#[test]
fn an_input_that_is_not_a_core_is_refused_by_its_kind() {
    let message = |bytes: &[u8]| match core_of(bytes.to_vec()) {
        Err(Error::NotRecognised(message)) => message,
        other => panic!("{other:?}"),
    };
    assert_eq!(message(b""), "the input is empty");
    assert!(message(&[0; 5000]).contains("no ELF vmcore or kdump file"));
    for start in [&b"\x7fE"[..], b"KDUMP  ", b"makedumpfile\0\0\0"] {
        let expected = format!("the input is cut off after {} bytes", start.len());
        assert_eq!(message(start), expected);
    }
    let kind = |bytes: &[u8]| match core_of(bytes.to_vec()) {
        Err(Error::Unsupported(kind)) => kind,
        other => panic!("{other:?}"),
    };
    let diskdump = [b"DISKDUMP".to_vec(), vec![0; 500]].concat();
    assert_eq!(kind(&diskdump), UnsupportedKind::Diskdump);
    let mut program = small(x86_64()).build();
    for e_type in 1..4 {
        program[16] = e_type;
        assert_eq!(kind(&program), UnsupportedKind::ElfProgram);
    }
    program[16] = 0;
    assert!(message(&program).contains("not a core"));
    for len in 0..64 {
        let core = open_core(Box::new(InMemory(small(x86_64()).build()[..len].to_vec())), None);
        assert!(matches!(core, Err(Error::NotRecognised(_))), "{len} bytes: {core:?}");
    }
}
