//! The manual pages: the definition of the command line and the prose in this folder, put together.
//!
//! ```text
//! page    one page: its sections, in order
//! prose   the Markdown of the prose, as roff
//! *.md    the prose: what no option says
//! ```
//!
//! Nothing about a command or an option is said here; it belongs to its definition or its prose.

mod page;
mod prose;

use clap::{Command, CommandFactory};

use crate::cli::args::Args;
use crate::cli::makedumpfile;

/// A manual page of section 1.
pub(crate) struct Page {
    /// Such as `kdumpconv-info`.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The pages of the program, which is the first, of its commands, and of its use as makedumpfile.
pub(crate) fn pages() -> Vec<Page> {
    // Building gives the commands their full names and the options that all commands share.
    let mut program = Args::command().disable_help_subcommand(true);
    program.build();
    let mut makedumpfile = makedumpfile::definition().display_name("kdumpconv-makedumpfile");
    makedumpfile.build();

    let commands = program.get_subcommands().filter(|command| !command.is_hide_set());
    let all: Vec<&Command> =
        std::iter::once(&program).chain(commands).chain([&makedumpfile]).collect();
    all.iter().map(|command| page::page(command, &program, &all)).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn each_example_of_the_prose_is_a_right_command_line() {
        let mut count = 0;
        for Page { name, .. } in pages() {
            let lines = prose::of_page(&name).lines().filter_map(|line| line.strip_prefix("    "));
            let lines = lines.map(|line| line.strip_prefix("$ ").unwrap_or(line));
            for line in lines.filter(|line| line.starts_with("kdumpconv ")) {
                let words = line.split_whitespace().take_while(|word| *word != "|");
                let parsed = Args::of_line(words.map(OsString::from).collect());
                assert!(parsed.is_ok(), "{name}: {line}: {parsed:?}");
                count += 1;
            }
        }
        assert!(count > 2, "{count}");
    }

    #[test]
    fn no_page_lacks_a_summary_a_synopsis_or_a_help_for_an_option() {
        for Page { name, text } in pages() {
            assert!(!text.contains(" \\- \n"), "{name} has no summary");
            assert!(!text.contains("SYNOPSIS\n.SH"), "{name} has no synopsis");
            assert!(!text.contains("\n\n"), "{name} has an option without help");
        }
    }
}
