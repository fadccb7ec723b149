//! `man`: the manual pages, printed or written to a folder.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;

use crate::cli::args::help::{self, heading};
use crate::cli::exit::Exit;
use crate::cli::manual::pages;
use crate::cli::ui::terminal::Stdout;

/// Print the manual page, or write those of all commands
#[derive(Debug, PartialEq, clap::Args)]
#[command(next_help_heading = heading::OUTPUT, after_long_help = help::long_ending("man"))]
#[command(override_usage = "kdumpconv man [FOLDER]")]
pub(crate) struct Manual {
    /// Folder for kdumpconv.1, kdumpconv-info.1 and so on
    ///
    /// It is created if it is missing. Without it, kdumpconv.1 is printed.
    #[arg(value_hint = clap::ValueHint::DirPath)]
    folder: Option<PathBuf>,
}

/// Prints the page of the program, or writes all pages.
///
/// # Errors
/// When standard output or a file in the folder cannot be written.
pub(crate) fn run(args: &Manual) -> anyhow::Result<Exit> {
    let pages = pages();
    let Some(folder) = &args.folder else {
        let text = pages.first().map(|page| page.text.as_str()).unwrap_or_default();
        Stdout.write_all(text.as_bytes()).context("cannot write to standard output")?;
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    for page in pages {
        let path = folder.join(format!("{}.1", page.name));
        std::fs::write(&path, page.text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Exit::Done)
}
