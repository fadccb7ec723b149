//! proptest strategies: arbitrary small vmcores of every kind, with every oddity the builder knows.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::elf::{Class, Endian, machine};
use super::kdump_header::KdumpLayout;
use super::model::Model;
use super::notes::Note;
use super::segments::{Data, Load, Segment};
use super::strategy_loads::{bases, loads_of, recipes};
use super::vmcore::{PhdrPlace, Sections, VmcoreBuilder};

/// Every combination of machine, class and byte order that vmcores come in.
pub const KINDS: [(u16, Class, Endian); 21] = [
    (machine::X86_64, Class::Elf64, Endian::Little),
    (machine::X86_64, Class::Elf32, Endian::Little),
    (machine::I386, Class::Elf32, Endian::Little),
    (machine::I386, Class::Elf64, Endian::Little),
    (machine::AARCH64, Class::Elf64, Endian::Little),
    (machine::AARCH64, Class::Elf64, Endian::Big),
    (machine::ARM, Class::Elf32, Endian::Little),
    (machine::ARM, Class::Elf32, Endian::Big),
    (machine::ARM, Class::Elf64, Endian::Little),
    (machine::PPC64, Class::Elf64, Endian::Little),
    (machine::PPC64, Class::Elf64, Endian::Big),
    (machine::PPC, Class::Elf32, Endian::Big),
    (machine::S390X, Class::Elf64, Endian::Big),
    (machine::RISCV, Class::Elf64, Endian::Little),
    (machine::RISCV, Class::Elf32, Endian::Little),
    (machine::LOONGARCH, Class::Elf64, Endian::Little),
    (machine::MIPS, Class::Elf64, Endian::Little),
    (machine::MIPS, Class::Elf64, Endian::Big),
    (machine::MIPS, Class::Elf32, Endian::Little),
    (machine::MIPS, Class::Elf32, Endian::Big),
    (machine::SPARCV9, Class::Elf64, Endian::Big),
];

/// An arbitrary vmcore and what a converter must be told of it.
#[derive(Clone)]
pub struct SmallVmcore {
    pub builder: VmcoreBuilder,
    /// In bytes; a converter must be told when [`SmallVmcore::states_page_size`] is false.
    pub page_size: u64,
    /// Whether VMCOREINFO has PAGESIZE=.
    pub states_page_size: bool,
}

impl SmallVmcore {
    /// What its conversion must hold.
    #[must_use]
    pub fn model(&self) -> Model {
        Model::new(&self.builder, self.page_size)
    }

    /// The layout that its conversion must have.
    #[must_use]
    pub fn layout(&self) -> KdumpLayout {
        KdumpLayout::of(self.builder.machine, self.builder.class, self.builder.endian)
    }
}

impl fmt::Debug for SmallVmcore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stated = if self.states_page_size { "stated" } else { "not stated" };
        write!(f, "pages of {} ({stated}), {:?}", self.page_size, self.builder)
    }
}

/// Any small vmcore: a few pages, a few segments, any kind.
pub fn small_vmcores() -> impl Strategy<Value = SmallVmcore> {
    select(KINDS.to_vec()).prop_flat_map(small_vmcores_of)
}

/// Any small vmcore of one kind.
pub fn small_vmcores_of(kind: (u16, Class, Endian)) -> impl Strategy<Value = SmallVmcore> {
    let page_size =
        prop_oneof![6 => Just(4096_u64), 1 => Just(8192), 1 => Just(16384), 1 => Just(65536)];
    let contents =
        (vec(recipes(), 1..8), vec(note_lists(), 0..=3), page_size, any::<bool>(), bases(kind.1));
    (contents, oddities()).prop_flat_map(
        move |((recipes, notes, page_size, stated, base), oddities)| {
            let loads: Vec<Load> = loads_of(&recipes, kind.1, base, page_size);
            let order: Vec<usize> = (0..loads.len()).collect();
            let shuffled = prop_oneof![Just(Vec::new()), Just(order).prop_shuffle()];
            shuffled.prop_map(move |order| {
                let mut builder = VmcoreBuilder::new(kind.1, kind.2, kind.0);
                let states_page_size =
                    add_segments(&mut builder, &loads, &notes, page_size, stated);
                oddities.apply(&mut builder);
                builder.data_order = order;
                SmallVmcore { builder, page_size, states_page_size }
            })
        },
    )
}

/// A note of a `PT_NOTE`, before machine and page size are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoteKind {
    Prstatus,
    Qemu,
    Vmcoreinfo,
    DeviceDump(u16),
}

fn note_lists() -> impl Strategy<Value = Vec<NoteKind>> {
    let kinds = prop_oneof![
        3 => Just(NoteKind::Prstatus),
        1 => Just(NoteKind::Qemu),
        2 => Just(NoteKind::Vmcoreinfo),
        1 => (0..9000_u16).prop_map(NoteKind::DeviceDump),
    ];
    vec(kinds, 0..5)
}

/// Notes and loads in turn, so that program headers are mixed; at most one VMCOREINFO.
fn add_segments(
    builder: &mut VmcoreBuilder,
    loads: &[Load],
    lists: &[Vec<NoteKind>],
    page_size: u64,
    states_page_size: bool,
) -> bool {
    let (mut cpu, mut has_vmcoreinfo) = (0, false);
    for (index, list) in lists.iter().enumerate() {
        let mut notes = Vec::new();
        for kind in list {
            notes.push(match kind {
                NoteKind::Vmcoreinfo if has_vmcoreinfo => continue,
                NoteKind::Vmcoreinfo => {
                    has_vmcoreinfo = true;
                    Note::vmcoreinfo(&vmcoreinfo_text(page_size, states_page_size))
                }
                NoteKind::Prstatus => {
                    cpu += 1;
                    Note::prstatus(builder.machine, builder.class, builder.endian, cpu - 1)
                }
                NoteKind::Qemu => Note::qemu(builder.endian),
                NoteKind::DeviceDump(bytes) => Note::vmcoredd(&vec![0xdd; usize::from(*bytes)]),
            });
        }
        builder.segments.push(Segment::Notes(notes));
        builder.segments.extend(loads.get(index).cloned().map(Segment::Load));
    }
    builder.segments.extend(loads.iter().skip(lists.len()).cloned().map(Segment::Load));
    has_vmcoreinfo && states_page_size
}

fn vmcoreinfo_text(page_size: u64, states_page_size: bool) -> String {
    let mut text = String::from("OSRELEASE=6.1.0-test\n");
    if states_page_size {
        text += &format!("PAGESIZE={page_size}\n");
    }
    text + "SYMBOL(init_uts_ns)=ffffffff82a13380\nCRASHTIME=1700000000\n"
}

/// The layout quirks of the file.
#[derive(Clone, Debug)]
struct Oddities {
    data_place: (u64, u64),
    notes_last: bool,
    phdr_place: PhdrPlace,
    stride: u16,
    qemu: bool,
    xnum: bool,
    other: bool,
}

fn oddities() -> impl Strategy<Value = Oddities> {
    let data_place = select(vec![(4096, 0), (4096, 0), (1, 0), (1, 3), (512, 8)]);
    let phdr_place = prop_oneof![
        4 => Just(PhdrPlace::AfterEhdr),
        1 => (512..3000_u64).prop_map(PhdrPlace::At),
        1 => Just(PhdrPlace::AtEnd),
    ];
    let stride = prop_oneof![4 => Just(0_u16), 1 => select(vec![4_u16, 8, 24])];
    let rare = || prop::bool::weighted(0.2);
    (data_place, rare(), phdr_place, stride, rare(), rare(), rare()).prop_map(
        |(data_place, notes_last, phdr_place, stride, qemu, xnum, other)| Oddities {
            data_place,
            notes_last,
            phdr_place,
            stride,
            qemu,
            xnum,
            other,
        },
    )
}

impl Oddities {
    fn apply(&self, builder: &mut VmcoreBuilder) {
        (builder.data_align, builder.data_skew) = self.data_place;
        builder.notes_last = self.notes_last;
        builder.phdr_place = self.phdr_place;
        if self.stride > 0 {
            let record = if builder.class == Class::Elf32 { 32 } else { 56 };
            builder.phentsize = Some(record + self.stride);
        }
        if self.qemu {
            builder.sections = Sections::Qemu;
            builder.ehsize = Some(8);
        }
        builder.force_xnum = self.xnum;
        if self.other {
            const PT_GNU_STACK: u32 = 0x6474_e551;
            let data = vec![0x5a; 5000];
            builder
                .segments
                .insert(0, Segment::Other { p_type: PT_GNU_STACK, paddr: 0x7000_0000, data });
        }
    }
}

/// Whether any load takes its data from another one (not every tool follows such files).
#[must_use]
pub fn shares_data(builder: &VmcoreBuilder) -> bool {
    builder.loads().iter().any(|load| matches!(load.data, Data::Shared { .. }))
}
