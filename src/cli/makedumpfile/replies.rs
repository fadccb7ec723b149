//! The messages of makedumpfile that scripts look for, in its words and on its stream.
//!
//! Tests of kdump (op-test) look for "The dumpfile is saved to", ABRT's retrace-server for the dump
//! level. A dump that is incomplete, or did not get the name that was asked for, is never said to
//! be saved: our own messages name what was kept.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use kdumpconv::Dump;

use crate::cli::args::Command;
use crate::cli::args::shared_args::{MESSAGE_COMMON, MESSAGE_DEBUG, OutputArgs};
use crate::cli::ui::messages::printable;
use crate::cli::ui::terminal::Stdout;

/// Prints the replies of a command that is done, as far as the message level allows: on standard
/// output, or on standard error if the output of the command is there.
pub(super) fn print(command: &Command, level: u32) {
    let Some((what, output)) = written(command) else { return };
    let name = output.path().map_or("STDOUT".to_owned(), |path| path.display().to_string());
    let saved = match more_files(command) {
        [] => format!("The {what} is saved to {}.\n", printable(&name)),
        [more @ .., last] => {
            let more = more.iter().map(|file| format!("{}, ", file.display()));
            let names = format!("{name}, {}and {}", more.collect::<String>(), last.display());
            format!("The {what}s are saved to {}.\n", printable(&names))
        }
    };
    let replies: String = [
        dump_level(command).filter(|_| level & MESSAGE_DEBUG != 0),
        Some(saved).filter(|_| level & MESSAGE_COMMON != 0),
    ]
    .into_iter()
    .flatten()
    .collect();
    // The dump is what it is, even if nobody can be told.
    let _ = if is_stdout(output) {
        io::stderr().write_all(replies.as_bytes())
    } else {
        Stdout.write_all(replies.as_bytes())
    };
}

/// What a command has written, and where.
fn written(command: &Command) -> Option<(&'static str, &OutputArgs)> {
    match command {
        Command::Convert(args) if !args.dry_run => Some(("dumpfile", &args.output)),
        Command::Elf(args) => Some(("dumpfile", &args.output)),
        Command::Unflatten(args) => Some(("dumpfile", &args.output)),
        Command::Dmesg(args) => Some(("dmesg log", &args.output)),
        _ => None,
    }
}

/// The files of a split set after the first.
fn more_files(command: &Command) -> &[PathBuf] {
    match command {
        Command::Convert(args) => &args.set.more_files,
        _ => &[],
    }
}

/// The dump level of the kdump file whose log was written (`makedumpfile -D --dump-dmesg`).
fn dump_level(command: &Command) -> Option<String> {
    let Command::Dmesg(args) = command else { return None };
    let dump = Dump::open_path(args.dump.input.path()?).ok()?;
    dump.dump_level().map(|level| format!("  dump_level       : {}\n", level.bits()))
}

/// Whether OUTPUT is standard output, perhaps by a name such as /dev/stdout.
fn is_stdout(output: &OutputArgs) -> bool {
    let Some(path) = output.path() else { return true };
    let identity = |file: fs::Metadata| (file.dev(), file.ino());
    let stdout = || File::from(io::stdout().as_fd().try_clone_to_owned().ok()?).metadata().ok();
    fs::metadata(path).ok().map(identity) == stdout().map(identity)
}
