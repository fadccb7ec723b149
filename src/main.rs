//! The command: read the arguments, do what they ask for, print errors, end with an exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    let exit = match cli::arguments() {
        Ok(Some(args)) => cli::run(&args),
        Ok(None) => cli::Exit::Done,
        Err(error) => cli::fail(&error),
    };
    exit.into()
}
