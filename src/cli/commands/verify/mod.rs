//! `verify`: whether a dump is what it says, and what its source says.

mod report;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use kdumpconv::Dump;
use kdumpconv::{Findings, Severity, VerifyOptions};

use crate::cli::args::shared_args::{DumpArgs, InputArgs, MessageArgs, ThreadArgs};
use crate::cli::exit::Exit;
use crate::cli::job;
use crate::cli::job::signals::Signals;
use crate::cli::ui::messages::Messages;
use crate::cli::ui::progress::{Meter, Unit};
use report::Verified;
pub(crate) use report::{brief, json, lines};

/// Check every page of a dump, and that nothing in it contradicts itself
///
/// The codecs notice most damage of the pages; of a raw page any bytes are right. --against finds
/// all. A dump that says it is incomplete and is good otherwise ends with code 4, damage with 5.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    source: DumpArgs,

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
    threads: ThreadArgs,

    #[command(flatten)]
    messages: MessageArgs,
}

/// Verifies, and reports on standard output.
///
/// # Errors
/// Why one of the files could not be looked at at all.
pub(crate) fn run(args: &Verify) -> anyhow::Result<Exit> {
    let messages = Messages::new(&args.messages, &args.source.input);
    let signals = Signals::new().context("cannot prepare for signals")?;
    let spool_dir = job::spool_dir(None);
    let started = Instant::now();
    let dump = job::open_dump(&args.source, &spool_dir, &signals, &messages)?;
    if messages.verbosity > 1 {
        messages.warn(dump.warnings());
    }
    let against = args.against.as_ref().map(|path| -> anyhow::Result<Dump> {
        let source = DumpArgs {
            input: InputArgs::of(path),
            part: Vec::new(),
            page_size: Some(dump.page_size()),
            ..args.source.clone()
        };
        let source = job::open_dump(&source, &spool_dir, &signals, &messages)?;
        messages.warn(source.warnings());
        Ok(source)
    });
    let against = against.transpose()?;
    let options = VerifyOptions {
        threads: args.threads.count(),
        examples: args.examples,
        ..VerifyOptions::default()
    };
    signals.catch(&options.cancel).context("cannot catch signals")?;
    let mut meter = Meter::new(&args.messages, Unit::Pages);
    let findings = kdumpconv::verify(&dump, against.as_ref(), &options, &mut |progress| {
        meter.show(progress);
    })?;
    meter.clear();
    let verified = Verified {
        dump: &dump,
        findings: &findings,
        input: &messages.input,
        against: args.against.as_ref().map(|path| path.display().to_string()),
        threads: options.threads,
        seconds: started.elapsed().as_secs_f64(),
    };
    report::tell(&messages, &verified);
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
