//! What help says beside the options: their headings, usage, examples, exit codes.
//!
//! The manual pages have the same.

use clap::builder::Styles;
use clap::{Arg, ArgAction};

use crate::cli::exit::meanings;

/// Headings of options.
pub(crate) mod heading {
    pub(crate) const INPUT: &str = "Input";
    pub(crate) const OUTPUT: &str = "Output";
    pub(crate) const EXCLUDE: &str = "Pages to exclude";
    pub(crate) const COMPRESSION: &str = "Compression";
    pub(crate) const CHECKS: &str = "Checks";
    pub(crate) const MESSAGES: &str = "Messages";
}

/// The place in its group of an option that comes after all others.
const LAST: usize = 99;

/// How the program is called; the command may be missing.
pub(crate) const USAGE: &str = "kdumpconv [OPTIONS] INPUT [OUTPUT]\n       kdumpconv COMMAND ...";

/// What a line without a command means.
const DEFAULT_COMMAND: &str =
    "Without COMMAND, kdumpconv converts; its options: kdumpconv convert -h";

const PROGRAM: &str = "\
Convert a vmcore:
  kdumpconv vmcore out.kdump
See what a dump is and why the kernel crashed:
  kdumpconv info out.kdump
Check a dump against its source:
  kdumpconv verify out.kdump --against vmcore";

const CONVERT: &str = "\
Convert a vmcore: zlib, pages of zeros stored once, all CPUs:
  kdumpconv vmcore out.kdump
In a capture kernel: LZO, the kernel's own pages alone:
  kdumpconv -l -d 31 /proc/vmcore /var/crash/vmcore
Name the classes to exclude (-d 17):
  kdumpconv --exclude zero,free vmcore out.kdump
Write the best dump that fits into 2 GiB; the kernel's pages alone will do:
  kdumpconv --fit 2G -d 1,31 vmcore out.kdump
Exclude more pages from a kdump file:
  kdumpconv -d 31 big.kdump small.kdump
Compress with another codec; INPUT may be .gz or .zst:
  kdumpconv -z vmcore.zst out.kdump
Send a flattened dump through a pipe:
  kdumpconv -l -d 31 /proc/vmcore | ssh host 'cat > vmcore.flat'
Read a vmcore from a pipe:
  ssh host cat vmcore | kdumpconv - out.kdump
Split a dump for two disks, and join it:
  kdumpconv --split -d 31 vmcore /mnt/a/part1 /mnt/b/part2
  kdumpconv -C keep part1 --part part2 out.kdump
Convert the vmcore of a guest without a vmcoreinfo device:
  kdumpconv --find-vmcoreinfo vmcore out.kdump
See how large OUTPUT would be, and what the memory was used for:
  kdumpconv -n -z -d 31 vmcore";

const INFO: &str = "\
Show what a dump is and why the kernel crashed:
  kdumpconv info vmcore
Show what the memory was used for:
  kdumpconv info --classes vmcore
Get all of it as JSON, for scripts:
  kdumpconv info --json vmcore";

const VERIFY: &str = "\
Check a dump by itself:
  kdumpconv verify out.kdump
Compare each page with the source:
  kdumpconv verify out.kdump --against vmcore
Check a split set:
  kdumpconv verify part1 --part part2";

const DMESG: &str = "\
Print the log:
  kdumpconv dmesg vmcore
Print it with the task or CPU of each line:
  kdumpconv dmesg --caller vmcore
Print what came after the last dmesg -c:
  kdumpconv dmesg --since-clear vmcore
Write it to a file:
  kdumpconv dmesg vmcore dmesg.txt";

const ELF: &str = "\
Turn a kdump file back into a vmcore for gdb:
  kdumpconv elf out.kdump vmcore
Send a vmcore through a pipe:
  kdumpconv elf out.kdump | ssh host 'cat > vmcore'
Exclude free pages and memory of processes:
  kdumpconv elf --exclude free,user out.kdump vmcore";

const UNFLATTEN: &str = "\
Turn a flattened file into a plain one:
  kdumpconv unflatten vmcore.flat vmcore
The same from a pipe, as makedumpfile -R does:
  ssh host cat vmcore.flat | kdumpconv -R vmcore";

const COMPLETIONS: &str = "\
Install completions for bash:
  d=~/.local/share/bash-completion/completions
  mkdir -p $d && kdumpconv completions bash > $d/kdumpconv
Without the package bash-completion, in ~/.bashrc:
  . <(kdumpconv completions bash)
For zsh, in a folder of $fpath (~/.zshrc: fpath+=~/.zfunc, then compinit):
  mkdir -p ~/.zfunc && kdumpconv completions zsh > ~/.zfunc/_kdumpconv
For fish:
  cd ~/.config/fish/completions
  kdumpconv completions fish > kdumpconv.fish";

const MAN: &str = "\
Read the manual page:
  kdumpconv man | man -l -
Read the page of a command:
  kdumpconv man verify | man -l -
Install the manual pages:
  kdumpconv man ~/.local/share/man/man1";

const SCHEMA: &str = "\
Print the schema of all reports:
  kdumpconv schema
Print the schema of one report:
  kdumpconv schema info";

const MAKEDUMPFILE: &str = "\
Convert a vmcore with the options of makedumpfile:
  ln -s \"$(command -v kdumpconv)\" makedumpfile
  ./makedumpfile -l -d 31 /proc/vmcore vmcore
See the command line of kdumpconv that does the same:
  ./makedumpfile -D -l -d 31 /proc/vmcore vmcore";

/// The examples of a command, or of the program if it is named: what each is for, then its lines,
/// which are indented.
pub(crate) fn examples(command: &str) -> &'static str {
    match command {
        "convert" => CONVERT,
        "info" => INFO,
        "verify" => VERIFY,
        "dmesg" => DMESG,
        "elf" => ELF,
        "unflatten" => UNFLATTEN,
        "completions" => COMPLETIONS,
        "man" => MAN,
        "schema" => SCHEMA,
        "makedumpfile" => MAKEDUMPFILE,
        _ => PROGRAM,
    }
}

/// `-h`, in the last group instead of one of its own.
pub(crate) fn help_flag() -> Arg {
    Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .global(true)
        .help("Print this help, or with --help details and examples")
        .help_heading(heading::MESSAGES)
        .display_order(LAST)
}

/// `-V`, like `-h`.
pub(crate) fn version_flag() -> Arg {
    Arg::new("version")
        .short('V')
        .long("version")
        .action(ArgAction::Version)
        .help("Print the version, or with --version the codecs as well")
        .help_heading(heading::MESSAGES)
        .display_order(LAST)
}

/// The end of the program's short help.
pub(crate) fn program_ending() -> String {
    format!("{DEFAULT_COMMAND}\n\n{}", examples_text("kdumpconv"))
}

/// The end of the program's long help.
pub(crate) fn long_program_ending() -> String {
    format!("{DEFAULT_COMMAND}\n\n{}", long_ending("kdumpconv"))
}

/// The end of a command's long help.
pub(crate) fn long_ending(command: &str) -> String {
    let meanings = meanings(command);
    let width = meanings.iter().map(|(code, _)| code.len()).max().unwrap_or(0);
    let codes = meanings.iter().map(|(code, meaning)| format!("\n  {code:width$}  {meaning}"));
    format!("{}\n\n{}{}", examples_text(command), styled("Exit codes:"), codes.collect::<String>())
}

fn examples_text(command: &str) -> String {
    let lines = examples(command).lines().map(|line| format!("\n  {line}"));
    styled("Examples:") + &lines.collect::<String>()
}

/// A heading as clap styles its own.
pub(super) fn styled(heading: &str) -> String {
    let styles = Styles::default();
    let style = styles.get_header();
    format!("{style}{heading}{style:#}")
}
