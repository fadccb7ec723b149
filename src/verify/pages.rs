//! One thread's part of verifying: pages read, decoded, and compared with the source's.

use std::io;
use std::ops::Range;

use crate::codec::{Codec, Decoder};
use crate::dump::kdump::{Kdump, PageError, PageFault, StoredPages};
use crate::dump::reader::PageReader;
use crate::dump::{Body, Dump};
use crate::error::Result;
use crate::pages::ranges::count;
use crate::pages::zero::is_zero;
use crate::verify::findings::{Finding, FindingKind, Tally};
use crate::verify::lacking::MissingPages;

/// What was found of some pages.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// The pages.
    pub(super) runs: Vec<Range<u64>>,
    /// Where the data of those is that a kdump file has.
    pub(super) places: Vec<(u64, Range<u64>)>,
    pub(super) findings: Vec<Finding>,
    pub(super) tally: Tally,
}

impl Checked {
    fn fault(&mut self, kind: FindingKind, pfn: u64, why: impl Into<String>) {
        self.findings.push(Finding::of_page(kind, pfn, why));
    }
}

/// Looks at pages, some at a time.
pub(super) struct Checker<'a> {
    dump: &'a Dump,
    /// Of an ELF core, or of a kdump file.
    own: Own<'a>,
    source: Option<Source<'a>>,
    page_size: usize,
    judge: Judge<'a>,
}

enum Own<'a> {
    Elf { reader: PageReader<'a>, pages: Loaded },
    Kdump { kdump: &'a Kdump, decoder: Decoder, stored: StoredPages, page: Vec<u8> },
}

struct Source<'a> {
    dump: &'a Dump,
    reader: PageReader<'a>,
    pages: Loaded,
}

/// Decoded pages of some runs.
#[derive(Default)]
struct Loaded {
    bytes: Vec<u8>,
    /// Index among the pages, and why it cannot be had; ascending.
    missing: Vec<(u64, io::Error)>,
}

impl Loaded {
    fn load(&mut self, reader: &mut PageReader<'_>, runs: &[Range<u64>], page_size: usize) {
        self.missing.clear();
        let pages = usize::try_from(count(runs)).unwrap_or(usize::MAX);
        self.bytes.resize(pages.saturating_mul(page_size), 0);
        let mut rest = self.bytes.as_mut_slice();
        let mut done = 0;
        for run in runs {
            let pages = run.end - run.start;
            let bytes = usize::try_from(pages).unwrap_or(usize::MAX).saturating_mul(page_size);
            let (part, behind) = rest.split_at_mut(bytes.min(rest.len()));
            let missing = &mut self.missing;
            reader.read(run.start, part, &mut |index, error| {
                if missing.last().is_none_or(|(last, _)| *last != done + index) {
                    missing.push((done + index, error));
                }
            });
            done += pages;
            rest = behind;
        }
    }

    /// The pages in their order.
    fn pages(&self, page_size: usize) -> impl Iterator<Item = Result<&[u8], &io::Error>> {
        let mut missing = self.missing.iter().peekable();
        (0..).zip(self.bytes.chunks_exact(page_size)).map(move |(index, page)| {
            match missing.next_if(|(at, _)| *at == index) {
                Some((_, error)) => Err(error),
                None => Ok(page),
            }
        })
    }
}

impl<'a> Checker<'a> {
    pub(super) fn new(
        dump: &'a Dump,
        source: Option<&'a Dump>,
        says_incomplete: bool,
        lacking: &'a MissingPages,
    ) -> Result<Self> {
        let apart = source.filter(|_| !lacking.exact).and_then(|source| {
            source.present().map(|run| run.start).find(|start| *start >= dump.max_mapnr())
        });
        let page_size = usize::try_from(dump.page_size()).unwrap_or(usize::MAX);
        let own = match &dump.body() {
            Body::Elf(_) => Own::Elf { reader: PageReader::new(dump)?, pages: Loaded::default() },
            Body::Kdump(kdump) => Own::Kdump {
                kdump,
                decoder: Decoder::new()?,
                stored: StoredPages::default(),
                page: vec![0; page_size],
            },
        };
        let source = source.map(|dump| {
            Ok(Source { dump, reader: PageReader::new(dump)?, pages: Loaded::default() })
        });
        let source = source.transpose()?;
        let judge = Judge { dump, says_incomplete, lacking, apart };
        Ok(Checker { dump, own, source, page_size, judge })
    }

    /// Looks at the pages of `runs`, which the dump or the source has.
    pub(super) fn check(&mut self, runs: Vec<Range<u64>>) -> Checked {
        let mut checked = Checked { runs, ..Checked::default() };
        let Checker { dump, own, source, page_size, judge } = self;
        let within = |dump: &Dump| -> Vec<Range<u64>> {
            checked.runs.iter().flat_map(|run| dump.kept_within(run.clone())).collect()
        };
        let ours = within(dump);
        let theirs = source.as_ref().map(|source| within(source.dump)).unwrap_or_default();
        let judge = *judge;
        let mut wanted = None;
        if let Some(Source { dump, reader, pages }) = source {
            pages.load(reader, &theirs, *page_size);
            let there = theirs.iter().cloned().flatten().zip(pages.pages(*page_size)).peekable();
            wanted = Some(Wanted { source: dump, there });
        }
        match own {
            Own::Elf { reader, pages } => {
                pages.load(reader, &ours, *page_size);
                for (pfn, page) in ours.into_iter().flatten().zip(pages.pages(*page_size)) {
                    let page = page.map_err(|why| {
                        Finding::of_page(FindingKind::Unreadable, pfn, why.to_string())
                    });
                    judge.own(&mut checked, &mut wanted, pfn, page.map(|page| (Codec::Raw, page)));
                }
            }
            Own::Kdump { kdump, decoder, stored, page } => {
                kdump.load(&ours, stored);
                for (pfn, slot) in ours.into_iter().flatten().zip(&stored.pages) {
                    let got = match slot {
                        Err(error) => Err(judge.unfit(pfn, error)),
                        Ok(found) => {
                            checked.places.push((pfn, found.extent()));
                            let data = stored.data(found);
                            // A raw page has a page's size, and is what it is.
                            if found.codec == Codec::Raw {
                                Ok((found.codec, data))
                            } else {
                                stored
                                    .decode(found, decoder, page)
                                    .map(|()| (found.codec, page.as_slice()))
                                    .map_err(|why| {
                                        Finding::of_page(FindingKind::Data, pfn, why)
                                            .at(found.extent().start)
                                    })
                            }
                        }
                    };
                    judge.own(&mut checked, &mut wanted, pfn, got);
                }
            }
        }
        if let Some(wanted) = wanted {
            for (pfn, page) in wanted.there {
                judge.left_out(&mut checked, wanted.source, pfn, page);
            }
        }
        checked
    }
}

/// Pages of the source that are still to be looked for, ascending.
struct Wanted<'a, Pages: Iterator> {
    source: &'a Dump,
    there: std::iter::Peekable<Pages>,
}

#[derive(Clone, Copy)]
struct Judge<'a> {
    dump: &'a Dump,
    /// Whether the dump says that it lacks pages.
    says_incomplete: bool,
    /// What it may lack.
    lacking: &'a MissingPages,
    /// The first page of memory that lies apart from all that the dump has room for: such as the
    /// firmware below 4 GiB in QEMU's cores, which makedumpfile drops.
    apart: Option<u64>,
}

impl Judge<'_> {
    /// What is wrong with a page that cannot be had.
    fn unfit(&self, pfn: u64, error: &PageError) -> Finding {
        let kind = match error.fault {
            PageFault::NotGiven => FindingKind::NotGiven,
            PageFault::Empty if self.says_incomplete => FindingKind::Unwritten,
            PageFault::Empty | PageFault::Descriptor => FindingKind::Descriptor,
            PageFault::Unreadable => FindingKind::Unreadable,
        };
        Finding { offset: error.offset, ..Finding::of_page(kind, pfn, error.to_string()) }
    }

    /// Judges a page that the dump has, and those of the source that come before it.
    fn own<'b>(
        &self,
        checked: &mut Checked,
        wanted: &mut Option<
            Wanted<'_, impl Iterator<Item = (u64, Result<&'b [u8], &'b io::Error>)>>,
        >,
        pfn: u64,
        page: Result<(Codec, &[u8]), Finding>,
    ) {
        checked.tally.checked += 1;
        let mut theirs = None;
        if let Some(wanted) = wanted {
            while let Some((at, page)) = wanted.there.next_if(|(at, _)| *at <= pfn) {
                if at == pfn {
                    theirs = Some(page);
                } else {
                    self.left_out(checked, wanted.source, at, page);
                }
            }
        }
        let page = match page {
            Ok((codec, page)) => {
                let good = (0..).zip(&mut checked.tally.good);
                let mut same = good.filter(|(at, _)| Codec::ALL.get(*at) == Some(&codec));
                if let Some((_, good)) = same.next() {
                    *good += 1;
                }
                page
            }
            Err(finding) => {
                checked.findings.push(finding);
                return;
            }
        };
        let Some(wanted) = wanted else { return };
        match theirs {
            Some(_) if self.lacking.exact && self.lacking.has(pfn) => {
                checked.fault(FindingKind::Invented, pfn, "it was to be left out");
            }
            Some(Ok(theirs)) if theirs == page => checked.tally.equal += 1,
            Some(Ok(theirs)) => {
                let differ = page.iter().zip(theirs).filter(|(a, b)| a != b).count();
                let first = page.iter().zip(theirs).position(|(a, b)| a != b).unwrap_or(0);
                let why = format!(
                    "{differ} of its bytes are not those of the source, the first at {first:#x}"
                );
                checked.fault(FindingKind::Differs, pfn, why);
            }
            Some(Err(why)) => checked.fault(FindingKind::SourceUnreadable, pfn, why.to_string()),
            None if wanted.source.is_present(pfn) => checked.tally.only_here += 1,
            None => checked.fault(FindingKind::Invented, pfn, "the source has no RAM there"),
        }
    }

    /// Judges a page of the source that the dump does not have.
    fn left_out(
        &self,
        checked: &mut Checked,
        source: &Dump,
        pfn: u64,
        page: Result<&[u8], &io::Error>,
    ) {
        let level = self.dump.dump_level();
        let partial = match &source.body() {
            Body::Elf(core) => !core.memory.has_whole(pfn),
            Body::Kdump(_) => false,
        };
        let exact = self.lacking.exact;
        match page {
            _ if self.lacking.has(pfn) => checked.tally.left_out_proven += 1,
            _ if self.apart.is_some_and(|start| pfn >= start) => {
                checked.tally.beyond_the_end += 1;
            }
            _ if partial && !exact => checked.tally.left_out_partial += 1,
            Ok(page) if !exact && level.shares_zero_pages() && is_zero(page) => {
                checked.tally.left_out_zero += 1;
            }
            _ if !exact && level.excludes_classes() => {
                checked.tally.left_out_by_class += 1;
                checked.tally.first_not_proven = checked.tally.first_not_proven.or(Some(pfn));
            }
            Err(why) => checked.fault(FindingKind::SourceUnreadable, pfn, why.to_string()),
            Ok(_) if self.says_incomplete => {
                checked.fault(FindingKind::Unwritten, pfn, "the dump is incomplete, and lacks it");
            }
            Ok(_) => checked.fault(FindingKind::Missing, pfn, self.lacking.no_excuse(level)),
        }
    }
}
