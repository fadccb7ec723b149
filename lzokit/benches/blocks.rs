//! Compression and decompression of blocks of 4 KiB, by what they hold.
//!
//! `cargo bench -p lzokit`, or a part of it: `cargo bench -p lzokit -- decompress/pointers`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a benchmark may panic; criterion's macros write functions without documentation"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lzokit::{Encoder, decompress_into, max_compressed_len};

const BLOCK: usize = 4096;
/// 4 MiB in all: more than the caches nearest to a core hold.
const BLOCKS: usize = 1024;

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

/// Words and numbers, as in a log.
fn text(random: &mut Random) -> Vec<u8> {
    const WORDS: [&str; 8] =
        ["kernel ", "page ", "device 0x", "[    0.", "ACPI: ", "reserved\n", "eth0: ", "memory "];
    let mut block = Vec::new();
    while block.len() < BLOCK {
        block.extend_from_slice(WORDS[random.below(8) as usize].as_bytes());
        block.extend_from_slice(random.below(1000).to_string().as_bytes());
    }
    block.truncate(BLOCK);
    block
}

/// Addresses, small numbers and zeros, as in a kernel's structures.
fn pointers(random: &mut Random) -> Vec<u8> {
    let words = (0..BLOCK / 8).map(|_| match random.below(4) {
        0 => 0,
        1 => random.below(256),
        _ => 0xffff_8880_0000_0000 + (random.below(1 << 20) << 6),
    });
    words.flat_map(u64::to_le_bytes).collect()
}

fn noise(random: &mut Random) -> Vec<u8> {
    (0..BLOCK / 8).flat_map(|_| random.next().to_le_bytes()).collect()
}

fn classes() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let mut random = Random(0x6c7a_6f6b_6974);
    let mut blocks = |block: fn(&mut Random) -> Vec<u8>| -> Vec<Vec<u8>> {
        (0..BLOCKS).map(|_| block(&mut random)).collect()
    };
    vec![
        ("zeros", blocks(|_| vec![0; BLOCK])),
        ("text", blocks(text)),
        ("pointers", blocks(pointers)),
        ("noise", blocks(noise)),
    ]
}

fn compress(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compress");
    let mut encoder = Encoder::new();
    let mut stream = vec![0; max_compressed_len(BLOCK)];
    for (class, blocks) in classes() {
        group.throughput(Throughput::Bytes((BLOCKS * BLOCK) as u64));
        group.bench_function(class, |bencher| {
            bencher.iter(|| {
                for block in &blocks {
                    black_box(encoder.compress_into(black_box(block), &mut stream)).unwrap();
                }
            });
        });
    }
    group.finish();
}

fn decompress(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decompress");
    let mut encoder = Encoder::new();
    let mut output = vec![0; BLOCK];
    for (class, blocks) in classes() {
        let streams: Vec<Vec<u8>> = blocks
            .iter()
            .map(|block| {
                let mut stream = vec![0; max_compressed_len(BLOCK)];
                let len = encoder.compress_into(block, &mut stream).unwrap();
                stream.truncate(len);
                stream
            })
            .collect();
        group.throughput(Throughput::Bytes((BLOCKS * BLOCK) as u64));
        group.bench_function(class, |bencher| {
            bencher.iter(|| {
                for stream in &streams {
                    black_box(decompress_into(black_box(stream), &mut output)).unwrap();
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, compress, decompress);
criterion_main!(benches);
