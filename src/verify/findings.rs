//! What verifying found: each kind counted, the first of each in full.

use std::collections::BTreeMap;

use crate::codec::Codec;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is lost by it.
    Remark,
    /// The dump lacks what it says itself that it lacks, or could not be verified as a whole.
    Incomplete,
    /// The dump is not what it says it is.
    Damage,
}

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FindingKind {
    /// The stream that the file is in: flattened without an end, a wrong checksum of a .gz.
    Stream,
    /// Headers that contradict each other or lead out of the file.
    Header,
    /// Bits of the bitmaps that should not be set, or counts that do not agree with them.
    Bitmap,
    /// Notes that do not parse, or are not where they should be.
    Notes,
    /// A page descriptor that makes no sense.
    Descriptor,
    /// Data of a page that is in part another's, or the descriptors'.
    Overlap,
    /// Data of a page that is no page.
    Data,
    /// A page that cannot be read, or that the file ends before.
    Unreadable,
    /// A page that was never written, in a dump that says it is incomplete.
    Unwritten,
    /// A page in a file of the set that is not given.
    NotGiven,
    /// The dump says that it is incomplete.
    SaysIncomplete,
    /// A page that is not what it is in the source.
    Differs,
    /// A page that the dump lacks, though its level keeps it.
    Missing,
    /// A page that is no RAM in the source, or was to be left out.
    Invented,
    /// Notes or VMCOREINFO that are not those of the source.
    NotesDiffer,
    /// A page that cannot be compared, as the source's cannot be read.
    SourceUnreadable,
    /// What else is worth knowing.
    Remark,
}

impl FindingKind {
    /// Its name, for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::Stream => "stream",
            FindingKind::Header => "header",
            FindingKind::Bitmap => "bitmap",
            FindingKind::Notes => "notes",
            FindingKind::Descriptor => "descriptor",
            FindingKind::Overlap => "overlap",
            FindingKind::Data => "data",
            FindingKind::Unreadable => "unreadable",
            FindingKind::Unwritten => "unwritten",
            FindingKind::NotGiven => "not-given",
            FindingKind::SaysIncomplete => "says-incomplete",
            FindingKind::Differs => "differs",
            FindingKind::Missing => "missing",
            FindingKind::Invented => "invented",
            FindingKind::NotesDiffer => "notes-differ",
            FindingKind::SourceUnreadable => "source-unreadable",
            FindingKind::Remark => "remark",
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            FindingKind::Remark => Severity::Remark,
            FindingKind::Unwritten
            | FindingKind::NotGiven
            | FindingKind::SaysIncomplete
            | FindingKind::SourceUnreadable => Severity::Incomplete,
            _ => Severity::Damage,
        }
    }

    /// Whether each finding of the kind is a page.
    #[must_use]
    pub fn is_of_pages(self) -> bool {
        !matches!(
            self,
            FindingKind::Stream
                | FindingKind::Header
                | FindingKind::Bitmap
                | FindingKind::Notes
                | FindingKind::SaysIncomplete
                | FindingKind::NotesDiffer
                | FindingKind::Remark
        )
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// The page, if it is of one.
    pub pfn: Option<u64>,
    /// Where in the (unflattened) file.
    pub offset: Option<u64>,
    /// Which file of a set, from 0.
    pub file: usize,
    /// What is wrong.
    pub why: String,
}

impl Finding {
    /// Of the file as a whole.
    pub(crate) fn new(kind: FindingKind, why: impl Into<String>) -> Self {
        Finding { kind, pfn: None, offset: None, file: 0, why: why.into() }
    }

    /// Of a page.
    pub(crate) fn of_page(kind: FindingKind, pfn: u64, why: impl Into<String>) -> Self {
        Finding { pfn: Some(pfn), ..Finding::new(kind, why) }
    }

    pub(crate) fn at(self, offset: u64) -> Self {
        Finding { offset: Some(offset), ..self }
    }

    pub(crate) fn in_file(self, file: usize) -> Self {
        Finding { file, ..self }
    }
}

/// All findings of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub count: u64,
    /// The first of them, in the order of their pages.
    pub examples: Vec<Finding>,
}

/// Pages by what was found of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pages that the dump has, and that were looked at.
    pub checked: u64,
    /// Those that decode to a page each, by their codec in the order of [`Codec::ALL`]; pages of
    /// an ELF core count as not compressed.
    pub good: [u64; Codec::ALL.len()],
    /// Equal to the source's.
    pub equal: u64,
    /// The source has no data for them: nothing to compare with.
    pub only_here: u64,
    /// Left out, of zeros, as the dump level has it.
    pub left_out_zero: u64,
    /// Left out, of a class that the dump level leaves out: the source's struct pages prove it, or
    /// the conversion says so.
    pub left_out_proven: u64,
    /// Left out by a dump level that leaves out whole classes of pages, without proof that it is of
    /// one.
    pub left_out_by_class: u64,
    /// The first of these.
    pub first_not_proven: Option<u64>,
    /// Left out, and the source itself has only a part of the page: makedumpfile drops those.
    pub left_out_partial: u64,
    /// Behind the end of the dump's memory, where makedumpfile cuts it to what the kernel uses:
    /// firmware's memory.
    pub beyond_the_end: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Tally) {
        self.checked += other.checked;
        self.good.iter_mut().zip(other.good).for_each(|(sum, more)| *sum += more);
        self.equal += other.equal;
        self.only_here += other.only_here;
        self.left_out_zero += other.left_out_zero;
        self.left_out_proven += other.left_out_proven;
        self.left_out_by_class += other.left_out_by_class;
        self.first_not_proven = self.first_not_proven.or(other.first_not_proven);
        self.left_out_partial += other.left_out_partial;
        self.beyond_the_end += other.beyond_the_end;
    }

    /// Pages that decode to a page each.
    #[must_use]
    pub fn good_pages(&self) -> u64 {
        self.good.iter().sum()
    }
}

/// What verifying found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    groups: BTreeMap<FindingKind, Group>,
    most: usize,
    /// Pages by what was found of them.
    pub pages: Tally,
    /// Whether it was broken off: what was not looked at may be anything.
    pub cancelled: bool,
}

impl Findings {
    /// None so far, of which the first `most` of each kind are kept in full.
    pub(crate) fn new(most: usize) -> Self {
        Findings { most, ..Findings::default() }
    }

    pub(crate) fn push(&mut self, finding: Finding) {
        let most = self.most;
        let group = self.groups.entry(finding.kind).or_default();
        group.count += 1;
        if group.examples.len() < most {
            group.examples.push(finding);
        }
    }

    /// Counts more of a kind, of which no examples are known.
    pub(crate) fn count_more(&mut self, kind: FindingKind, count: u64) {
        if count > 0 {
            self.groups.entry(kind).or_default().count += count;
        }
    }

    /// The kinds that were found, and what.
    pub fn groups(&self) -> impl Iterator<Item = (FindingKind, &Group)> {
        self.groups.iter().map(|(kind, group)| (*kind, group))
    }

    /// How many there are of a kind.
    #[must_use]
    pub fn count(&self, kind: FindingKind) -> u64 {
        self.groups.get(&kind).map_or(0, |group| group.count)
    }

    /// The worst of them.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.groups.keys().map(|kind| kind.severity()).max()
    }

    /// Whether anything is damaged.
    #[must_use]
    pub fn damaged(&self) -> bool {
        self.severity() == Some(Severity::Damage)
    }
}
