//! INPUT and the files beside it, opened.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, ensure};
use kdumpconv::{
    Dump, Error, Input, OpenOptions, Progress, SpoolDir, Stage, Vmcoreinfo, VmcoreinfoCandidates,
};

use super::Job;
use super::output::folder_of;
use super::raw::raw_memory;
use super::signals::Interruptible;
use crate::cli::args::shared_args::{DumpArgs, EncryptedArgs, InputArgs, OutputArgs};
use crate::cli::ui::advice::InputName;
use crate::cli::ui::messages::{print_line, printable};
use crate::cli::ui::progress::{READING_HEADERS, stage_name};
use crate::cli::ui::sizes::size;

/// The warning about a conversion of encrypted memory.
const ENCRYPTED: &str =
    "the memory is encrypted (Secure Execution), and OUTPUT lacks what decrypts it: keep INPUT";

/// A folder for large temporary files.
const VAR_TMP: &str = "/var/tmp";

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
    pub(crate) fn open_to_describe(
        &self,
        args: &DumpArgs,
        output: Option<&OutputArgs>,
    ) -> anyhow::Result<Dump> {
        self.open_dump(args, output, true)
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
    pub(crate) fn open_to_read(
        &self,
        args: &DumpArgs,
        output: Option<&OutputArgs>,
    ) -> anyhow::Result<Dump> {
        self.open_dump(args, output, false)
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
            .machine(opening.raw.arch)
            .raw(raw_memory(args)?)
            .encrypted(encrypted);
        let spool_dir = spool_dir(opening.spool.as_deref(), output);
        let mut dump = self.open_files(args, &options, &spool_dir)?;
        if opening.find_vmcoreinfo.is_some() || opening.vmcoreinfo.is_some() {
            // Memory is searched, or proves the file, before a page of it is converted.
            self.make_random(&mut dump, &args.input)?;
        }
        self.settle_vmcoreinfo(dump, options, args, all)
    }

    fn open_files(
        &self,
        args: &DumpArgs,
        options: &OpenOptions,
        spool_dir: &SpoolDir,
    ) -> anyhow::Result<Dump> {
        let mut inputs = vec![self.open(&args.input, spool_dir)?];
        for file in args.other_files() {
            if args.opening.part.is_empty() && self.messages.is_verbose() {
                let (input, file) = (printable(&self.messages.input), file.to_string_lossy());
                print_line(&format!("{input}: read together with {}", printable(&file)));
            }
            let named = |error| named(error, &InputArgs::of(&file));
            inputs.push(Input::open(&file, spool_dir.clone()).map_err(named)?);
        }
        let name = InputName::of_input(&args.input, inputs.first());
        let stop = self.signals.stop();
        let open = |show: &mut (dyn FnMut(Progress) + Send)| {
            Dump::open_with_progress(inputs, options, stop, show)
        };
        let dump = match args.input.path() {
            Some(_) => self.with_progress(READING_HEADERS, open),
            // What feeds the pipe may ask for a password on this terminal: nothing moves there yet.
            None => open(&mut |_| ()),
        };
        let dump = dump.context(name)?;
        self.refuse_after_signal()?;
        Ok(dump)
    }

    /// Stores a dump that can only be read forward, so that it can be read at random. A signal, once
    /// they are caught, ends that: the dump has what was read until then.
    ///
    /// # Errors
    /// Why it cannot be stored.
    pub(crate) fn make_random(&self, dump: &mut Dump, input: &InputArgs) -> anyhow::Result<()> {
        if !dump.is_sequential() {
            return Ok(());
        }
        let name = InputName::of_dump(input, dump);
        let stop = self.signals.stop();
        let store = |show: &mut (dyn FnMut(Progress) + Send)| dump.make_random(stop, show);
        self.with_progress(stage_name(Stage::Unpacking), store).context(name)?;
        if self.messages.is_verbose() {
            let stored = size(dump.spooled_bytes());
            let input = printable(&self.messages.input);
            print_line(&format!("{input}: stored in a temporary file of {stored}"));
        }
        Ok(())
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
        self.open(input, &spool_dir(None, Some(output)))
    }

    fn open(&self, input: &InputArgs, spool_dir: &SpoolDir) -> anyhow::Result<Input> {
        let spool_dir = spool_dir.clone();
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

/// The folder for a copy of an input that can only be read forward: the `chosen` one; or that of
/// OUTPUT, which has room for a dump; or one for large temporary files.
fn spool_dir(chosen: Option<&Path>, output: Option<&OutputArgs>) -> SpoolDir {
    if let Some(chosen) = chosen {
        return SpoolDir::from(chosen);
    }
    SpoolDir::checked(match output.and_then(OutputArgs::path) {
        Some(target) if folder_of(target).is_dir() && !target.starts_with("/dev") => {
            folder_of(target).to_owned()
        }
        // The Filesystem Hierarchy Standard keeps /var/tmp over a reboot, so it is on a disk.
        _ if std::env::var_os("TMPDIR").is_none() && Path::new(VAR_TMP).is_dir() => VAR_TMP.into(),
        _ => std::env::temp_dir(),
    })
}

fn read_vmcoreinfo(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = || path.display().to_string();
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(Vmcoreinfo::MAX_BYTES + 1).read_to_end(&mut text))
        .with_context(name)?;
    if !text.starts_with(b"OSRELEASE=") || text.len() as u64 > Vmcoreinfo::MAX_BYTES {
        let why = format!("{}: not the text of a VMCOREINFO, which begins with OSRELEASE=", name());
        return Err(Error::NotRecognised(why).into());
    }
    Ok(text)
}
