//! Sections of ELF cores: what no segment has is never lost without a word.

use crate::common::{core_of, noise, stream_of, text, x86_64};
use support::segments::Load;
use support::vmcore::{PhdrPlace, VmcoreBuilder};

const SAID: &str =
    "a conversion does not keep the data of the sections .debug (5000 bytes), two (1 byte)";

fn with_sections() -> VmcoreBuilder {
    x86_64()
        .prstatus(0)
        .load(Load::new(0, text(1, 0x4000)))
        .section(".debug", noise(1, 5000))
        .section("empty", Vec::new())
        .section("two", vec![2])
}

#[test]
fn data_that_only_sections_have_is_named() {
    for builder in [with_sections(), with_sections().phdr_place(PhdrPlace::AtEnd)] {
        assert_eq!(core_of(builder.build()).unwrap().warnings(), [SAID]);
        // All of it is among the first MiB, which a stream keeps.
        assert_eq!(stream_of(builder.build()).unwrap().warnings(), [SAID]);
    }
}

#[test]
fn of_a_stream_names_that_come_late_are_not_waited_for() {
    let builder = with_sections().load(Load::new(0x1000_0000, noise(2, 2 << 20)));
    assert_eq!(core_of(builder.build()).unwrap().warnings(), [SAID]);
    let said = "a conversion does not keep the data of the sections number 1 (5000 bytes), number 3 (1 byte)";
    assert_eq!(stream_of(builder.build()).unwrap().warnings(), [said]);
}

#[test]
fn sections_of_what_segments_have_are_not_worth_a_word() {
    let quiet = |builder: &VmcoreBuilder| {
        assert_eq!(core_of(builder.build()).unwrap().warnings(), [""; 0], "{builder:?}");
    };
    quiet(&x86_64().load(Load::new(0, text(1, 0x4000))));
    quiet(&x86_64().load(Load::new(0, text(1, 0x4000))).qemu_headers());
    quiet(&x86_64().load(Load::new(0, text(1, 0x4000))).pn_xnum());
    quiet(&x86_64().load(Load::new(0, text(1, 0x4000))).section("empty", Vec::new()));
    // gdb's gcore names each segment by a section.
    let builder = x86_64().load(Load::new(0, text(1, 0x4000))).section("load", vec![1; 0x1000]);
    let layout = builder.layout();
    let mut bytes = builder.build();
    let data = layout.data(0);
    for (at, size, is_lost) in [
        (data.start, data.len(), false),
        (data.start + 1, 0x3fff, false),
        (data.start - 1, 0x1000, true),
        (data.start, 0x4001, true),
    ] {
        layout.set(&mut bytes, layout.shdr(1, "sh_offset"), at as u64);
        layout.set(&mut bytes, layout.shdr(1, "sh_size"), size as u64);
        let core = core_of(bytes.clone()).unwrap();
        assert_eq!(core.warnings().len(), usize::from(is_lost), "{at} {size}");
    }
}

#[test]
fn of_many_sections_the_first_are_named_and_the_others_counted() {
    let mut builder = x86_64().load(Load::new(0, text(1, 0x1000)));
    for n in 0..40 {
        builder = builder.section(&format!("s{n}"), vec![1]);
    }
    let core = core_of(builder.build()).unwrap();
    let said = core.warnings()[0].as_str();
    assert!(said.ends_with(", s7 (1 byte), 32 more"), "{said}");
}

#[test]
fn hostile_section_headers_cost_nothing_but_their_names() {
    let builder = with_sections();
    let layout = builder.layout();
    let good = builder.build();
    let fields = ["e_shoff", "e_shentsize", "e_shnum", "e_shstrndx"];
    let of_sections = (0..5).flat_map(|n| {
        ["sh_name", "sh_type", "sh_offset", "sh_size"].map(|field| format!("shdr[{n}].{field}"))
    });
    for field in fields.map(str::to_owned).into_iter().chain(of_sections) {
        let place = layout.named(&field);
        let most = u64::MAX >> (64 - 8 * place.len());
        for value in [0, 1, 2, 0x4000, most / 2, most - 63, most] {
            let mut bytes = good.clone();
            layout.set(&mut bytes, place.clone(), value);
            let core = core_of(bytes).unwrap();
            assert_eq!(core.kept().map(|run| run.len()).sum::<u64>(), 4, "{field} = {value:#x}");
            assert!(core.warnings().iter().all(|said| said.len() < 1000), "{field} = {value:#x}");
        }
    }
    for len in layout.data(1).end..good.len() {
        core_of(good[..len].to_vec()).unwrap();
    }
}
