//! Creates, writes and publishes OUTPUT.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
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
    /// To OUTPUT, or to the files of a split set.
    Outputs(OneOrMore<Output>),
    /// Nowhere, in a dry run: the sinks only count.
    Nowhere { sinks: OneOrMore<Box<dyn Sink>>, is_flattened: bool },
}

/// One for OUTPUT, or one for each file of a split set.
pub(crate) struct OneOrMore<T> {
    first: T,
    more: Vec<T>,
}

impl<T> OneOrMore<T> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.more)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        std::iter::once(&mut self.first).chain(&mut self.more)
    }

    fn into_iter(self) -> impl Iterator<Item = T> {
        std::iter::once(self.first).chain(self.more)
    }
}

impl Target {
    /// The target of a dry run that would write that many files of `format`.
    pub(crate) fn nowhere(files: usize, format: OutputFormat) -> Self {
        let is_flattened = format == OutputFormat::Flat;
        let sink = || -> Box<dyn Sink> {
            if is_flattened { Box::new(FlattenedSink::new(io::sink())) } else { Box::new(NullSink) }
        };
        let sinks = OneOrMore { first: sink(), more: (1..files).map(|_| sink()).collect() };
        Target::Nowhere { sinks, is_flattened }
    }

    /// What to write to; of a split set, its first file.
    pub(crate) fn sink(&mut self) -> &mut dyn Sink {
        match self {
            Target::Outputs(outputs) => outputs.first.sink(),
            Target::Nowhere { sinks, .. } => &mut *sinks.first,
        }
    }

    /// What to write to: one sink for each file.
    pub(crate) fn sinks(&mut self) -> Vec<&mut dyn Sink> {
        match self {
            Target::Outputs(outputs) => outputs.iter_mut().map(Output::sink).collect(),
            Target::Nowhere { sinks, .. } => {
                sinks.iter_mut().map(|sink| -> &mut dyn Sink { &mut **sink }).collect()
            }
        }
    }

    pub(crate) fn is_flattened(&self) -> bool {
        match self {
            Target::Outputs(outputs) => outputs.iter().any(Output::is_flat),
            Target::Nowhere { is_flattened, .. } => *is_flattened,
        }
    }

    /// The outputs, if what was written to them can be read back.
    pub(crate) fn readable(&mut self) -> Option<Vec<&mut Output>> {
        match self {
            Target::Outputs(outputs) => {
                let all = outputs.iter().all(Output::outlives_an_interruption);
                all.then(|| outputs.iter_mut().collect())
            }
            Target::Nowhere { .. } => None,
        }
    }

    /// Removes what was written.
    pub(crate) fn discard(self) {
        if let Target::Outputs(outputs) = self {
            discard(outputs.into_iter());
        }
    }
}

fn discard(outputs: impl IntoIterator<Item = Output>) {
    outputs.into_iter().for_each(|output| drop(output.discard()));
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
        inputs: &[Option<PathBuf>],
        args: &OutputArgs,
        format: OutputFormat,
        cancel: &Arc<AtomicBool>,
    ) -> anyhow::Result<Target> {
        self.create_outputs(inputs, args, &[], format, cancel)
    }

    /// The same for OUTPUT and `more` files; creates none if one of them cannot be created.
    ///
    /// # Errors
    /// Also [`Usage`] if two of them are the same file.
    pub(crate) fn create_outputs(
        &self,
        inputs: &[Option<PathBuf>],
        args: &OutputArgs,
        more: &[OutputArgs],
        format: OutputFormat,
        cancel: &Arc<AtomicBool>,
    ) -> anyhow::Result<Target> {
        let mut files = std::iter::once(args).chain(more);
        if files.clone().any(|file| overwrites_an_input(inputs, file)) {
            return Err(Usage("INPUT and OUTPUT are the same file").into());
        }
        refuse_same_file_twice(files.clone())?;
        let mut outputs = OneOrMore { first: create(args, format)?, more: Vec::new() };
        for file in files.by_ref().skip(1) {
            match create(file, format) {
                Ok(output) => outputs.more.push(output),
                Err(error) => {
                    discard(outputs.into_iter());
                    return Err(error.into());
                }
            }
        }
        if outputs.iter().any(Output::outlives_an_interruption) {
            if let Err(error) = self.catch_signals(cancel) {
                discard(outputs.into_iter());
                return Err(error);
            }
        }
        Ok(Target::Outputs(outputs))
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
        work: impl FnOnce(&mut Target, &mut (dyn FnMut(Progress) + Send)) -> kdumpconv::Result<R>,
    ) -> kdumpconv::Result<(Target, R)> {
        match self.with_progress(stage_name(Stage::Writing), |show| work(&mut target, show)) {
            Ok(report) => Ok((target, report)),
            Err(error) => {
                target.discard();
                Err(error)
            }
        }
    }

    /// Gives the outputs their names, keeps them as incomplete, or removes them. Returns the exit code
    /// and what became of each output; of none in a dry run.
    pub(crate) fn publish(
        &self,
        target: Target,
        status: WriteStatus,
        args: &OutputArgs,
    ) -> (Exit, Vec<Published>) {
        let signal = if status.cancelled { self.caught_signal() } else { None };
        let sync = !args.no_sync;
        let published: Vec<Published> = match target {
            Target::Nowhere { .. } => Vec::new(),
            Target::Outputs(outputs) => {
                if status.unusable || signal.is_some_and(signals::discards_output) {
                    outputs.into_iter().map(Output::discard).collect()
                } else {
                    self.with_progress(SYNCING, |_| {
                        let end = |output: Output| match status.incomplete {
                            true => output.keep_incomplete(sync),
                            false => output.publish(sync),
                        };
                        outputs.into_iter().map(end).collect()
                    })
                }
            }
        };
        let any = |disposition| published.iter().any(|one| one.disposition == disposition);
        let exit = match signal {
            Some(signal) => Exit::Signal(signal),
            None if status.unusable || any(Disposition::Removed) => Exit::Failed,
            None if any(Disposition::Kept) || status.incomplete || status.reduced => {
                Exit::Incomplete
            }
            None => Exit::Done,
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
fn overwrites_an_input(inputs: &[Option<PathBuf>], output: &OutputArgs) -> bool {
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
    let mut inputs = inputs.iter().map(Option::as_deref);
    let is_target =
        |input: Option<&Path>| metadata_of(input, &io::stdin()).and_then(identity) == target;
    target.is_some() && inputs.any(is_target)
}

/// Creates OUTPUT.
fn create(args: &OutputArgs, format: OutputFormat) -> kdumpconv::Result<Output> {
    match args.path() {
        Some(target) => Output::create(target, format, args.force),
        None => Output::stdout(format),
    }
}

/// Refuses to write one file twice, also under two names.
fn refuse_same_file_twice<'a>(files: impl Iterator<Item = &'a OutputArgs>) -> anyhow::Result<()> {
    let mut known = HashSet::new();
    for path in files.filter_map(OutputArgs::path) {
        // A file that does not exist yet is known by its folder and its name.
        let folder = std::fs::canonicalize(folder_of(path)).unwrap_or_default();
        let new = folder.join(path.file_name().unwrap_or_default());
        if !known.insert(std::fs::canonicalize(path).unwrap_or(new)) {
            let why = anyhow::Error::from(Usage("it is named twice as a file to write"));
            return Err(why.context(path.display().to_string()));
        }
    }
    Ok(())
}
