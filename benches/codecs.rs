//! The cost of a page: converting and verifying dumps in memory, by codec and by what pages hold.
//!
//! `cargo bench --bench codecs`, or a part of it: `cargo bench --bench codecs -- zstd/pointers`.
//! `KDUMPCONV_BENCH_VMCORE=FILE` adds the class `vmcore`: pages of a real one, spread over all of it.
//! The groups are `CODEC` (conversion at dump level 0, so that pages of zeros are compressed as well),
//! `CODEC-verify`, and `is_zero` (the search for zeros, of pages that are stored raw or not at all).
//! `cargo bench -p lzokit` measures LZO1X alone.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a benchmark may panic; criterion's macros write functions without documentation"
)]

use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kdumpconv::fixtures::{Load, VmcoreBuilder, VmcoreinfoText};
use kdumpconv::{
    Architecture, Codec, ConvertOptions, Dump, DumpLevel, NullSink, SeekSink, Severity,
    VerifyOptions, convert, verify,
};
use support::elf_reader::ElfCore;
use support::model::{Expected, PageClass};

const PAGE_BYTES: usize = 4096;
/// 4 MiB: more than the caches nearest to a core hold, as in a real run.
const PAGES_OF_A_CLASS: usize = 1024;

type Page = Vec<u8>;

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }
}

/// Words of a log.
fn text(random: &mut Random, bytes: usize) -> Page {
    const WORDS: [&str; 16] = [
        "kernel", "page", "0x", "device", "[    0.", "ACPI:", "pci", "mem", "reserved", "\n",
        " at ", "eth0", "usb", "init", "memory", "CPU",
    ];
    let mut page = Vec::new();
    while page.len() < bytes {
        page.extend_from_slice(WORDS[random.below(16) as usize].as_bytes());
        page.extend_from_slice(random.below(1000).to_string().as_bytes());
        page.push(b' ');
    }
    page.truncate(bytes);
    page
}

/// Structures of a kernel: addresses, small numbers, zeros.
fn pointers(random: &mut Random, bytes: usize) -> Page {
    let words = (0..bytes / 8).map(|_| match random.below(4) {
        0 => 0,
        1 => random.below(256),
        _ => 0xffff_8880_0000_0000 + (random.below(1 << 20) << 6),
    });
    words.flat_map(u64::to_le_bytes).collect()
}

fn noise(random: &mut Random, bytes: usize) -> Page {
    (0..bytes / 8).flat_map(|_| random.next().to_le_bytes()).collect()
}

/// A quarter each of text, pointers, noise and zeros.
fn mixed(random: &mut Random, bytes: usize) -> Page {
    let part = bytes / 4;
    [text(random, part), pointers(random, part), noise(random, part), vec![0; part]].concat()
}

/// Pages with any data of a real vmcore, at even distances.
fn real_pages(path: &Path) -> Vec<Page> {
    let model = ElfCore::open(path).unwrap().model(PAGE_BYTES as u64);
    let data = model.runs().iter().filter(|run| run.class == PageClass::Data);
    let pfns: Vec<u64> = data.flat_map(|run| run.pfns.clone()).collect();
    // Half of a typical memory is zeros.
    let step = (pfns.len() / PAGES_OF_A_CLASS / 2).max(1);
    let pages = pfns.into_iter().step_by(step).filter_map(|pfn| match model.page(pfn) {
        Expected::Data(page) if page.iter().any(|&byte| byte != 0) => Some(page),
        _ => None,
    });
    pages.take(PAGES_OF_A_CLASS).collect()
}

fn classes() -> Vec<(&'static str, Vec<Page>)> {
    type Class = (&'static str, fn(&mut Random, usize) -> Page);
    let classes: [Class; 5] = [
        ("zero", |_, bytes| vec![0; bytes]),
        ("text", text),
        ("pointers", pointers),
        ("random", noise),
        ("mixed", mixed),
    ];
    let mut random = Random(0x6b64_756d_7063_6f6e);
    let pages = |make: fn(&mut Random, usize) -> Page, random: &mut Random| {
        (0..PAGES_OF_A_CLASS).map(|_| make(random, PAGE_BYTES)).collect()
    };
    let mut all: Vec<(&str, Vec<Page>)> =
        classes.map(|(name, make)| (name, pages(make, &mut random))).into();
    if let Some(path) = std::env::var_os("KDUMPCONV_BENCH_VMCORE") {
        all.push(("vmcore", real_pages(Path::new(&path))));
    }
    all
}

/// An ELF vmcore of these pages.
fn vmcore(pages: &[Page]) -> Dump {
    let vmcoreinfo = VmcoreinfoText::new("6.12.0-bench", PAGE_BYTES as u64);
    let memory = 0..(pages.len() * PAGE_BYTES) as u64;
    let mut builder =
        VmcoreBuilder::new(Architecture::X86_64).vmcoreinfo(vmcoreinfo).load(Load::new(memory));
    for (pfn, page) in (0..).zip(pages) {
        builder = builder.page(pfn, page);
    }
    Dump::of_bytes(builder.to_vec().unwrap()).unwrap()
}

fn options(codec: Codec, level: u32) -> ConvertOptions {
    let dump_level = DumpLevel::new(level).unwrap();
    ConvertOptions::default().codec(codec).dump_level(dump_level)
}

fn throughput(pages: &[Page]) -> Throughput {
    Throughput::Bytes((pages.len() * PAGE_BYTES) as u64)
}

fn bench_convert(criterion: &mut Criterion) {
    for (class, pages) in classes() {
        let dump = vmcore(&pages);
        for codec in Codec::ALL {
            let mut group = criterion.benchmark_group(codec.name());
            group.throughput(throughput(&pages));
            let options = options(codec, 0);
            group.bench_function(class, |bencher| {
                bencher.iter(|| convert(&dump, &mut NullSink, &options, &mut |_| ()).unwrap());
            });
            group.finish();
        }
    }
}

fn bench_verify(criterion: &mut Criterion) {
    let verify_options = VerifyOptions::default();
    for (class, pages) in classes() {
        let dump = vmcore(&pages);
        for codec in Codec::ALL {
            let mut sink = SeekSink::in_memory();
            convert(&dump, &mut sink, &options(codec, 0), &mut |_| ()).unwrap();
            let kdump = Dump::of_bytes(sink.into_vec()).unwrap();
            let check = || verify(&kdump, None, &verify_options, &mut |_| ()).unwrap();
            assert_ne!(check().severity(), Some(Severity::Damage), "{class}, {codec:?}");
            let mut group = criterion.benchmark_group(format!("{}-verify", codec.name()));
            group.throughput(throughput(&pages));
            group.bench_function(class, |bencher| bencher.iter(check));
            group.finish();
        }
    }
}

fn bench_is_zero(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("is_zero");
    let mut classes = classes();
    let last_byte = (0..PAGES_OF_A_CLASS).map(|_| {
        let mut page = vec![0; PAGE_BYTES];
        page[PAGE_BYTES - 1] = 1;
        page
    });
    classes.push(("last-byte", last_byte.collect()));
    let options = options(Codec::Raw, 1);
    for (class, pages) in &classes {
        let dump = vmcore(pages);
        group.throughput(throughput(pages));
        group.bench_function(*class, |bencher| {
            bencher.iter(|| convert(&dump, &mut NullSink, &options, &mut |_| ()).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, bench_convert, bench_verify, bench_is_zero);
criterion_main!(benches);
