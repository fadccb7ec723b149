//! What verification found: how many findings of each kind, and the first of each kind in full.

use std::collections::BTreeMap;

use crate::codec::Codec;
use crate::pages::{FileOffset, Pfn};
use crate::summary::Coverage;
use crate::verify::cut_off::CutOff;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is lost.
    Remark,
    /// Pages are missing from the dump, as it says itself, or could not be verified.
    Incomplete,
    /// The dump is not what it says it is.
    Damage,
}

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FindingKind {
    /// A fault of the stream around the file, such as a missing end mark of a flattened file or a wrong
    /// checksum of a .gz file.
    Stream,
    /// Headers that contradict each other or point outside the file.
    Header,
    /// Bits of a bitmap that should not be set, or a bitmap that contradicts the page descriptors.
    Bitmap,
    /// Notes that cannot be parsed, or are not where they should be.
    Notes,
    /// An implausible page descriptor.
    Descriptor,
    /// Data of a page that overlaps the data of another page, or the page descriptors.
    Overlap,
    /// Data of a page that does not decode to a page.
    Data,
    /// A page that cannot be read, or is after the end of the file.
    Unreadable,
    /// A page that was never written, in a dump that says that it is incomplete.
    Unwritten,
    /// A page in a file of the split set that was not given.
    NotGiven,
    /// The dump says that it is incomplete.
    SaysIncomplete,
    /// A page whose bytes differ from the source's.
    Differs,
    /// A page that is missing from the dump, although the dump level keeps it, or, if the dump level is
    /// not known, without proof that any level excludes it.
    Missing,
    /// A page that is a hole in the source, or should have been excluded.
    Invented,
    /// Notes or VMCOREINFO that differ from the source's.
    NotesDiffer,
    /// A page that cannot be compared, because it is unreadable in the source.
    SourceUnreadable,
    /// Anything else that is worth knowing.
    Remark,
}

impl FindingKind {
    /// All kinds.
    pub const ALL: [FindingKind; 17] = [
        FindingKind::Stream,
        FindingKind::Header,
        FindingKind::Bitmap,
        FindingKind::Notes,
        FindingKind::Descriptor,
        FindingKind::Overlap,
        FindingKind::Data,
        FindingKind::Unreadable,
        FindingKind::Unwritten,
        FindingKind::NotGiven,
        FindingKind::SaysIncomplete,
        FindingKind::Differs,
        FindingKind::Missing,
        FindingKind::Invented,
        FindingKind::NotesDiffer,
        FindingKind::SourceUnreadable,
        FindingKind::Remark,
    ];

    /// The name of the kind in reports.
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

    /// Whether every finding of this kind is about a single page.
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

/// A single finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub kind: FindingKind,
    /// The page, if the finding is about a single page.
    pub pfn: Option<Pfn>,
    /// Offset of the fault in the (unflattened) file.
    pub offset: Option<FileOffset>,
    /// The index of the file in a split set, from 0.
    pub file: usize,
    /// What is wrong.
    pub why: String,
}

impl Finding {
    /// A finding about the file as a whole.
    pub(crate) fn new(kind: FindingKind, why: impl Into<String>) -> Self {
        Finding { kind, pfn: None, offset: None, file: 0, why: why.into() }
    }

    /// A finding about a page.
    pub(crate) fn of_page(kind: FindingKind, pfn: Pfn, why: impl Into<String>) -> Self {
        Finding { pfn: Some(pfn), ..Finding::new(kind, why) }
    }

    pub(crate) fn at(self, offset: FileOffset) -> Self {
        Finding { offset: Some(offset), ..self }
    }

    pub(crate) fn in_file(self, file: usize) -> Self {
        Finding { file, ..self }
    }
}

/// All findings of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Their number.
    pub count: u64,
    /// The first of them, in ascending order of their pages.
    pub examples: Vec<Finding>,
}

/// Numbers of pages by the result of their check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pages of the dump that were checked, also those that it should have but lacks.
    pub checked: u64,
    /// Pages whose data decodes to exactly one page, by codec in the order of [`Codec::ALL`]. Pages of
    /// an ELF core count as raw.
    pub good: [u64; Codec::ALL.len()],
    /// Pages that are equal to the source's.
    pub equal: u64,
    /// Pages that cannot be compared, because the source has no data for them.
    pub only_here: u64,
    /// Excluded zero pages, where the dump level excludes zero pages.
    pub excluded_zero: u64,
    /// Excluded pages that are proven to belong to a class that the dump level excludes, by the struct
    /// pages of the source or by the conversion itself.
    pub excluded_proven: u64,
    /// Excluded pages that are not proven to belong to a class that the dump level excludes.
    pub excluded_by_class: u64,
    /// The first page that is not proven.
    pub first_not_proven: Option<Pfn>,
    /// Excluded pages that the source contains only in part; makedumpfile drops such pages.
    pub excluded_partial: u64,
    /// Pages of the source after the last page of the dump's memory. makedumpfile drops memory there
    /// that the kernel does not use, for example firmware.
    pub beyond_the_end: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Tally) {
        self.checked += other.checked;
        self.good.iter_mut().zip(other.good).for_each(|(sum, more)| *sum += more);
        self.equal += other.equal;
        self.only_here += other.only_here;
        self.excluded_zero += other.excluded_zero;
        self.excluded_proven += other.excluded_proven;
        self.excluded_by_class += other.excluded_by_class;
        self.first_not_proven = self.first_not_proven.or(other.first_not_proven);
        self.excluded_partial += other.excluded_partial;
        self.beyond_the_end += other.beyond_the_end;
    }

    /// Counts a page that its codec decodes.
    #[expect(clippy::indexing_slicing, reason = "each codec has a place in Codec::ALL")]
    pub(crate) fn count_good(&mut self, codec: Codec) {
        self.good[codec.index()] += 1;
    }

    /// The number of pages that decode to exactly a page.
    #[must_use]
    pub fn good_pages(&self) -> u64 {
        self.good.iter().sum()
    }
}

/// All that verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    groups: BTreeMap<FindingKind, Group>,
    most: usize,
    /// Numbers of pages by the result of their check.
    pub pages: Tally,
    /// The files that are cut off; each page that they lack is a finding as well.
    pub cut_off: Vec<CutOff>,
    /// How much of each part of memory the dump has, if it is incomplete.
    pub coverage: Option<Coverage>,
    /// Whether the caller cancelled. Pages that were not checked then may have any fault.
    pub cancelled: bool,
}

impl Findings {
    /// No findings yet; the first `most` of each kind will be kept in full.
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

    /// Counts `count` more of a kind, without examples.
    pub(crate) fn count_more(&mut self, kind: FindingKind, count: u64) {
        if count > 0 {
            self.groups.entry(kind).or_default().count += count;
        }
    }

    /// The findings, by kind.
    pub fn groups(&self) -> impl Iterator<Item = (FindingKind, &Group)> {
        self.groups.iter().map(|(kind, group)| (*kind, group))
    }

    /// The number of findings of a kind.
    #[must_use]
    pub fn count(&self, kind: FindingKind) -> u64 {
        self.groups.get(&kind).map_or(0, |group| group.count)
    }

    /// The severity of the worst finding; `None` if there are no findings.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.groups.keys().map(|kind| kind.severity()).max()
    }

    /// Whether the dump is damaged.
    #[must_use]
    pub fn damaged(&self) -> bool {
        self.severity() == Some(Severity::Damage)
    }
}
