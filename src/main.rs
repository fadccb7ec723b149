//! The command: parse, convert, say how it went.

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
            cli::say_error(&error);
            cli::Exit::of(&error).into()
        }
    }
}
