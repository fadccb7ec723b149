//! `man`: the manual pages, made from the definition of the command line.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::args::Args;
use crate::cli::args::help::{self, heading};
use crate::cli::exit::Exit;

/// Print the manual page, or write those of all commands
#[derive(Debug, PartialEq, clap::Args)]
#[command(next_help_heading = heading::OUTPUT, after_long_help = help::long_ending("man"))]
#[command(override_usage = "kdumpconv man [FOLDER]")]
pub(crate) struct Manual {
    /// Folder for kdumpconv.1, kdumpconv-info.1 and so on
    ///
    /// It is created if it is missing. Without it, kdumpconv.1 is printed.
    folder: Option<PathBuf>,
}

/// The end of each page, which the definition of the command line does not have.
const SEE_ALSO: &[u8] = b".SH \"SEE ALSO\"\ncrash(8), makedumpfile(8), kdump.conf(5)\n";

/// Prints the manual page of the main command, or writes all of them.
///
/// # Errors
/// When standard output or a file in the folder cannot be written.
pub(crate) fn manual(args: &Manual) -> anyhow::Result<Exit> {
    // This gives the commands their full names, such as kdumpconv-info.
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = &args.folder else {
        return print(&page(command)?);
    };
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    for command in std::iter::once(command.clone()).chain(commands) {
        let name = command.get_display_name().unwrap_or(command.get_name());
        let path = folder.join(format!("{name}.1"));
        let written = page(command).and_then(|page| std::fs::write(&path, page));
        written.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Exit::Done)
}

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    page.extend_from_slice(SEE_ALSO);
    Ok(page)
}

fn print(bytes: &[u8]) -> anyhow::Result<Exit> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("cannot write to standard output")?;
    Ok(Exit::Done)
}
