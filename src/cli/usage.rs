//! What is printed about wrong arguments, by whichever name the program was called; help and the
//! version, which clap has as errors too.

use std::ffi::OsString;
use std::io::{self, Write};

use super::Exit;
use super::args::color_of_usage;
use super::json::{ErrorJson, print_json_line};
use super::ui::messages::printable;
use super::ui::terminal::stderr_has_colour;

/// How clap's errors begin, and how all of ours do.
const CLAPS_PREFIX: &str = "error:";
const PREFIX: &str = "kdumpconv:";

/// Parses a line, or prints why that cannot be done. Wrong arguments are quoted in their printable
/// form, as a terminal would act on some characters.
///
/// # Errors
/// The exit code.
pub(super) fn parsed<T>(
    line: &[OsString],
    parse: impl Fn(Vec<OsString>) -> Result<T, clap::Error>,
) -> Result<T, Exit> {
    parse(line.to_vec()).map_err(|error| {
        let shown = line.iter().map(|word| printable(&word.to_string_lossy()).into());
        answer(&parse(shown.collect()).err().unwrap_or(error), line)
    })
}

fn answer(error: &clap::Error, line: &[OsString]) -> Exit {
    if !error.use_stderr() {
        let _ = error.print();
        return Exit::Done;
    }
    if asks_for_json(line) {
        print_json_line(&ErrorJson::new(message(error), None, Exit::Usage), false);
    }
    let plain = error.to_string();
    let is_help = !plain.starts_with(CLAPS_PREFIX);
    let has_colour = stderr_has_colour(color_of_usage(line));
    let text = if has_colour { error.render().ansi().to_string() } else { plain };
    let text = if is_help { text } else { text.replacen(CLAPS_PREFIX, PREFIX, 1) };
    let _ = io::stderr().write_all(text.as_bytes());
    Exit::Usage
}

/// Whether --json is among arguments that could not be parsed.
fn asks_for_json(line: &[OsString]) -> bool {
    line.iter().take_while(|word| *word != "--").any(|word| word == "--json")
}

/// clap's message without the tips and the usage that follow it, on one line.
fn message(error: &clap::Error) -> String {
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or(&text).trim_start_matches(CLAPS_PREFIX);
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
