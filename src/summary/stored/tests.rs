use std::io;

use support::elf::{Class, Endian, machine};
use support::kdump_header::KdumpLayout;
use support::kdump_writer::KdumpWriter;
use support::model::Model;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

use super::*;
use crate::dump::{Dump, OpenOptions};
use crate::input::ReadAt;

struct InMemory(Vec<u8>);

impl ReadAt for InMemory {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.0.get(offset as usize..).unwrap_or_default();
        let n = buf.len().min(rest.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn size(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

/// 100 pages: every tenth of noise, the others of zeros.
fn opened(share_zero: bool) -> Dump {
    let mut state = 1u64;
    let mut noise = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let memory: Vec<u8> =
        (0..100 * 4096).map(|at| if at / 4096 % 10 == 5 { noise() } else { 0 }).collect();
    let builder = VmcoreBuilder::new(Class::Elf64, Endian::Little, machine::X86_64)
        .load(Load::new(0x1_0000, memory));
    let model = Model::new(&builder, 4096);
    let writer = KdumpWriter {
        codec: Codec::Zstd.flag(),
        share_zero,
        ..KdumpWriter::new(&model, KdumpLayout::Le64)
    };
    Dump::open(Box::new(InMemory(writer.write().0)), &OpenOptions::default()).unwrap()
}

fn kdump(dump: &Dump) -> &Kdump {
    dump.kdump().unwrap()
}

#[test]
fn a_part_of_a_large_dump_is_spread_over_it() {
    let dump = opened(true);
    let all = Stored::of(kdump(&dump));
    assert_eq!((all.descriptors, all.sampled), (100, 100));
    assert_eq!((all.zero.pages, all.by_codec(Codec::Raw).pages), (90, 10));
    for at_a_time in [1, 3, 10, 30, 99, 100, 1000] {
        for most in [1, 10, 20, 50, 99, 100, 1000] {
            let some = Stored::sample(kdump(&dump), most, at_a_time);
            let seen = some.zero.pages
                + some.by_codec(Codec::Raw).pages
                + some.by_codec(Codec::Zstd).pages;
            assert_eq!((some.sampled, some.unreadable), (seen, 0), "{most}, {at_a_time}");
            assert!(seen <= most.next_multiple_of(at_a_time), "{seen} of {most}, {at_a_time}");
            assert!(most < 100 || seen == 100, "{seen} of {most}, {at_a_time}");
        }
    }
    // Of ten windows with one page of noise each, five.
    let half = Stored::sample(kdump(&dump), 50, 10);
    assert_eq!((half.sampled, half.by_codec(Codec::Raw).pages, half.zero.pages), (50, 5, 45));
}

#[test]
fn zeros_that_are_not_shared_are_their_codecs_but_for_the_first() {
    let dump = opened(false);
    let stored = Stored::of(kdump(&dump));
    // By the dump level, zeros share a page: the first page counts as that, though none shares it.
    assert_eq!((stored.zero.pages, stored.by_codec(Codec::Zstd).pages), (1, 89));
}
