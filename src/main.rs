//! The command: read the arguments, do what they ask for, print errors, end with an exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run_line().into()
}
