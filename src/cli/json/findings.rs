//! What was found in a dump that was checked.

use kdumpconv::{Codec, CutOff, Finding, FindingKind, Findings, Group, Severity, Tally};
use serde::{Serialize, Serializer};

use super::codecs::ByCodec;
use super::coverage::CoverageJson;
use super::number::{Address, Count};

/// What was found in a dump that was checked.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Findings"))]
pub(crate) struct FindingsJson {
    /// Whether the whole dump was checked, is complete, and nothing in it is wrong.
    good: bool,
    /// Whether anything in it is wrong.
    damaged: bool,
    /// Whether pages are missing from it, or could not be checked.
    incomplete: bool,
    /// Whether a signal ended the check.
    cancelled: bool,
    /// Numbers of pages.
    pages: CheckedPages,
    /// How its pages compare with those of the other dump; null if there is none.
    comparison: Option<Comparison>,
    /// The files that are cut off; each page that they lack is among the findings as well.
    cut_off: Vec<CutOffJson>,
    /// How much of each part of memory the dump has; null if it is complete, or a pipe.
    coverage: Option<CoverageJson>,
    /// The findings by kind.
    findings: Vec<FindingGroup>,
}

/// A file that is cut off.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "CutOff"))]
struct CutOffJson {
    /// The file of a split set, by its number from 0.
    file: usize,
    /// Bytes of the file: it ends there.
    bytes: Count,
    /// The pages that it lacks.
    pages: Count,
}

/// Numbers of pages that were checked.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
struct CheckedPages {
    /// Pages that were checked, also those that the dump should have but lacks.
    checked: Count,
    /// Pages whose data decodes to exactly a page.
    good: Count,
    /// The good pages by codec; those of an ELF vmcore are not compressed.
    by_codec: ByCodec<Count>,
}

/// How pages compare with those of the other dump, the source.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
struct Comparison {
    /// Pages that are equal to the source's.
    equal: Count,
    /// Pages of which the source has no data.
    only_in_dump: Count,
    /// Excluded pages of zeros, where the dump level excludes them.
    excluded_zero: Count,
    /// Excluded pages of which the source's struct pages prove that the dump level excludes them.
    excluded_proven: Count,
    /// Excluded pages of which nothing proves that the dump level excludes them.
    excluded_unproven: Count,
    /// The page frame number of the first of those; null if there is none.
    first_unproven: Option<Count>,
    /// Excluded pages that the source has only in part.
    excluded_partial: Count,
    /// Pages of the source beyond the end of the dump's memory.
    beyond_the_end: Count,
}

/// The findings of one kind.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
struct FindingGroup {
    /// What kind of finding.
    kind: KindName,
    /// How bad it is.
    severity: SeverityName,
    /// How many there are.
    count: Count,
    /// The first of them, as many as --examples says.
    examples: Vec<FindingJson>,
}

/// One finding.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Finding"))]
struct FindingJson {
    /// The file of a split set, by its number from 0.
    file: usize,
    /// The page frame number; null if the finding is about no single page.
    pfn: Option<Count>,
    /// Where it is in the file, as it is when unflattened; null if it is at no single place.
    offset: Option<Address>,
    /// What is wrong.
    why: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema), schemars(rename = "Severity"))]
enum SeverityName {
    /// Worth knowing; nothing is lost.
    Remark,
    /// Pages are missing from the dump, or could not be checked.
    Incomplete,
    /// The dump is not what it says it is.
    Damage,
}

impl From<Severity> for SeverityName {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Remark => SeverityName::Remark,
            Severity::Incomplete => SeverityName::Incomplete,
            Severity::Damage => SeverityName::Damage,
        }
    }
}

/// A kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KindName(FindingKind);

impl Serialize for KindName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

#[cfg(feature = "generate")]
impl schemars::JsonSchema for KindName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FindingKind".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let value = |kind: FindingKind| {
            schemars::json_schema!({
                "description": meaning(kind), "type": "string", "const": kind.name(),
            })
        };
        schemars::json_schema!({
            "description": "A kind of finding.",
            "oneOf": FindingKind::ALL.map(value),
        })
    }
}

/// What a kind of finding is about.
#[cfg(feature = "generate")]
fn meaning(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::Stream => "The stream around the file: no end mark, a wrong checksum.",
        FindingKind::Header => "Headers contradict each other, or point outside the file.",
        FindingKind::Bitmap => {
            "A bitmap has bits that should not be set, or contradicts the page descriptors."
        }
        FindingKind::Notes => "Notes cannot be parsed, or are not where they should be.",
        FindingKind::Descriptor => "A page descriptor is implausible.",
        FindingKind::Overlap => "Data of a page overlaps that of another, or the page descriptors.",
        FindingKind::Data => "Data of a page does not decode to a page.",
        FindingKind::Unreadable => "A page cannot be read, or is beyond the end of the file.",
        FindingKind::Unwritten => "A page was never written; the dump says that it is incomplete.",
        FindingKind::NotGiven => "A page is in a file of the split set that was not given.",
        FindingKind::SaysIncomplete => "The dump says that it is incomplete.",
        FindingKind::Differs => "A page differs from the source's.",
        FindingKind::Missing => "A page is missing, although the dump level keeps it.",
        FindingKind::Invented => "A page is a hole in the source, or should have been excluded.",
        FindingKind::NotesDiffer => "Notes or VMCOREINFO differ from the source's.",
        FindingKind::SourceUnreadable => {
            "A page cannot be compared, as the source's cannot be read."
        }
        FindingKind::Remark => "Anything else that is worth knowing.",
        // The test of the schema finds it.
        _ => "",
    }
}

impl FindingsJson {
    /// The JSON of `findings`; `compared` says whether there was another dump.
    pub(crate) fn new(findings: &Findings, compared: bool) -> Self {
        let worst = findings.severity();
        let incomplete = |kind: FindingKind| kind.severity() == Severity::Incomplete;
        FindingsJson {
            good: worst.is_none_or(|worst| worst == Severity::Remark) && !findings.cancelled,
            damaged: findings.damaged(),
            incomplete: findings.groups().any(|(kind, _)| incomplete(kind)),
            cancelled: findings.cancelled,
            pages: CheckedPages::from(&findings.pages),
            comparison: compared.then(|| Comparison::from(&findings.pages)),
            cut_off: findings.cut_off.iter().map(CutOffJson::from).collect(),
            coverage: findings.coverage.as_ref().map(CoverageJson::from),
            findings: findings.groups().map(FindingGroup::from).collect(),
        }
    }
}

impl From<&CutOff> for CutOffJson {
    fn from(cut: &CutOff) -> Self {
        CutOffJson { file: cut.file, bytes: cut.bytes.into(), pages: cut.pages.into() }
    }
}

impl From<&Tally> for CheckedPages {
    fn from(pages: &Tally) -> Self {
        let good = |codec| Codec::ALL.iter().zip(pages.good).find(|(other, _)| **other == codec);
        CheckedPages {
            checked: pages.checked.into(),
            good: pages.good_pages().into(),
            by_codec: ByCodec::new(|codec| good(codec).map_or(0, |(_, count)| count).into()),
        }
    }
}

impl From<&Tally> for Comparison {
    fn from(pages: &Tally) -> Self {
        Comparison {
            equal: pages.equal.into(),
            only_in_dump: pages.only_here.into(),
            excluded_zero: pages.excluded_zero.into(),
            excluded_proven: pages.excluded_proven.into(),
            excluded_unproven: pages.excluded_by_class.into(),
            first_unproven: pages.first_not_proven.map(Count::from),
            excluded_partial: pages.excluded_partial.into(),
            beyond_the_end: pages.beyond_the_end.into(),
        }
    }
}

impl From<(FindingKind, &Group)> for FindingGroup {
    fn from((kind, group): (FindingKind, &Group)) -> Self {
        FindingGroup {
            kind: KindName(kind),
            severity: kind.severity().into(),
            count: group.count.into(),
            examples: group.examples.iter().map(FindingJson::from).collect(),
        }
    }
}

impl From<&Finding> for FindingJson {
    fn from(finding: &Finding) -> Self {
        FindingJson {
            file: finding.file,
            pfn: finding.pfn.map(Count::from),
            offset: finding.offset.map(Address::from),
            why: finding.why.clone(),
        }
    }
}
