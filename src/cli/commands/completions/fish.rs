//! The script for fish: a line for each option and word, and the functions of `completions.fish`.

use super::places::{Flag, Line, Places, Value, Word};

/// The script.
pub(super) fn script(places: &Places) -> String {
    let commands: Vec<&str> = places.lines.iter().map(|line| line.command.as_str()).collect();
    let valued: Vec<&str> =
        places.valued.iter().flat_map(|valued| &valued.names).map(String::as_str).collect();
    format!(
        "# Completions of kdumpconv for fish, made by `kdumpconv completions fish`.\n\n\
         set -g __kdumpconv_commands{}\n\
         # All options with a value.\n\
         set -g __kdumpconv_valued {}\n\n{}\n{}",
        commands.join(" "),
        valued.join(" "),
        include_str!("completions.fish"),
        places.lines.iter().map(line).collect::<String>(),
    )
}

/// What can follow a command.
fn line(line: &Line) -> String {
    let start = format!(
        "complete -c kdumpconv -n {}",
        quoted(&format!("__kdumpconv_is '{}'", line.command))
    );
    let options = line.options.iter().map(option);
    let words = line.words.first().map(values);
    options.chain(words).map(|rest| format!("{start}{rest}\n")).collect()
}

fn option(option: &Flag) -> String {
    let names = option.names.iter().map(|name| match name.strip_prefix("--") {
        Some(long) => format!(" -l {long}"),
        None => format!(" -s {}", name.trim_start_matches('-')),
    });
    let value = option.value.as_ref().map(|value| format!(" -r{}", values(value)));
    let names = names.collect::<String>();
    format!("{names}{} -d {}", value.unwrap_or_default(), quoted(&option.help))
}

/// The words that a value can be; -F where it can be a file, -f where it cannot.
fn values(value: &Value) -> String {
    match value {
        Value::Words(words) => format!(" -f -a {}", quoted(&described(words, "\n"))),
        Value::WordsOrFile(words) => format!(" -F -a {}", quoted(&described(words, "\n"))),
        Value::List(words) => {
            format!(" -f -a {}", quoted(&format!("(__kdumpconv_list {})", described(words, " "))))
        }
        Value::File => " -F".to_owned(),
        Value::Folder => " -f -a '(__fish_complete_directories)'".to_owned(),
        Value::Other => " -f".to_owned(),
    }
}

/// Each word, a tab, and its help, as fish reads them once more.
fn described(words: &[Word], between: &str) -> String {
    let items = words.iter().map(|word| format!("{}\\t{}", word.text, quoted(&word.help)));
    items.collect::<Vec<_>>().join(between)
}

/// A word in quotes of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}
