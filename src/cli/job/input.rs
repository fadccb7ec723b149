//! INPUT and the files beside it, opened.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use kdumpconv::{Dump, Error, Input, OpenOptions, VmcoreinfoCandidates};

use super::Job;
use super::output::folder_of;
use super::signals::Interruptible;
use crate::cli::args::shared_args::{DumpArgs, EncryptedArgs, InputArgs, OutputArgs};
use crate::cli::ui::advice::InputName;
use crate::cli::ui::progress::READING_HEADERS;

/// The largest VMCOREINFO that is read; the kernel allots one page to it.
const MAX_VMCOREINFO_BYTES: u64 = 1 << 20;

/// The warning about a conversion of encrypted memory.
const ENCRYPTED: &str =
    "the memory is encrypted (Secure Execution), and OUTPUT lacks what decrypts it: keep INPUT";

impl Job {
    /// Opens the dump that the arguments name, to write another one; refuses encrypted memory unless
    /// it is `forced`.
    ///
    /// # Errors
    /// As [`open_to_read`](Self::open_to_read).
    pub(crate) fn open_to_convert(
        &self,
        args: &DumpArgs,
        output: &OutputArgs,
        forced: &EncryptedArgs,
    ) -> anyhow::Result<Dump> {
        let dump = self.open_dump(args, Some(output), forced.force_encrypted)?;
        if dump.is_encrypted() {
            self.messages.warn(&[ENCRYPTED.to_owned()]);
        }
        Ok(dump)
    }

    /// Opens the dump that the arguments name, to say what it is: its memory may be encrypted.
    ///
    /// # Errors
    /// As [`open_to_read`](Self::open_to_read).
    pub(crate) fn open_to_describe(&self, args: &DumpArgs) -> anyhow::Result<Dump> {
        self.open_dump(args, None, true)
    }

    /// The same. Returns what looks like a VMCOREINFO in memory as well, if the arguments have it
    /// searched: `all` that there is in memory, or what comes before the one that is taken.
    ///
    /// # Errors
    /// As [`open_to_read`](Self::open_to_read).
    pub(crate) fn open_with_candidates(
        &self,
        args: &DumpArgs,
        all: bool,
    ) -> anyhow::Result<(Dump, Option<VmcoreinfoCandidates>)> {
        self.open_and_settle(args, None, true, all)
    }

    /// Opens the dump that the arguments name, to read its memory.
    ///
    /// # Errors
    /// Why one of its files cannot be opened, or is not what it should be; that a signal was caught.
    pub(crate) fn open_to_read(&self, args: &DumpArgs) -> anyhow::Result<Dump> {
        self.open_dump(args, None, false)
    }

    fn open_dump(
        &self,
        args: &DumpArgs,
        output: Option<&OutputArgs>,
        encrypted: bool,
    ) -> anyhow::Result<Dump> {
        Ok(self.open_and_settle(args, output, encrypted, false)?.0)
    }

    fn open_and_settle(
        &self,
        args: &DumpArgs,
        output: Option<&OutputArgs>,
        encrypted: bool,
        all: bool,
    ) -> anyhow::Result<(Dump, Option<VmcoreinfoCandidates>)> {
        self.refuse_after_signal()?;
        let opening = &args.opening;
        let vmcoreinfo = opening.vmcoreinfo.as_deref().map(read_vmcoreinfo).transpose()?;
        let options = OpenOptions::default()
            .page_size(opening.page_size)
            .vmcoreinfo(vmcoreinfo)
            .encrypted(encrypted);
        let open = || self.open_files(args, &options, &spool_dir(output));
        let dump = match args.input.path() {
            Some(_) => self.with_progress(READING_HEADERS, |_| open())?,
            // What feeds the pipe may ask for a password on this terminal: nothing moves there yet.
            None => open()?,
        };
        self.settle_vmcoreinfo(dump, options, args, all)
    }

    fn open_files(
        &self,
        args: &DumpArgs,
        options: &OpenOptions,
        spool_dir: &Path,
    ) -> anyhow::Result<Dump> {
        let opening = &args.opening;
        let mut inputs = vec![self.open(&args.input, spool_dir.to_owned())?];
        for part in &opening.part {
            let named = |error| named(error, &InputArgs::of(part));
            inputs.push(Input::open(part, spool_dir.to_owned()).map_err(named)?);
        }
        if opening.find_vmcoreinfo.is_some() {
            // The search reads all of memory before a page of it is converted.
            let at_random = |input: Input| input.at_random().map(Input::from);
            inputs = inputs.into_iter().map(at_random).collect::<kdumpconv::Result<_>>()?;
        }
        Dump::open_all(inputs, options).with_context(|| InputName::from(&args.input))
    }

    /// Opens INPUT; parts of a pipe that are needed out of order are spooled beside `output`.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(crate) fn open_input(
        &self,
        input: &InputArgs,
        output: &OutputArgs,
    ) -> anyhow::Result<Input> {
        self.open(input, spool_dir(Some(output)))
    }

    fn open(&self, input: &InputArgs, spool_dir: PathBuf) -> anyhow::Result<Input> {
        let pipe = match input.path() {
            None => {
                let stdin = io::stdin().as_fd().try_clone_to_owned().context("standard input")?;
                File::from(stdin)
            }
            Some(path) if Input::is_pipe(path) => File::open(path).with_context(|| input.name())?,
            Some(path) => return Input::open(path, spool_dir).map_err(|error| named(error, input)),
        };
        let interruptible = Interruptible::new(pipe, &self.signals)?;
        Ok(Input::from_reader(Box::new(interruptible), spool_dir)?)
    }

    pub(super) fn refuse_after_signal(&self) -> anyhow::Result<()> {
        ensure!(self.caught_signal().is_none(), "ended by a signal");
        Ok(())
    }
}

/// An error of [`Input::open`] with the name of the file, which [`Error::Read`] already has.
fn named(error: Error, input: &InputArgs) -> anyhow::Error {
    match error {
        Error::Read { .. } => error.into(),
        error => anyhow::Error::from(error).context(InputName::from(input)),
    }
}

/// The folder for parts of a pipe that are needed out of order: that of OUTPUT, which has room
/// for a dump, if it is on a disk.
fn spool_dir(output: Option<&OutputArgs>) -> PathBuf {
    match output.and_then(OutputArgs::path) {
        Some(target) if folder_of(target).is_dir() && !target.starts_with("/dev") => {
            folder_of(target).to_owned()
        }
        _ => std::env::temp_dir(),
    }
}

fn read_vmcoreinfo(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = || path.display().to_string();
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_VMCOREINFO_BYTES + 1).read_to_end(&mut text))
        .with_context(name)?;
    if !text.starts_with(b"OSRELEASE=") || text.len() as u64 > MAX_VMCOREINFO_BYTES {
        let why = format!("{}: not the text of a VMCOREINFO, which begins with OSRELEASE=", name());
        return Err(Error::NotRecognised(why).into());
    }
    Ok(text)
}
