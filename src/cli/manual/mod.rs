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

/// A manual page of section 1.
pub(crate) struct Page {
    /// Such as `kdumpconv-info`.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The pages of the program, which is the first, and of its commands.
pub(crate) fn pages(definition: clap::Command) -> Vec<Page> {
    // Building gives the commands their full names and the options that all commands share.
    let mut program = definition.disable_help_subcommand(true);
    program.build();
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set());
    let pages = std::iter::once(&program).chain(commands);
    pages.map(|command| page::page(command, &program)).collect()
}
