//! The command: read the arguments, do what they ask for, print errors, end with an exit code.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    let done = cli::arguments().and_then(|args| match args {
        Some(args) => cli::run(&args),
        None => Ok(cli::Exit::Done),
    });
    match done {
        Ok(exit) => exit.into(),
        Err(error) => {
            cli::print_error(&error);
            cli::Exit::of(&error).into()
        }
    }
}
