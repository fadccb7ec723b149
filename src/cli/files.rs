//! The files of a command: INPUT opened, OUTPUT made, and how OUTPUT ends.

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use kdumpconv::sink::naming::{Fate, Settled};
use kdumpconv::sink::place::{Format, Output, folder};
use kdumpconv::source::input::ReadAt;
use kdumpconv::source::open;

use super::exit::{Exit, Usage};
use super::groups;
use super::signals::{self, Interruptible, Signals};

/// Refuses to write a dump to a terminal.
pub(crate) fn refuse_terminal() -> Result<(), Usage> {
    if io::stdout().is_terminal() {
        return Err(Usage("the dump would go to the terminal: name an OUTPUT, or use a pipe"));
    }
    Ok(())
}

/// Opens INPUT; what a pipe brings out of order is spooled beside OUTPUT.
pub(crate) fn open_input(
    input: &groups::Input,
    output: &groups::Output,
    signals: &Signals,
) -> anyhow::Result<Box<dyn ReadAt>> {
    let spool_dir = match output.path() {
        Some(target) if folder(target).is_dir() && !target.starts_with("/dev") => folder(target),
        _ => std::env::temp_dir(),
    };
    let Some(path) = input.path() else {
        let stdin = io::stdin().as_fd().try_clone_to_owned().context("standard input")?;
        return reader(File::from(stdin), signals, spool_dir);
    };
    if open::is_pipe(path) {
        let file = File::open(path).with_context(|| input.name())?;
        return reader(file, signals, spool_dir);
    }
    Ok(open::open(path, spool_dir)?)
}

fn reader(file: File, signals: &Signals, spool_dir: PathBuf) -> anyhow::Result<Box<dyn ReadAt>> {
    let interruptible = Interruptible::new(file, signals)?;
    Ok(open::from_reader(Box::new(interruptible), spool_dir)?)
}

/// Prepares OUTPUT.
pub(crate) fn create_output(
    input: &groups::Input,
    output: &groups::Output,
    format: Format,
) -> anyhow::Result<Output> {
    if writes_to_its_input(input, output) {
        return Err(Usage("INPUT and OUTPUT are the same file").into());
    }
    Ok(match output.path() {
        Some(target) => Output::create(target, format, output.force)?,
        None => Output::stdout(format)?,
    })
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
) -> (Exit, Option<Settled>) {
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
        (_, Some(Settled { fate: Fate::Removed, .. })) => Exit::Failed,
        (_, Some(Settled { fate: Fate::Kept, .. })) => Exit::Incomplete,
        _ if how.incomplete => Exit::Incomplete,
        _ => Exit::Done,
    };
    (exit, settled)
}

/// Whether INPUT and OUTPUT are one file or device, by whatever names.
fn writes_to_its_input(input: &groups::Input, output: &groups::Output) -> bool {
    let of = |path: Option<&Path>, standard: &dyn AsFd| match path {
        Some(path) => std::fs::metadata(path).ok(),
        None => File::from(standard.as_fd().try_clone_to_owned().ok()?).metadata().ok(),
    };
    let identity = |metadata: Metadata| {
        let kind = metadata.file_type();
        let device = kind.is_block_device().then(|| (0, metadata.rdev()));
        device.or_else(|| kind.is_file().then(|| (metadata.dev(), metadata.ino())))
    };
    let source = of(input.path(), &io::stdin()).and_then(identity);
    let target = of(output.path(), &io::stdout()).and_then(identity);
    source.is_some() && source == target
}
