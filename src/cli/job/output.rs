//! Creates, writes and publishes OUTPUT.

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use kdumpconv::{
    Disposition, Dump, FlattenedSink, IncompleteReason, NullSink, Output, OutputFormat, PageCounts,
    Progress, Published, Sink, Stage,
};
use rustix::fs::OFlags;

use super::{Job, signals};
use crate::cli::args::shared_args::{InputArgs, OutputArgs};
use crate::cli::exit::{Exit, Usage};
use crate::cli::ui::progress::{SYNCING, stage_name};

/// Where a command writes.
pub(crate) enum Target {
    /// To OUTPUT.
    Output(Output),
    /// Nowhere, in a dry run: the sink only counts.
    Nowhere { sink: Box<dyn Sink>, is_flattened: bool },
}

impl Target {
    /// The target of a dry run that would write `format`.
    pub(crate) fn nowhere(format: OutputFormat) -> Self {
        let is_flattened = format == OutputFormat::Flat;
        let sink: Box<dyn Sink> = if is_flattened {
            Box::new(FlattenedSink::new(io::sink()))
        } else {
            Box::new(NullSink)
        };
        Target::Nowhere { sink, is_flattened }
    }

    pub(crate) fn sink(&mut self) -> &mut dyn Sink {
        match self {
            Target::Output(output) => output.sink(),
            Target::Nowhere { sink, .. } => &mut **sink,
        }
    }

    pub(crate) fn is_flattened(&self) -> bool {
        match self {
            Target::Output(output) => output.is_flat(),
            Target::Nowhere { is_flattened, .. } => *is_flattened,
        }
    }

    /// The output, if what was written to it can be read back.
    pub(crate) fn readable(&mut self) -> Option<&mut Output> {
        match self {
            Target::Output(output) if output.outlives_an_interruption() => Some(output),
            _ => None,
        }
    }

    /// Removes what was written.
    pub(crate) fn discard(self) {
        if let Target::Output(output) = self {
            let _ = output.discard();
        }
    }
}

/// How the writing of an output ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteStatus {
    /// A signal ended it.
    pub(crate) cancelled: bool,
    /// Something is missing.
    pub(crate) incomplete: bool,
    /// Nothing usable was written.
    pub(crate) unusable: bool,
    /// Less was written than was asked for, but that is complete.
    pub(crate) reduced: bool,
}

impl WriteStatus {
    /// The status of a dump of which `pages` were written; complete if there are no `reasons`.
    pub(crate) fn of_pages(reasons: &[IncompleteReason], pages: &PageCounts) -> Self {
        let incomplete = !reasons.is_empty();
        WriteStatus {
            cancelled: reasons.iter().any(|reason| matches!(reason, IncompleteReason::Cancelled)),
            incomplete,
            unusable: incomplete && pages.written() == 0,
            reduced: false,
        }
    }
}

impl Job {
    /// Creates OUTPUT, which must be none of the `inputs` (`None` is standard input). From then on
    /// a signal sets `cancel`, unless OUTPUT is a stream: then there is nothing to keep or remove.
    ///
    /// # Errors
    /// [`Usage`] if an input would be overwritten; else the reason why OUTPUT cannot be created.
    pub(crate) fn create_output(
        &self,
        inputs: &[Option<&Path>],
        args: &OutputArgs,
        format: OutputFormat,
        cancel: &Arc<AtomicBool>,
    ) -> anyhow::Result<Target> {
        if overwrites_an_input(inputs, args) {
            return Err(Usage("INPUT and OUTPUT are the same file").into());
        }
        let output = match args.path() {
            Some(target) => Output::create(target, format, args.force)?,
            None => Output::stdout(format)?,
        };
        if output.outlives_an_interruption() {
            if let Err(error) = self.catch_signals(cancel) {
                let _ = output.discard();
                return Err(error);
            }
        }
        Ok(Target::Output(output))
    }

    /// As [`make_random`](Self::make_random), for a `target` that is discarded if it fails. Warns if the
    /// memory contradicts VMCOREINFO, which could not be said before.
    ///
    /// # Errors
    /// As [`make_random`](Self::make_random).
    pub(crate) fn make_random_for(
        &self,
        target: Target,
        dump: &mut Dump,
        input: &InputArgs,
    ) -> anyhow::Result<Target> {
        if !dump.is_sequential() {
            return Ok(target);
        }
        let stored = self.make_random(dump, input).and_then(|()| {
            let known = dump.warnings().len();
            dump.check_vmcoreinfo().with_context(|| input.name())?;
            self.messages.warn(dump.warnings().get(known..).unwrap_or_default());
            Ok(())
        });
        match stored {
            Ok(()) => Ok(target),
            Err(error) => {
                target.discard();
                Err(error)
            }
        }
    }

    /// Runs `work`, which writes to `target`, and shows progress. If `work` fails, discards what was
    /// written.
    ///
    /// # Errors
    /// The error of `work`.
    pub(crate) fn write<R>(
        &self,
        mut target: Target,
        work: impl FnOnce(&mut dyn Sink, &mut (dyn FnMut(Progress) + Send)) -> kdumpconv::Result<R>,
    ) -> kdumpconv::Result<(Target, R)> {
        match self.with_progress(stage_name(Stage::Writing), |show| work(target.sink(), show)) {
            Ok(report) => Ok((target, report)),
            Err(error) => {
                target.discard();
                Err(error)
            }
        }
    }

    /// Gives the output its name, keeps it as incomplete, or removes it. Returns the exit code and
    /// what became of the output, `None` in a dry run.
    pub(crate) fn publish(
        &self,
        target: Target,
        status: WriteStatus,
        args: &OutputArgs,
    ) -> (Exit, Option<Published>) {
        let signal = if status.cancelled { self.caught_signal() } else { None };
        let sync = !args.no_sync;
        let published = match target {
            Target::Nowhere { .. } => None,
            Target::Output(output) => {
                Some(if status.unusable || signal.is_some_and(signals::discards_output) {
                    output.discard()
                } else {
                    self.with_progress(SYNCING, |_| {
                        if status.incomplete {
                            output.keep_incomplete(sync)
                        } else {
                            output.publish(sync)
                        }
                    })
                })
            }
        };
        let disposition = published.as_ref().map(|published| published.disposition);
        let exit = match (signal, disposition) {
            (Some(signal), _) => Exit::Signal(signal),
            _ if status.unusable => Exit::Failed,
            (None, Some(Disposition::Removed)) => Exit::Failed,
            (None, Some(Disposition::Kept)) => Exit::Incomplete,
            _ if status.incomplete || status.reduced => Exit::Incomplete,
            _ => Exit::Done,
        };
        (exit, published)
    }
}

/// Refuses to write a dump to a standard output that keeps none.
///
/// # Errors
/// [`Usage`] if OUTPUT is standard output, and that is a terminal or closed.
pub(crate) fn check_stdout(output: &OutputArgs) -> Result<(), Usage> {
    if output.path().is_some() {
        return Ok(());
    }
    if io::stdout().is_terminal() {
        return Err(Usage("the dump would go to the terminal: name an OUTPUT, or use a pipe"));
    }
    if is_closed(&io::stdout()) {
        return Err(Usage("standard output is closed: name an OUTPUT, or use a pipe"));
    }
    Ok(())
}

/// Whether a standard stream was closed when the program started. Rust's runtime then opens /dev/null
/// in its place, for reading as well, which a shell's `>/dev/null` does not.
fn is_closed(stream: &impl AsFd) -> bool {
    // Documentation/admin-guide/devices.txt of the kernel.
    let null = rustix::fs::makedev(1, 3);
    let is_null = rustix::fs::fstat(stream).is_ok_and(|stat| stat.st_rdev == null);
    let flags = rustix::fs::fcntl_getfl(stream);
    is_null && flags.is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDWR)
}

/// The folder in which `target` is or will be.
pub(super) fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Whether OUTPUT is one of the `inputs`, perhaps by another name.
fn overwrites_an_input(inputs: &[Option<&Path>], output: &OutputArgs) -> bool {
    let metadata_of = |path: Option<&Path>, standard: &dyn AsFd| match path {
        Some(path) => std::fs::metadata(path).ok(),
        None => File::from(standard.as_fd().try_clone_to_owned().ok()?).metadata().ok(),
    };
    let identity = |metadata: Metadata| {
        let kind = metadata.file_type();
        let device = kind.is_block_device().then(|| (0, metadata.rdev()));
        device.or_else(|| kind.is_file().then(|| (metadata.dev(), metadata.ino())))
    };
    let target = metadata_of(output.path(), &io::stdout()).and_then(identity);
    let is_target =
        |input: &Option<&Path>| metadata_of(*input, &io::stdin()).and_then(identity) == target;
    target.is_some() && inputs.iter().any(is_target)
}
