//! What is printed of a verified dump: for people, and as JSON.

use kdumpconv::{Codec, Dump, DumpLevel, Findings, Severity};

use crate::cli::args::shared_args::Verbosity;
use crate::cli::job::Job;
use crate::cli::json::{FindingsJson, Rate, SchemaVersion, VerifyJson, print_json};
use crate::cli::ui::coverage::{coverage_lines, coverage_table};
use crate::cli::ui::findings::{finding_lines, verdict};
use crate::cli::ui::messages::{Messages, print_report_lines, printable};
use crate::cli::ui::outcome::{parts, per_second, stored_as};
use crate::cli::ui::sizes::{count, rate};

/// What was verified, and what was found.
pub(super) struct VerifyReport<'a> {
    pub(super) dump: &'a Dump,
    pub(super) findings: &'a Findings,
    /// Its dump level, if that is known.
    pub(super) level: Option<DumpLevel>,
    /// The name of the dump.
    pub(super) input: &'a str,
    /// The name of the dump that it was compared with.
    pub(super) against: Option<String>,
    pub(super) threads: usize,
    pub(super) seconds: f64,
}

impl VerifyReport<'_> {
    /// Prints on standard output.
    pub(super) fn print(&self, job: &Job) {
        if job.messages.json {
            print_json(&self.json(&job.messages), false);
        } else if job.messages.verbosity >= Verbosity::Normal {
            print_report_lines(&self.lines(job));
        }
    }

    fn lines(&self, job: &Job) -> Vec<String> {
        let mut findings = finding_lines(self.findings);
        findings.extend(self.coverage(job.messages.is_verbose()));
        if job.is_one_of_several() && !job.messages.is_verbose() {
            return self.line_of_list(&findings);
        }
        let blank = (!job.is_first()).then(String::new);
        blank.into_iter().chain(findings).chain(self.summary(job.messages.is_verbose())).collect()
    }

    /// What is in an incomplete dump; with `details`, the pages of each part.
    fn coverage(&self, details: bool) -> Vec<String> {
        let Some(coverage) = &self.findings.coverage else { return Vec::new() };
        let table = details.then(|| coverage_table(coverage, self.dump.page_size().bytes()));
        let lines = coverage_lines(coverage).into_iter().map(|line| format!("contents: {line}"));
        lines.chain(table.into_iter().flatten()).collect()
    }

    /// The verdict in one line; below that of a bad dump, what is wrong.
    fn line_of_list(&self, findings: &[String]) -> Vec<String> {
        let mut lines = vec![self.verdict()];
        if self.findings.severity() > Some(Severity::Remark) {
            lines.extend(findings.iter().map(|finding| format!("    {finding}")));
        }
        lines
    }

    /// The verdict in one line; with `details`, the pages by codec, and how they compare.
    fn summary(&self, details: bool) -> Vec<String> {
        let pages = &self.findings.pages;
        let mut lines = vec![format!("{} in {:.2} s", self.verdict(), self.seconds)];
        if !details {
            return lines;
        }
        if self.against.is_some() {
            let compared = parts(&[
                (pages.equal, "equal"),
                (pages.excluded_zero, "excluded as zero pages"),
                (pages.excluded_proven, "excluded as the kernel's struct pages prove"),
                (pages.excluded_by_class, "excluded by a class that cannot be proven"),
                (pages.excluded_partial, "excluded because the source has only a part"),
                (pages.beyond_the_end, "beyond the end of the dump"),
                (pages.only_here, "without data in the source"),
            ]);
            lines.push(format!("pages: {compared}"));
        }
        let good = Codec::ALL.iter().zip(pages.good);
        let good: Vec<(u64, &str)> =
            good.map(|(codec, count)| (count, stored_as(*codec))).collect();
        let codecs = if pages.good_pages() == 0 { String::new() } else { parts(&good) + "; " };
        let rate = rate(per_second(self.checked_bytes(), self.seconds));
        lines.push(format!("{codecs}{}, {rate}", count(self.threads as u64, "thread")));
        lines
    }

    /// The name of the dump, and the verdict in one line.
    fn verdict(&self) -> String {
        format!("{}: {}{}", printable(self.input), verdict(self.findings), self.comparison())
    }

    /// The end of the verdict, if there is a source: what became of its pages.
    fn comparison(&self) -> String {
        let Some(source) = self.against.as_deref().map(printable) else { return String::new() };
        let pages = &self.findings.pages;
        let others = parts(&[
            (pages.excluded_zero + pages.excluded_proven, "rightly excluded"),
            (pages.excluded_by_class, "excluded without proof"),
            (pages.only_here, "not in the source"),
        ]);
        let comma = if others.is_empty() { "" } else { ", " };
        format!(", {} equal to {source}{comma}{others}", pages.equal)
    }

    /// Bytes of memory that were checked.
    fn checked_bytes(&self) -> u64 {
        self.findings.pages.checked.saturating_mul(self.dump.page_size().bytes())
    }

    fn json(&self, messages: &Messages) -> VerifyJson {
        VerifyJson {
            schema: SchemaVersion,
            input: self.input.to_owned(),
            against: self.against.clone(),
            warnings: messages.warnings(),
            page_size: self.dump.page_size().bytes(),
            dump_level: self.level.map_or(0, DumpLevel::bits),
            threads: self.threads,
            seconds: self.seconds,
            bytes_per_second: Rate::new(self.checked_bytes(), self.seconds),
            found: FindingsJson::new(self.findings, self.against.is_some()),
        }
    }
}
