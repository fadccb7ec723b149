//! One thread's part of verification: reads and decodes pages, and compares them with the source's.

use std::iter::Peekable;

use crate::codec::Codec;
use crate::dump::reader::{PageDecoder, PageReader, PageRef, Pages};
use crate::dump::{Dump, PageError, PageFault};
use crate::error::Result;
use crate::pages::zero::is_zero;
use crate::pages::{FileRange, Pfn, PfnRange, Position, Span};
use crate::verify::findings::{Finding, FindingKind, Tally};
use crate::verify::missing_pages::MissingPages;

/// The results of checking a batch of pages.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// The pages.
    pub(super) runs: Vec<PfnRange>,
    /// The places in the kdump file of those pages' data that it contains.
    pub(super) places: Vec<(Pfn, FileRange)>,
    /// The pages that are after the end of a kdump file.
    pub(super) after_end: Vec<(Pfn, PageFault)>,
    pub(super) findings: Vec<Finding>,
    pub(super) tally: Tally,
}

impl Checked {
    fn push(&mut self, kind: FindingKind, pfn: Pfn, why: impl Into<String>) {
        self.findings.push(Finding::of_page(kind, pfn, why));
    }
}

/// Checks pages, a batch at a time.
pub(super) struct Worker<'a> {
    dump: &'a Dump,
    reader: PageReader<'a>,
    source: Option<(&'a Dump, PageReader<'a>)>,
    checker: PageChecker<'a>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        dump: &'a Dump,
        source: Option<&'a Dump>,
        says_incomplete: bool,
        missing: &'a MissingPages,
    ) -> Result<Self> {
        let reader = PageReader::new(dump)?;
        let source = source.map(|source| Ok((source, PageReader::new(source)?))).transpose()?;
        let beyond = source.as_ref().filter(|_| !missing.is_exact).and_then(|(source, _)| {
            source.present().map(|run| run.start).find(|start| *start >= dump.max_mapnr())
        });
        let checker = PageChecker { dump, says_incomplete, missing, beyond };
        Ok(Worker { dump, reader, source, checker })
    }

    /// Checks the pages of `runs`; the dump or the source, or both, contain each of them.
    pub(super) fn check(&mut self, runs: Vec<PfnRange>) -> Checked {
        let Worker { dump, reader, source, checker } = self;
        let ours = kept_within(dump, &runs);
        let mut source = source.as_mut().map(|(source, reader)| {
            let (pages, decoder) = reader.load(&kept_within(source, &runs));
            SourcePages { dump: source, pages: pages.peekable(), decoder }
        });
        let mut checked = Checked { runs, ..Checked::default() };
        let (pages, decoder) = reader.load(&ours);
        for (pfn, page) in pages {
            let mut codec = Codec::Raw;
            if let Ok(PageRef::Stored { codec: stored, bytes, offset }) = page {
                codec = stored;
                checked.places.push((pfn, Span::of(offset, bytes.len() as u64)));
            }
            let page = page.map_err(Clone::clone).and_then(|page| decoder.plain(page));
            checker.check(&mut checked, source.as_mut(), pfn, codec, page);
        }
        if let Some(source) = &mut source {
            checker.check_missing(&mut checked, source, Pfn::MAX);
        }
        checked
    }
}

fn kept_within(dump: &Dump, runs: &[PfnRange]) -> Vec<PfnRange> {
    runs.iter().flat_map(|run| dump.kept_within(*run)).collect()
}

/// The pages of the source that are not yet taken, in ascending order.
struct SourcePages<'r> {
    dump: &'r Dump,
    pages: Peekable<Pages<'r>>,
    decoder: &'r mut PageDecoder,
}

impl SourcePages<'_> {
    /// Takes the next page before `end`.
    fn next_before(&mut self, end: Pfn) -> Option<(Pfn, Result<&[u8], PageError>)> {
        let (pfn, page) = self.pages.next_if(|(pfn, _)| *pfn < end)?;
        Some((pfn, page.map_err(Clone::clone).and_then(|page| self.decoder.plain(page))))
    }
}

/// Decides what is wrong with a page.
struct PageChecker<'a> {
    dump: &'a Dump,
    /// Whether the dump says that it is incomplete.
    says_incomplete: bool,
    /// The pages that may be missing.
    missing: &'a MissingPages,
    /// The first page of the source after the end of the dump's memory. makedumpfile drops memory
    /// there, for example the firmware below 4 GiB in QEMU's cores.
    beyond: Option<Pfn>,
}

impl PageChecker<'_> {
    /// Checks a page of the dump, after all earlier pages of the source.
    fn check(
        &self,
        checked: &mut Checked,
        mut source: Option<&mut SourcePages<'_>>,
        pfn: Pfn,
        codec: Codec,
        page: Result<&[u8], PageError>,
    ) {
        checked.tally.checked += 1;
        if let Some(source) = &mut source {
            self.check_missing(checked, source, pfn);
        }
        let source_dump = source.as_ref().map(|source| source.dump);
        let theirs = source.and_then(|source| source.next_before(pfn + 1));
        let page = match page {
            Ok(page) => page,
            Err(why) => {
                if why.fault.is_after_end() {
                    checked.after_end.push((pfn, why.fault));
                }
                checked.findings.push(self.unreadable(pfn, &why));
                return;
            }
        };
        checked.tally.count_good(codec);
        let Some(source) = source_dump else { return };
        match theirs {
            Some(_) if self.missing.is_exact && self.missing.contains(pfn) => {
                checked.push(FindingKind::Invented, pfn, "it should have been excluded");
            }
            Some((_, Ok(theirs))) if theirs == page => checked.tally.equal += 1,
            Some((_, Ok(theirs))) => {
                checked.push(FindingKind::Differs, pfn, difference(page, theirs));
            }
            Some((_, Err(why))) => {
                checked.push(FindingKind::SourceUnreadable, pfn, format!("in the source: {why}"));
            }
            None if source.is_present(pfn) => checked.tally.only_here += 1,
            None => checked.push(FindingKind::Invented, pfn, "the source has no memory there"),
        }
    }

    /// The finding for an unreadable page.
    fn unreadable(&self, pfn: Pfn, why: &PageError) -> Finding {
        let kind = match why.fault {
            PageFault::NotGiven => FindingKind::NotGiven,
            PageFault::Empty if self.says_incomplete => FindingKind::Unwritten,
            PageFault::NotArrived => FindingKind::Unwritten,
            PageFault::Empty
            | PageFault::Descriptor
            | PageFault::DataCutOff
            | PageFault::DataAfterEnd => FindingKind::Descriptor,
            PageFault::DescriptorAfterEnd | PageFault::Unreadable => FindingKind::Unreadable,
            PageFault::Data => FindingKind::Data,
        };
        Finding { offset: why.offset, ..Finding::of_page(kind, pfn, why.to_string()) }
    }

    /// Whether the page is one that the headers of an ELF core place after its end.
    fn is_cut_off(&self, pfn: Pfn) -> bool {
        let missing = self.dump.missing();
        let index = missing.partition_point(|run| run.end <= pfn);
        missing.get(index).is_some_and(|run| run.contains(pfn))
    }

    /// Checks the pages of the source before `end` that are missing from the dump.
    fn check_missing(&self, checked: &mut Checked, source: &mut SourcePages<'_>, end: Pfn) {
        let dump = source.dump;
        while let Some((pfn, page)) = source.next_before(end) {
            self.check_one_missing(checked, dump, pfn, page);
        }
    }

    fn check_one_missing(
        &self,
        checked: &mut Checked,
        source: &Dump,
        pfn: Pfn,
        page: Result<&[u8], PageError>,
    ) {
        let missing = self.missing;
        let tally = &mut checked.tally;
        match page {
            // An ELF core that is cut off: that was found before its pages were read.
            _ if self.is_cut_off(pfn) => {}
            _ if missing.contains(pfn) => tally.excluded_proven += 1,
            _ if self.beyond.is_some_and(|start| pfn >= start) => tally.beyond_the_end += 1,
            _ if !missing.is_exact && !source.has_whole(pfn) => tally.excluded_partial += 1,
            Ok(page) if missing.may_lack_zero_pages() && is_zero(page) => tally.excluded_zero += 1,
            _ if missing.needs_no_proof(pfn) => {
                tally.excluded_by_class += 1;
                tally.first_not_proven = tally.first_not_proven.or(Some(pfn));
            }
            Err(why) => {
                checked.push(FindingKind::SourceUnreadable, pfn, format!("in the source: {why}"));
            }
            Ok(_) if self.says_incomplete => {
                checked.push(FindingKind::Unwritten, pfn, "it is missing from an incomplete dump");
            }
            Ok(_) => checked.push(FindingKind::Missing, pfn, missing.no_excuse()),
        }
    }
}

/// Describes where two different pages differ.
fn difference(page: &[u8], theirs: &[u8]) -> String {
    let differ = || page.iter().zip(theirs).enumerate().filter(|(_, (a, b))| a != b);
    let first = differ().next().map_or(0, |(at, _)| at);
    let count = match differ().count() {
        1 => "1 byte differs".to_owned(),
        count => format!("{count} bytes differ"),
    };
    format!("{count} from the source, the first at offset {first:#x}")
}

/// The runs of pages that at least one of two dumps contains.
pub(super) struct EitherKept<'a> {
    runs: [Peekable<crate::dump::Runs<'a>>; 2],
}

impl<'a> EitherKept<'a> {
    pub(super) fn new(one: &'a Dump, other: &'a Dump) -> Self {
        EitherKept { runs: [one.kept().peekable(), other.kept().peekable()] }
    }

    /// Takes the next run of either dump that starts at or before `end`.
    fn next_from(&mut self, end: Pfn) -> Option<PfnRange> {
        let [one, other] = &mut self.runs;
        one.next_if(|run| run.start <= end).or_else(|| other.next_if(|run| run.start <= end))
    }
}

impl Iterator for EitherKept<'_> {
    type Item = PfnRange;

    fn next(&mut self) -> Option<PfnRange> {
        let [one, other] = &mut self.runs;
        let start = match (one.peek(), other.peek()) {
            (Some(a), Some(b)) => a.start.min(b.start),
            (Some(run), None) | (None, Some(run)) => run.start,
            (None, None) => return None,
        };
        let mut end = start;
        while let Some(run) = self.next_from(end) {
            end = end.max(run.end);
        }
        Some(Span::new(start, end))
    }
}
