use std::io;

use support::elf::{Class as ElfClass, Endian, machine};
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

use super::*;
use crate::dump::OpenOptions;
use crate::input::ReadAt;
use crate::sink::{FileEnd, Sink};
use crate::verify::verify;

/// A core of the pages `pfns`, each full of its number.
fn core(pfns: &[u8]) -> Dump {
    let empty = VmcoreBuilder::new(ElfClass::Elf64, Endian::Little, machine::X86_64);
    let builder = pfns.iter().fold(empty, |builder, pfn| {
        builder.load(Load::new(u64::from(*pfn) << 12, vec![*pfn; 4096]))
    });
    dump(builder.build())
}

fn dump(bytes: Vec<u8>) -> Dump {
    Dump::open(Box::new(Bytes(bytes)), &OpenOptions::default()).unwrap()
}

/// A file in memory.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl ReadAt for Bytes {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.0.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn size(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

impl Sink for Bytes {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let end = start + bytes.len();
        self.0.resize(self.0.len().max(end), 0);
        self.0[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn close(&mut self, end: FileEnd<'_>) -> io::Result<u64> {
        end.write_header(self)?;
        self.0.resize(usize::try_from(end.size).unwrap(), 0);
        Ok(end.size)
    }
}

/// A kdump file of `core` that says `level`.
fn converted(core: &Dump, level: u8) -> Dump {
    let mut sink = Bytes::default();
    crate::convert(core, &mut sink, &crate::ConvertOptions::default(), &mut |_| ()).unwrap();
    // dump_level of the sub header.
    sink.0[4096 + 8] = level;
    dump(sink.0)
}

/// The findings for a dump of the pages `pfns`, whose source has pages 1 to 6 and whose conversion is
/// said to have excluded the pages of `exactly`.
fn found(pfns: &[u8], exactly: &[u8]) -> Vec<(FindingKind, u64, Option<u64>)> {
    let bitmap = exactly.iter().fold(0, |bits, pfn| bits | 1 << pfn);
    let mut set = PageSet::default();
    set.push(&[bitmap]);
    let options = VerifyOptions { exactly: Some(Arc::new(set)), ..VerifyOptions::default() };
    let dump = converted(&core(pfns), 31);
    let findings = verify(&dump, Some(&core(&[1, 2, 3, 4, 5, 6])), &options, &mut |_| ()).unwrap();
    let excluded = 6 - pfns.len() as u64 - findings.count(FindingKind::Missing);
    assert_eq!(findings.pages.excluded_proven, excluded);
    let groups = findings.groups().filter(|(kind, _)| *kind != FindingKind::Remark);
    groups.map(|(kind, group)| (kind, group.count, group.examples[0].pfn.map(Pfn::get))).collect()
}

#[test]
fn a_dump_that_is_read_back_has_all_pages_but_the_excluded_ones() {
    assert_eq!(found(&[1, 2, 4, 6], &[3, 5]), []);
    assert_eq!(found(&[1, 2, 3, 4, 5, 6], &[]), []);
    assert_eq!(found(&[1, 2, 4, 6], &[3]), [(FindingKind::Missing, 1, Some(5))]);
    assert_eq!(found(&[1, 2, 6], &[]), [(FindingKind::Missing, 3, Some(3))]);
    assert_eq!(found(&[1, 2, 3, 4, 6], &[3, 4, 5]), [(FindingKind::Invented, 2, Some(3))]);
}

#[test]
fn struct_pages_are_examined_only_if_pages_are_missing() {
    let source = core(&[1, 2, 3]);
    let same =
        MissingPages::new(&core(&[1, 2, 3]), Some(&source), &VerifyOptions::default()).unwrap();
    assert!(same.unknown.is_empty());
    let less = converted(&core(&[1, 3]), 4);
    let less = MissingPages::new(&less, Some(&source), &VerifyOptions::default()).unwrap();
    assert_eq!(
        less.unknown,
        ["cache, private-cache pages cannot be identified: the dump has no VMCOREINFO"]
    );
    assert!(!less.contains(Pfn::new(2)) && !less.is_exact && !less.knows_always_excluded);
}
