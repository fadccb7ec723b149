//! Small valid inputs of every kind: what mutations start from.

use support::elf::{Class, Endian, machine};
use support::notes::Note;
use support::segments::{Load, NO_PADDR};
use support::strategies::KINDS;
use support::vmcore::{PhdrPlace, VmcoreBuilder};

use super::{elf, notes};

const VMCOREINFO: &str = "OSRELEASE=6.1.0-seed\nBUILD-ID=0123456789abcdef\nPAGESIZE=4096\n\
    SYMBOL(init_uts_ns)=ffffffff80000200\nSYMBOL(_stext)=ffffffff80000000\n\
    OFFSET(uts_namespace.name)=4\nSIZE(page)=64\nLENGTH(free_area.free_list)=6\n\
    NUMBER(phys_base)=-16777216\nNUMBER(PHYS_OFFSET)=0x40000000\nNUMBER(VA_BITS)=48\n\
    NUMBER(kimage_voffset)=0xffff7fffd0000000\nCRASHTIME=1763764770\nCONFIG_X86_64=y\n";

/// The seeds of a target.
///
/// # Panics
/// For a name that is no target's.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "elf" => cores(),
        "notes" => note_areas(),
        "vmcoreinfo" => infos(),
        _ => panic!("no target {target}"),
    }
}

fn words(count: usize, step: u32) -> Vec<u8> {
    (0..count as u32).flat_map(|word| word.wrapping_mul(step).to_le_bytes()).collect()
}

fn core(kind: (u16, Class, Endian)) -> VmcoreBuilder {
    let builder = VmcoreBuilder::new(kind.1, kind.2, kind.0);
    let kernel = if kind.1 == Class::Elf64 { 0xffff_ffff_8000_0000 } else { 0xc000_0000 };
    builder
        .prstatus(0)
        .note(Note::new("", 7, vec![1, 2, 3]))
        .vmcoreinfo(VMCOREINFO)
        .load(Load::new(0x1_0ff0, words(8, 0x0101_0101)))
        .load(Load::new(0x2_0000, words(100, 1)).vaddr(kernel))
        .load(Load::new(0x2_0080, words(4, 77)).memsz(0x3000))
        .align_data(1, 0)
}

/// Cores of every kind in every layout that the builder knows, each below 4 KiB.
pub fn cores() -> Vec<Vec<u8>> {
    let mut cores: Vec<VmcoreBuilder> = KINDS.into_iter().map(core).collect();
    let x86 = || core((machine::X86_64, Class::Elf64, Endian::Little));
    cores.extend([
        x86().qemu_headers().qemu_note(),
        x86().pn_xnum(),
        core((machine::PPC64, Class::Elf64, Endian::Big)).pn_xnum().notes_last(),
        x86().phdr_place(PhdrPlace::AtEnd).notes_last(),
        x86().phentsize(64).load(Load::no_data(0x10_0000, 0x10_0000)),
        x86().load(Load::new(NO_PADDR, words(4, 3))).other(0x6474_e551, 0, vec![9; 20]),
        x86().load(Load::shared(0x3_0000, 1, 16, 64)).load(Load::shared(0x1_0000, 1, 0, 400)),
        x86().data_order(vec![2, 0, 1]),
        x86().load(Load::no_data(1 << 40, 1 << 40)).vmcoredd(&[0xdd; 300]),
        x86().raw_notes(vec![0; 8]).note(Note::new("ERASEINFO", 0, *b"erase x 10\n")),
        VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64)
            .load(Load::new(0, words(2048, 0x0001_0305))),
    ]);
    let mut seeds: Vec<Vec<u8>> = cores.iter().map(VmcoreBuilder::build).collect();
    for (index, seed) in seeds.iter_mut().enumerate() {
        // Every codec and way; a bad stretch in a few.
        seed[elf::CHOICE_AT] = index as u8;
        seed[elf::CHOICE_AT + 1] = (index / 5 % 8) as u8;
        if index % 7 == 6 {
            seed[elf::CHOICE_AT + 2..elf::CHOICE_AT + 5].copy_from_slice(&[6, 0, 20]);
        }
    }
    seeds
}

fn note_areas() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (big, endian) in [(false, Endian::Little), (true, Endian::Big)] {
        let cpu = Note::prstatus(machine::PPC64, Class::Elf64, endian, 1).encode(endian);
        let info = Note::vmcoreinfo(VMCOREINFO).encode(endian);
        let other = [
            Note::new("ERASEINFO", 0, *b"erase x 10\n").encode(endian),
            Note::new("a name that is longer", 3, vec![5; 5]).encode(endian),
            Note::new("", 0, vec![]).encode(endian),
            Note::vmcoredd(&[1; 60]).encode(endian),
        ]
        .concat();
        let all = [cpu.clone(), info.clone(), other.clone()].concat();
        let end = all.len() as u16;
        let (a, b) = (cpu.len() as u16, (cpu.len() + info.len()) as u16);
        seeds.push(notes::encode(big, &[(0, end)], &all));
        seeds.push(notes::encode(big, &[(a, b - a), (0, a), (b, end - b)], &all));
        seeds.push(notes::encode(big, &[(0, a + 8), (a, b - a + 4)], &all));
        seeds.push(notes::encode(big, &[(0, end), (b, end), (0xf000, 0xf123)], &all));
        let mut bad = notes::encode(big, &[(0, end)], &all);
        bad[0] |= 2;
        bad[6..9].copy_from_slice(&[0, 2, 3]);
        seeds.push(bad);
    }
    seeds
}

fn infos() -> Vec<Vec<u8>> {
    let real = "OSRELEASE=5.10.0\r\nPAGESIZE=65536\nSYMBOL(a)=0\nSYMBOL(a)=1\nNUMBER(n)=-1\n\
        NUMBER(x)=0xffffffffffffffff\nOFFSET(o)=18446744073709551615\n\nKEY=a=b\n=\n=v\nk=\n";
    vec![
        VMCOREINFO.as_bytes().to_vec(),
        real.as_bytes().to_vec(),
        [VMCOREINFO.as_bytes(), &[0; 40]].concat(),
        b"A=\xff\xfe\n\xc3=1\nNUMBER(a)=+5\nPAGESIZE=+4096".to_vec(),
    ]
}
