//! `--verify`: the output is read back before it gets its name.

use std::time::Instant;

use kdumpconv::{
    ConvertOptions, ConvertReport, Dump, Error, FindingKind, Findings, OpenOptions, Output,
    Progress, ReadAt, Severity, VerifyOptions, mark_incomplete, verify,
};

use crate::cli::json::{FindingsJson, ReadBackJson};
use crate::cli::ui::findings::{finding_lines, verdict};
use crate::cli::ui::messages::printable;

/// The result of reading an output back.
pub(super) struct ReadBack {
    found: Result<Findings, String>,
    /// Whether the pages were compared with those of the input, which a pipe no longer has.
    compared: bool,
    /// Whether headers and notes of the input are damaged: then they are in the output as well.
    input_is_doubtful: bool,
    seconds: f64,
}

impl ReadBack {
    /// Reads an output back, and marks it as incomplete if something in it is wrong. Compares it with
    /// `again`, the input opened again, or with the input itself if it can be read again.
    pub(super) fn check(
        outputs: &mut [&mut Output],
        input: &Dump,
        again: Option<&Dump>,
        report: &ConvertReport,
        options: &ConvertOptions,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Self {
        let started = Instant::now();
        let source = again.or_else(|| Some(input).filter(|input| !input.is_sequential()));
        let compared = source.is_some();
        let found = verify_outputs(outputs, source, report, options, progress);
        let checked = ReadBack {
            found: found.map_err(|error| format!("{:#}", anyhow::Error::from(error))),
            compared,
            input_is_doubtful: input.is_incomplete() || !input.warnings().is_empty(),
            seconds: started.elapsed().as_secs_f64(),
        };
        if !checked.is_good() {
            // The header marks the dump as incomplete. A file is marked by its name, too; a pipe or a
            // device has none.
            let plain = outputs.iter().zip(report.bytes_of_files());
            for (output, bytes) in plain.filter(|(output, _)| !output.is_flat()) {
                let _ = mark_incomplete(output, bytes);
            }
        }
        checked
    }

    /// Whether nothing in the output is wrong.
    pub(super) fn is_good(&self) -> bool {
        let Ok(findings) = &self.found else { return false };
        let is_fault = |kind: FindingKind| {
            let inherited =
                matches!(kind, FindingKind::Header | FindingKind::Notes) && self.input_is_doubtful;
            kind.severity() == Severity::Damage && !inherited
        };
        !findings.cancelled && !findings.groups().any(|(kind, _)| is_fault(kind))
    }

    /// Whether a signal interrupted it.
    pub(super) fn was_cancelled(&self) -> bool {
        self.found.as_ref().is_ok_and(|findings| findings.cancelled)
    }

    /// A good result, as the end of the summary line has it.
    pub(super) fn verdict(&self) -> &'static str {
        if self.compared {
            "verified against the input"
        } else {
            "verified, but not against the input, which was a pipe"
        }
    }

    /// The result, line by line.
    pub(super) fn lines(&self) -> Vec<String> {
        match &self.found {
            Err(why) => vec![format!("the output cannot be read back: {}", printable(why))],
            Ok(findings) => {
                let mut lines = Vec::new();
                if !self.is_good() {
                    lines.extend(
                        finding_lines(findings)
                            .into_iter()
                            .map(|line| format!("read back: {line}")),
                    );
                }
                lines.push(format!("read back: {} in {:.2} s", verdict(findings), self.seconds));
                lines
            }
        }
    }

    /// The result as JSON.
    pub(super) fn json(&self) -> ReadBackJson {
        let found = self.found.as_ref();
        ReadBackJson {
            good: self.is_good(),
            compared: self.compared,
            error: found.err().cloned(),
            found: found.ok().map(|findings| FindingsJson::new(findings, self.compared)),
            seconds: self.seconds,
        }
    }
}

fn verify_outputs(
    outputs: &[&mut Output],
    source: Option<&Dump>,
    report: &ConvertReport,
    options: &ConvertOptions,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> kdumpconv::Result<Findings> {
    let unsupported = || Error::Read {
        what: "what was written".to_owned(),
        source: std::io::ErrorKind::Unsupported.into(),
    };
    let written: Vec<Box<dyn ReadAt>> = outputs
        .iter()
        .zip(report.bytes_of_files())
        .map(|(output, bytes)| {
            let written = output.read_back(bytes)?.ok_or_else(unsupported)?;
            Ok(Box::new(written) as Box<dyn ReadAt>)
        })
        .collect::<kdumpconv::Result<_>>()?;
    let written = Dump::open_all(written, &OpenOptions::default())?;
    // If it was cut short, other pages may be missing too, of classes that its level excludes.
    let exactly = report.cut_short.is_none().then(|| report.excluded.clone());
    let options = VerifyOptions::default()
        .threads(options.threads)
        .exactly(exactly)
        .cancel(options.cancel.clone());
    verify(&written, source, &options, progress)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use kdumpconv::{Input, OutputFormat};

    use super::*;

    /// Page 0x6ff of the sample's second segment, the last of its file.
    const LAST_PFN: &str = "pfn 0x7ff: 1 byte differs from the source, the first at offset 0xfff";

    fn dump_of(path: &Path, bytes: &[u8]) -> Dump {
        fs::write(path, bytes).unwrap();
        let input = Input::open(path, std::env::temp_dir()).unwrap();
        Dump::open(input, &OpenOptions::default()).unwrap()
    }

    #[test]
    fn a_file_that_reads_back_otherwise_is_kept_as_incomplete_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let packed = fs::File::open("testdata/small.vmcore.zst").unwrap();
        let mut bytes = zstd::decode_all(packed).unwrap();
        let core = dump_of(&place("core"), &bytes);
        *bytes.last_mut().unwrap() ^= 1;
        let other = dump_of(&place("other"), &bytes);
        for (format, name) in [(OutputFormat::File, "plain"), (OutputFormat::Flat, "flat")] {
            let mut output = Output::create(&place(name), format, false).unwrap();
            let options = ConvertOptions::default();
            let report = kdumpconv::convert(&core, output.sink(), &options, &mut |_| ()).unwrap();
            let mut check = |input| {
                ReadBack::check(&mut [&mut output], input, None, &report, &options, &mut |_| ())
            };
            let checked = check(&core);
            assert!(checked.is_good() && checked.compared, "{:?}", checked.lines());
            let checked = check(&other);
            assert!(!checked.is_good());
            let lines = checked.lines().join("\n");
            assert!(lines.contains(LAST_PFN), "{lines}");
            let report = serde_json::to_value(checked.json()).unwrap();
            assert_eq!((&report["good"], &report["compared"]), (&false.into(), &true.into()));
            assert_eq!(report["found"]["findings"][0]["kind"], "differs");
            assert_eq!(report["error"], serde_json::Value::Null);
            let kept = output.keep_incomplete(false).path.unwrap();
            assert_eq!(kept, place(&format!("{name}.incomplete")));
            let input = Input::open(&kept, std::env::temp_dir()).unwrap();
            let again = Dump::open(input, &OpenOptions::default()).unwrap();
            assert_eq!(
                again.is_incomplete(),
                format == OutputFormat::File,
                "a stream's header is written"
            );
        }
    }
}
