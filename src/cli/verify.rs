//! `verify`: whether a dump is what it says, and what its source says.

mod report;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use kdumpconv::Dump;
use kdumpconv::{Findings, Severity, VerifyOptions};

use super::exit::Exit;
use super::files;
use super::groups::{Input, Source, Talk, Threads};
use super::progress::{Meter, Unit};
use super::say::Voice;
use super::signals::Signals;
use report::Verified;
pub(crate) use report::{brief, json, lines};

/// Check every page of a dump, and that nothing in it contradicts itself
///
/// The codecs notice most damage of the pages; of a raw page any bytes are right. --against finds
/// all. A dump that says it is incomplete and is good otherwise ends with code 4, damage with 5.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    source: Source,

    /// Compare with the vmcore that INPUT was made of, or with another dump of it
    ///
    /// What the dump level left out is proven by VMCORE's struct pages, where it can be read at
    /// random. --vmcoreinfo and --find-vmcoreinfo are for VMCORE, too.
    #[arg(long, value_name = "VMCORE")]
    against: Option<PathBuf>,

    /// Findings of each kind that are told one by one
    #[arg(long, value_name = "N", default_value_t = 16)]
    examples: usize,

    #[command(flatten)]
    threads: Threads,

    #[command(flatten)]
    talk: Talk,
}

/// Verifies, and reports on standard output.
///
/// # Errors
/// Why one of the files could not be looked at at all.
pub(crate) fn run(args: &Verify) -> anyhow::Result<Exit> {
    let voice = Voice::new(&args.talk, &args.source.input);
    let signals = Signals::new().context("cannot prepare for signals")?;
    let spool_dir = files::spool_dir(None);
    let started = Instant::now();
    let dump = files::open_dump(&args.source, &spool_dir, &signals, &voice)?;
    if voice.verbosity > 1 {
        voice.warn(&dump.warnings);
    }
    let against = args.against.as_ref().map(|path| -> anyhow::Result<Dump> {
        let source = Source {
            input: Input::of(path),
            part: Vec::new(),
            page_size: Some(dump.page_size),
            ..args.source.clone()
        };
        let source = files::open_dump(&source, &spool_dir, &signals, &voice)?;
        voice.warn(&source.warnings);
        Ok(source)
    });
    let against = against.transpose()?;
    let options = VerifyOptions {
        threads: args.threads.count(),
        examples: args.examples,
        ..VerifyOptions::default()
    };
    signals.catch(&options.cancel).context("cannot catch signals")?;
    let mut meter = Meter::new(&args.talk, Unit::Pages);
    let findings = kdumpconv::verify(&dump, against.as_ref(), &options, &mut |progress| {
        meter.show(progress);
    })?;
    meter.clear();
    let verified = Verified {
        dump: &dump,
        findings: &findings,
        input: &voice.input,
        against: args.against.as_ref().map(|path| path.display().to_string()),
        threads: options.threads,
        seconds: started.elapsed().as_secs_f64(),
    };
    report::tell(&voice, &verified);
    Ok(exit(&findings, &signals))
}

fn exit(findings: &Findings, signals: &Signals) -> Exit {
    let signal = signals.caught().filter(|_| findings.cancelled);
    match (signal, findings.severity()) {
        (Some(signal), _) => Exit::Signal(signal),
        (None, Some(Severity::Damage)) => Exit::FoundDamage,
        (None, Some(Severity::Incomplete)) => Exit::Incomplete,
        (None, _) => Exit::Done,
    }
}
