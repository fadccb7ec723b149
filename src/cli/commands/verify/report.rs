//! What is printed of a verified dump: for people, and as JSON.

use kdumpconv::{Codec, Dump, Findings};

use crate::cli::args::shared_args::Verbosity;
use crate::cli::json::{FindingsJson, Rate, SCHEMA, VerifyJson, print_json};
use crate::cli::ui::findings::{finding_lines, verdict};
use crate::cli::ui::messages::{Messages, print_report_lines, printable};
use crate::cli::ui::outcome::timing;

/// What was verified, and what was found.
pub(super) struct VerifyReport<'a> {
    pub(super) dump: &'a Dump,
    /// Warnings about arguments and inputs.
    pub(super) warnings: Vec<String>,
    pub(super) findings: &'a Findings,
    /// The name of the dump.
    pub(super) input: &'a str,
    /// The name of the dump that it was compared with.
    pub(super) against: Option<String>,
    pub(super) threads: usize,
    pub(super) seconds: f64,
}

impl VerifyReport<'_> {
    /// Prints on standard output.
    pub(super) fn print(&self, messages: &Messages) {
        if messages.json {
            print_json(&self.json(), false);
        } else if messages.verbosity >= Verbosity::Normal {
            print_report_lines(&[finding_lines(self.findings), self.summary()].concat());
        }
    }

    fn summary(&self) -> Vec<String> {
        let pages = &self.findings.pages;
        let codecs = Codec::ALL.iter().zip(pages.good).filter(|(_, count)| *count > 0);
        let codecs: Vec<String> = codecs
            .map(|(codec, count)| match codec {
                Codec::Raw => format!("{count} raw"),
                codec => format!("{count} {}", codec.name()),
            })
            .collect();
        let codecs =
            if codecs.is_empty() { String::new() } else { format!(" ({})", codecs.join(", ")) };
        let verdict = verdict(self.findings);
        let mut lines = vec![format!("{}: {verdict}{codecs}", printable(self.input))];
        if let Some(source) = &self.against {
            lines.push(format!(
                "against {}: {} pages equal, {} excluded as pages of zeros, {} as proven by the kernel's struct pages, {} by a class that cannot be proven, {} in part, {} beyond the end; {} the source has no data of",
                printable(source),
                pages.equal,
                pages.excluded_zero,
                pages.excluded_proven,
                pages.excluded_by_class,
                pages.excluded_partial,
                pages.beyond_the_end,
                pages.only_here,
            ));
        }
        lines.push(timing(self.seconds, self.checked_bytes(), Some(self.threads)));
        lines
    }

    /// Bytes of memory that were checked.
    fn checked_bytes(&self) -> u64 {
        self.findings.pages.checked.saturating_mul(self.dump.page_size().bytes())
    }

    fn json(&self) -> VerifyJson {
        VerifyJson {
            schema: SCHEMA,
            input: self.input.to_owned(),
            against: self.against.clone(),
            warnings: self.warnings.clone(),
            page_size: self.dump.page_size().bytes(),
            dump_level: self.dump.dump_level().bits(),
            threads: self.threads,
            seconds: self.seconds,
            bytes_per_second: Rate::new(self.checked_bytes(), self.seconds),
            found: FindingsJson::new(self.findings, self.against.is_some()),
        }
    }
}
