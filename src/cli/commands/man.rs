//! `man`: a manual page, printed, or all of them, written to a folder.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::args::help::{self, heading};
use crate::cli::args::shared_args::{MessageArgs, Verbosity};
use crate::cli::exit::Exit;
use crate::cli::manual::{Page, pages};
use crate::cli::ui::messages::{print_line, printable};
use crate::cli::ui::terminal::Stdout;

/// Print a manual page, or write those of all commands
#[derive(Debug, PartialEq, clap::Args)]
#[command(next_help_heading = heading::OUTPUT, after_long_help = help::long_ending("man"))]
#[command(override_usage = "kdumpconv man [COMMAND]\n       kdumpconv man FOLDER")]
pub(crate) struct Manual {
    /// Print the page of a command, or write all to a folder
    ///
    /// A command is convert, info and so on, or makedumpfile; without one, the page of kdumpconv is
    /// printed. Any other word is a folder, for kdumpconv.1, kdumpconv-info.1 and so on; it is
    /// created if it is missing. A folder that has the name of a command is written ./info.
    #[arg(value_name = "COMMAND|FOLDER", value_hint = clap::ValueHint::DirPath)]
    target: Option<PathBuf>,
}

/// Prints one page, or writes all pages.
///
/// # Errors
/// When standard output or a file in the folder cannot be written.
pub(crate) fn run(args: &Manual, messages: &MessageArgs) -> anyhow::Result<Exit> {
    let pages = pages();
    let name = match &args.target {
        Some(command) => OsString::from_iter(["kdumpconv-".as_ref(), command.as_os_str()]),
        None => "kdumpconv".into(),
    };
    let page = pages.iter().find(|page| name == *page.name);
    match (page, &args.target) {
        (None, Some(folder)) => write_all(&pages, folder, messages)?,
        (page, _) => {
            let text = page.map(|page| page.text.as_str()).unwrap_or_default();
            Stdout.write_all(text.as_bytes()).context("cannot write to standard output")?;
        }
    }
    Ok(Exit::Done)
}

/// Writes all pages to a folder, and says how many.
fn write_all(pages: &[Page], folder: &Path, messages: &MessageArgs) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    for page in pages {
        let path = folder.join(format!("{}.1", page.name));
        std::fs::write(&path, &page.text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if messages.verbosity() >= Verbosity::Normal {
        let shown = folder.display().to_string();
        let shown = printable(shown.trim_end_matches('/'));
        print_line(&format!("{shown}/: {} manual pages", pages.len()));
    }
    Ok(())
}
