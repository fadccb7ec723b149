//! The command: parse, convert, say how it went.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    match cli::run(&args) {
        Ok(exit) => exit.into(),
        Err(error) => {
            cli::say_error(&error);
            cli::Exit::of(&error).into()
        }
    }
}
