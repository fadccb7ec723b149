//! The files of a command: INPUT opened, OUTPUT made, and how OUTPUT ends.

pub(crate) mod signals;

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use kdumpconv::Input;
use kdumpconv::find_vmcoreinfo;
use kdumpconv::output::folder;
use kdumpconv::{Disposition, Published};
use kdumpconv::{Dump, OpenOptions};
use kdumpconv::{Output, OutputFormat};

use crate::cli::args::shared_args::{DumpArgs, InputArgs, OutputArgs};
use crate::cli::exit::{Exit, Usage};
use crate::cli::ui::messages::Messages;
use signals::{Interruptible, Signals};

/// Bytes of a VMCOREINFO at the most; the kernel allots one page to it.
const MAX_VMCOREINFO_BYTES: u64 = 1 << 20;

/// Refuses to write a dump to a terminal.
pub(crate) fn refuse_terminal() -> Result<(), Usage> {
    if io::stdout().is_terminal() {
        return Err(Usage("the dump would go to the terminal: name an OUTPUT, or use a pipe"));
    }
    Ok(())
}

/// Where to spool what a pipe brings out of order: beside OUTPUT, as there is room for a dump.
pub(crate) fn spool_dir(output: Option<&OutputArgs>) -> PathBuf {
    match output.and_then(OutputArgs::path) {
        Some(target) if folder(target).is_dir() && !target.starts_with("/dev") => folder(target),
        _ => std::env::temp_dir(),
    }
}

/// Opens the dump to read.
pub(crate) fn open_dump(
    source: &DumpArgs,
    spool_dir: &Path,
    signals: &Signals,
    messages: &Messages,
) -> anyhow::Result<Dump> {
    let vmcoreinfo = source.vmcoreinfo.as_deref().map(read_vmcoreinfo).transpose()?;
    let mut options = OpenOptions { page_size: source.page_size, vmcoreinfo };
    let mut inputs = vec![open_input(&source.input, spool_dir.to_owned(), signals)?];
    for part in &source.part {
        inputs.push(Input::open(part, spool_dir.to_owned())?);
    }
    if source.find_vmcoreinfo {
        // All of memory is looked at before any of it is converted.
        let at_random = |input: Input| input.at_random().map(Input::from);
        inputs = inputs.into_iter().map(at_random).collect::<kdumpconv::Result<_>>()?;
    }
    let name = || source.input.name();
    let dump = Dump::open_all(inputs, &options).with_context(name)?;
    if !source.find_vmcoreinfo || dump.vmcoreinfo().is_some() {
        return Ok(dump);
    }
    let found = find_vmcoreinfo(&dump, &AtomicBool::new(false), &mut |_| ())?;
    let Some(found) = found else {
        messages.warn(&[
            "no VMCOREINFO in this memory: it has no page that begins with one".to_owned()
        ]);
        return Ok(dump);
    };
    let doubt = if found.is_proven { "" } else { ", but the kernel is not where it says" };
    messages.tell(&format!("VMCOREINFO found in pfn {:#x}{doubt}", found.pfn));
    options.vmcoreinfo = Some(found.text);
    dump.reopen(&options).with_context(name)
}

/// Reads the text of a VMCOREINFO.
fn read_vmcoreinfo(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_VMCOREINFO_BYTES + 1).read_to_end(&mut text))
        .with_context(|| path.display().to_string())?;
    let is_one = text.starts_with(b"OSRELEASE=") && text.len() as u64 <= MAX_VMCOREINFO_BYTES;
    if !is_one {
        let what =
            format!("{}: no text of a VMCOREINFO: it begins with OSRELEASE=", path.display());
        return Err(kdumpconv::Error::NotRecognised(what).into());
    }
    Ok(text)
}

/// Opens INPUT; what a pipe brings out of order is spooled in `spool_dir`.
pub(crate) fn open_input(
    input: &InputArgs,
    spool_dir: PathBuf,
    signals: &Signals,
) -> anyhow::Result<Input> {
    let Some(path) = input.path() else {
        let stdin = io::stdin().as_fd().try_clone_to_owned().context("standard input")?;
        return reader(File::from(stdin), signals, spool_dir);
    };
    if Input::is_pipe(path) {
        let file = File::open(path).with_context(|| input.name())?;
        return reader(file, signals, spool_dir);
    }
    Ok(Input::open(path, spool_dir)?)
}

fn reader(file: File, signals: &Signals, spool_dir: PathBuf) -> anyhow::Result<Input> {
    let interruptible = Interruptible::new(file, signals)?;
    Ok(Input::from_reader(Box::new(interruptible), spool_dir)?)
}

/// Prepares OUTPUT, which must be none of the `inputs`; `None` is standard input.
pub(crate) fn create_output(
    inputs: &[Option<&Path>],
    output: &OutputArgs,
    format: OutputFormat,
) -> anyhow::Result<Output> {
    if writes_to_its_input(inputs, output) {
        return Err(Usage("INPUT and OUTPUT are the same file").into());
    }
    Ok(match output.path() {
        Some(target) => Output::create(target, format, output.force)?,
        None => Output::stdout(format)?,
    })
}

/// Has signals end the writing of an output from now on; one that they cannot end is not begun.
pub(crate) fn catch_signals(
    output: Output,
    signals: &Signals,
    cancel: &Arc<AtomicBool>,
) -> anyhow::Result<Output> {
    if output.outlives_an_interruption() {
        if let Err(error) = signals.catch(cancel) {
            let _ = output.discard();
            return Err(error).context("cannot catch signals");
        }
    }
    Ok(output)
}

/// How the writing of an output went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// It was told to stop.
    pub(crate) cancelled: bool,
    /// Something is missing.
    pub(crate) incomplete: bool,
    /// So much that what there is helps nobody.
    pub(crate) worthless: bool,
}

/// Gives the output its name, keeps it as incomplete, or removes it.
pub(crate) fn settle(
    output: Option<Output>,
    how: How,
    signals: &Signals,
    sync: bool,
) -> (Exit, Option<Published>) {
    let caught = if how.cancelled { signals.caught() } else { None };
    let settled = output.map(|output| {
        if how.worthless || caught.is_some_and(signals::discards) {
            output.discard()
        } else if how.incomplete {
            output.keep_incomplete(sync)
        } else {
            output.commit(sync)
        }
    });
    let exit = match (caught, &settled) {
        (Some(signal), _) => Exit::Signal(signal),
        _ if how.worthless => Exit::Failed,
        (_, Some(Published { fate: Disposition::Removed, .. })) => Exit::Failed,
        (_, Some(Published { fate: Disposition::Kept, .. })) => Exit::Incomplete,
        _ if how.incomplete => Exit::Incomplete,
        _ => Exit::Done,
    };
    (exit, settled)
}

/// Whether OUTPUT is one of the files that are read, by whatever names.
fn writes_to_its_input(inputs: &[Option<&Path>], output: &OutputArgs) -> bool {
    let of = |path: Option<&Path>, standard: &dyn AsFd| match path {
        Some(path) => std::fs::metadata(path).ok(),
        None => File::from(standard.as_fd().try_clone_to_owned().ok()?).metadata().ok(),
    };
    let identity = |metadata: Metadata| {
        let kind = metadata.file_type();
        let device = kind.is_block_device().then(|| (0, metadata.rdev()));
        device.or_else(|| kind.is_file().then(|| (metadata.dev(), metadata.ino())))
    };
    let target = of(output.path(), &io::stdout()).and_then(identity);
    let is_target = |input: &Option<&Path>| of(*input, &io::stdin()).and_then(identity) == target;
    target.is_some() && inputs.iter().any(is_target)
}
