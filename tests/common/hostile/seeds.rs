//! Small valid inputs of every kind, from which mutations start.

use std::io;

use kdumpconv::Codec;
use kdumpconv::codec::Encoder;
use support::elf::{Class, Endian, machine};
use support::flattened::flatten;
use support::kdump_header::KdumpLayout;
use support::kdump_pages::codec;
use support::kdump_writer::{KdumpWriter, pack};
use support::model::Model;
use support::notes::Note;
use support::qemu::{Records, Stream, libvirt_header};
use support::segments::{Load, NO_PADDR};
use support::strategies::KINDS;
use support::vmcore::{PhdrPlace, VmcoreBuilder};

pub use super::seeds_log::overlapping_logs;
use super::{elf, guests, images, kdump, notes, seeds_log, selection};

const VMCOREINFO: &str = "OSRELEASE=6.1.0-seed\nBUILD-ID=0123456789abcdef\nPAGESIZE=4096\n\
    SYMBOL(init_uts_ns)=ffffffff80000200\nSYMBOL(_stext)=ffffffff80000000\n\
    OFFSET(uts_namespace.name)=4\nSIZE(page)=64\nLENGTH(free_area.free_list)=6\n\
    NUMBER(phys_base)=-16777216\nNUMBER(PHYS_OFFSET)=0x40000000\nNUMBER(VA_BITS)=48\n\
    NUMBER(kimage_voffset)=0xffff7fffd0000000\nCRASHTIME=1763764770\nCONFIG_X86_64=y\n";

/// The seeds of a target.
///
/// # Panics If no target has the name.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "btf" => types(),
        "containers" => containers(),
        "decode" => stored_pages(),
        "dmesg" => seeds_log::logs(),
        "elf" => cores(),
        "flattened" => streams(),
        "images" => images::seeds(),
        "kdump" => dumps(),
        "notes" => note_areas(),
        "qemu" => guests(),
        "selection" => selection::seeds(),
        "tasks" => edits_of_tasks(),
        "vmcoreinfo" => infos(),
        "vmware" => guests::vmware_states(),
        "xen" => vec![guests::xen_core()],
        _ => panic!("no target {target}"),
    }
}

/// Migration streams of a small guest: pages in order, again and of one byte; mapped memory; a device
/// of unknown content; the state of a CPU.
fn guests() -> Vec<Vec<u8>> {
    let page = |byte| vec![byte; 4096];
    let list = Records::new().blocks(&[("pc.ram", 4 * 4096), ("vga.vram", 4096)]).eos();
    let first = Records::new().page(Some("pc.ram"), 0, &page(1)).page(None, 4096, &page(2));
    let second = Records::new().fill(Some("pc.ram"), 8192, 0).page(None, 4096, &page(3));
    let description = r#"{"page_size": 4096, "devices": [{"name": "cpu", "instance_id": 0,
        "fields": [{"name": "env.gpr", "array_len": 32, "size": 8}, {"name": "env.pc", "size": 8},
        {"name": "env.mhartid", "size": 8}]}]}"#;
    let plain = Stream::new()
        .configuration("pc-q35-9.2", &[])
        .start(1, "spapr/htab", 1, &[7; 20])
        .start(2, "ram", 4, &list)
        .part(2, &first.eos())
        .end(2, &second.eos())
        .full(3, "cpu", 0, 10, &[3; 34 * 8])
        .eof(Some(description));
    let capability = b"\0\0\0\x01\x0amapped-ram".to_vec();
    let mapped = Stream::new()
        .configuration("virt-10.0", &[("configuration/capabilities", capability)])
        .raw(b"\x01\0\0\0\x02\x03ram\0\0\0\0\0\0\0\x04")
        .mapped_blocks(1024, 64, &[("mach-virt.ram", vec![Some(vec![5; 1024]), None])])
        .raw(&Records::new().eos())
        .raw(b"\x7e\0\0\0\x02")
        .end(2, &Records::new().eos())
        .eof(None);
    let saved = [&libvirt_header(false, true, 2, 0, "<domain/>"), plain.bytes()].concat();
    vec![plain.bytes().to_vec(), mapped.bytes().to_vec(), saved]
}

/// Tar archives of a small file and a small core: plain, with a long name, sparse, packed.
fn containers() -> Vec<Vec<u8>> {
    let core = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64)
        .load(Load::new(0, vec![7; 100]))
        .build();
    let zeros = [0; 1024].as_slice();
    let text = tar_entry(b'0', "text", b"text", &[]);
    let dump = tar_entry(b'0', "vmcore", &core, &[]);
    let long = tar_entry(b'L', "././@LongLink", &[b'n'; 200], &[]);
    let pax = format!("19 size={:010}\n19 path=other/name\n", core.len());
    let pax = tar_entry(b'x', "pax", pax.as_bytes(), &[]);
    let octal = |n: usize| format!("{n:011o}\0").into_bytes();
    let gnu: [(usize, Vec<u8>); 6] = [
        (257, b"ustar  \0".to_vec()),
        (386, octal(0)),
        (398, octal(64)),
        (410, octal(640)),
        (422, octal(core.len() - 64)),
        (483, octal(core.len() + 1000)),
    ];
    let sparse = tar_entry(b'S', "sparse", &core, &gnu);
    let records = "22 GNU.sparse.major=1\n28 GNU.sparse.realsize=9000\n";
    let map = [format!("2\n0\n64\n640\n{}\n", core.len() - 64).as_bytes(), &[0; 512]].concat();
    let in_data = [&map[..512], &core].concat();
    let posix =
        [tar_entry(b'x', "pax", records.as_bytes(), &[]), tar_entry(b'0', "sparse", &in_data, &[])]
            .concat();
    let archives = [
        [&text, &dump, zeros].concat(),
        [&long[..], &dump, &text].concat(),
        [&pax, &dump, zeros].concat(),
        [&sparse, zeros].concat(),
        [&posix, zeros].concat(),
        [&dump, &dump, zeros].concat(),
    ];
    let packed = archives.iter().map(|archive| zstd::bulk::compress(archive, 1).unwrap());
    let packed: Vec<Vec<u8>> = packed.collect();
    let deflated = |bytes: &[u8]| {
        let level = flate2::Compression::fast();
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
        io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let bz2 = bzip2::read::BzEncoder::new(&core[..], bzip2::Compression::fast());
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    io::Write::write_all(&mut lz4, &core).unwrap();
    let others = [
        zip(&[("vmcore", 0, &core, &core)]),
        zip(&[("a", 0, b"text", b"text"), ("vmcore", 8, &deflated(&core), &core)]),
        io::Read::bytes(bz2).collect::<Result<_, _>>().unwrap(),
        lz4.finish().unwrap(),
        EMPTY_XZ.to_vec(),
    ];
    archives.into_iter().chain(packed).chain(others).collect()
}

/// What xz makes of nothing.
const EMPTY_XZ: &[u8] =
    b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4F\0\0\0\0\x1c\xdfD!\x1f\xb6\xf3}\x01\0\0\0\0\x04YZ";

/// A zip archive (APPNOTE.TXT, 4.3) of entries: name, method, data, and what they are inflated to.
fn zip(entries: &[(&str, u8, &[u8], &[u8])]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, method, data, plain) in entries {
        let mut crc = flate2::Crc::new();
        crc.update(plain);
        let sizes = [data.len(), plain.len()].map(|size| (size as u32).to_le_bytes());
        let common = [
            &[20, 0, 0, 0, *method, 0, 0, 0, 0x21, 0][..],
            &crc.sum().to_le_bytes(),
            &sizes.concat(),
            &[name.len() as u8, 0, 0, 0],
        ]
        .concat();
        let at = (archive.len() as u32).to_le_bytes();
        archive.extend([&b"PK\x03\x04"[..], &common, name.as_bytes(), data].concat());
        let start = [&b"PK\x01\x02\x14\0"[..], &common, &[0; 10], &at, name.as_bytes()];
        directory.extend(start.concat());
    }
    let (count, at) = (entries.len() as u8, archive.len() as u32);
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([count, 0, count, 0]);
    archive.extend((directory.len() as u32).to_le_bytes());
    archive.extend(at.to_le_bytes());
    archive.extend([0, 0]);
    archive
}

/// An entry of a tar archive; `fields` replace bytes of its header.
fn tar_entry(kind: u8, name: &str, data: &[u8], fields: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let mut header = vec![0; 512];
    let size = format!("{:011o}\0", data.len());
    let usual =
        [(0, name.as_bytes()), (124, size.as_bytes()), (156, &[kind]), (257, b"ustar\x0000")];
    let fields = fields.iter().map(|(at, bytes)| (*at, &bytes[..]));
    for (at, bytes) in usual.into_iter().chain(fields) {
        header[at..at + bytes.len()].copy_from_slice(bytes);
    }
    set_checksum(&mut header);
    header.extend(data);
    header.resize(header.len().next_multiple_of(512), 0);
    header
}

/// Gives a header of a tar archive the right checksum.
pub fn set_checksum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// BTF in both byte orders, with both headers, and with what a kernel says of its tasks.
fn types() -> Vec<Vec<u8>> {
    let of = |endian: Endian| {
        let flags = if endian == Endian::Big { super::btf::BIG_ENDIAN } else { 0 };
        let sample = support::btf::sample(endian);
        let new = sample.clone().layouts(support::btf::LAYOUTS.to_vec());
        let all = [sample, new, support::tasks::types(endian, &[])];
        all.map(|types| [vec![flags], types.build()].concat())
    };
    [of(Endian::Little), of(Endian::Big)].concat()
}

/// No edit, and some of each kind.
fn edits_of_tasks() -> Vec<Vec<u8>> {
    let of = |kind: u8| (0..40u8).flat_map(move |nth| [kind, nth.wrapping_mul(29), 0, nth, nth, 7]);
    let edits = (0..8).map(|kind| std::iter::once(kind & 1).chain(of(kind)).collect());
    std::iter::once(Vec::new()).chain(edits).collect()
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
        // Every codec and kind of output; an unreadable range in a few.
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

/// Pages of each codec, from the library's encoders and from others.
fn stored_pages() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (index, codec) in (0..).zip(Codec::ALL) {
        let contents = [
            vec![0; 8192],
            words(2048, 1),
            words(2048, 0x9e37_79b9),
            VMCOREINFO.bytes().cycle().take(8192).collect(),
            words(16, 0x9e37_79b9).into_iter().cycle().take(8192).collect(),
        ];
        for (form, page_bytes) in [(0, 4096), (1, 64), (2, 256), (3, 8192)] {
            for page in &contents {
                let page = &page[..page_bytes];
                let mut encoder = Encoder::new(codec, None, page_bytes).unwrap();
                let mut room = vec![0; page_bytes + encoder.room()];
                let size = encoder.encode(page, &mut room).size as usize;
                seeds.push([&[index, form], &room[..size]].concat());
                if let Some(packed) = pack(codec.flag(), page) {
                    seeds.push([&[index, form], packed.as_slice()].concat());
                }
            }
        }
    }
    seeds
}

/// A flattened stream of these records.
pub fn stream(records: &[(u64, &[u8])], ended: bool) -> Vec<u8> {
    let mut stream = flatten(&[], 1);
    stream.truncate(4096);
    for (target, bytes) in records {
        stream.extend(target.to_be_bytes());
        stream.extend((bytes.len() as u64).to_be_bytes());
        stream.extend(*bytes);
    }
    if ended {
        stream.extend([0xff; 16]);
    }
    stream
}

/// Streams in and out of order, with gaps, cut, with a sub header sent twice, of a dump.
fn streams() -> Vec<Vec<u8>> {
    let words = words(100, 3);
    let (a, b, c) = (&words[..100], &words[100..104], &words[104..208]);
    let mut seeds = vec![
        stream(&[(0, a), (100, b), (4096, c)], true),
        stream(&[(4096, c), (0, a), (8000, b), (4096, b"another sub header that is the very same size as the first and so may come again, as 104 bytes are its.")], true),
        stream(&[(1 << 40, a), (0, b), (10, c)], true),
        stream(&[(0, a), (100, b)], false),
        stream(&[], true),
    ];
    for (file, _) in kdumps() {
        // Like makedumpfile: no zeros between the parts.
        let parts = file.chunks(512).enumerate().filter(|(_, part)| part.iter().any(|b| *b != 0));
        let parts: Vec<(u64, &[u8])> =
            parts.map(|(index, part)| (index as u64 * 512, part)).collect();
        seeds.push(stream(&parts, true));
        seeds.push(stream(&parts[..parts.len() / 2], false));
    }
    seeds
}

/// The same dumps as parts; a few whole files; flattened files.
fn dumps() -> Vec<Vec<u8>> {
    let files = kdumps();
    let parts = (0..)
        .zip(&files)
        .map(|(choice, (file, _))| kdump::encode(u8::wrapping_mul(choice, 27), file));
    let mut seeds: Vec<Vec<u8>> = parts.collect();
    seeds.push(files[0].0.clone());
    seeds.push(kdump::encode(3, &flatten(&files[1].0, 4096)));
    seeds.push(kdump::encode(130, &streams()[6]));
    seeds
}

/// Small kdump files of every layout and codec, and the offset of their descriptors.
pub fn kdumps() -> Vec<(Vec<u8>, usize)> {
    let kinds = [
        (machine::X86_64, Class::Elf64, Endian::Little, "x86_64"),
        (machine::S390X, Class::Elf64, Endian::Big, "s390x"),
        (machine::I386, Class::Elf32, Endian::Little, "i686"),
        (machine::ARM, Class::Elf32, Endian::Little, "armv7l"),
        (machine::PPC, Class::Elf32, Endian::Big, "ppc"),
    ];
    let mut files = Vec::new();
    for (index, (e_machine, class, endian, name)) in kinds.into_iter().enumerate() {
        let builder = VmcoreBuilder::new(class, endian, e_machine)
            .prstatus(0)
            .vmcoreinfo(VMCOREINFO)
            .load(Load::new(0x1000, vec![0x11; 4096]).memsz(0x3000))
            .load(Load::new(0x8000, [vec![0; 4096], words(1024, 1), vec![0; 4096]].concat()));
        let model = Model::new(&builder, 4096);
        for turn in 0..2 {
            let codec =
                [codec::ZLIB, codec::LZO, codec::SNAPPY, codec::ZSTD, 0][(index + turn) % 5];
            let writer = KdumpWriter {
                codec,
                notes: &builder.note_bytes(),
                machine: name,
                share_zero: turn == 0,
                ..KdumpWriter::new(&model, KdumpLayout::of(e_machine, class, endian))
            };
            files.push(writer.write());
        }
    }
    files.extend([(4096, 16_384), (16_384, 4096)].map(|(block, page)| foreign_blocks(block, page)));
    files
}

/// A kdump file with blocks of `block` bytes, of a kernel with pages of `page` bytes.
fn foreign_blocks(block: u64, page: u64) -> (Vec<u8>, usize) {
    let info = VMCOREINFO.replace("PAGESIZE=4096", &format!("PAGESIZE={page}"));
    let builder = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64)
        .vmcoreinfo(&info)
        .load(Load::new(0x5000, vec![0x11; 8192]).memsz(0x4000))
        .load(Load::new(0x1_0000, words(10_240, 1)));
    let (model, notes) = (Model::new(&builder, block), builder.note_bytes());
    KdumpWriter { codec: codec::LZO, notes: &notes, ..KdumpWriter::new(&model, KdumpLayout::Le64) }
        .write()
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
