//! `kdumpconv VMCORE OUT`, short for `kdumpconv convert VMCORE OUT`; and options in front of a
//! command.
//!
//! clap wants the command first, and its options after it. Here the first word that is no option
//! decides: it is the command, or else an INPUT to convert.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::raw_args::split_address;

/// The command that a line without one stands for.
pub(crate) const DEFAULT: &str = "convert";

/// The commands that only builds with the feature `generate` have.
const GENERATE: [&str; 3] = ["completions", "man", "schema"];

/// clap's own command. Of options it takes those in front of it.
const HELP: &str = "help";

/// The command line with its command in front of all options.
///
/// # Errors
/// For a first word that is neither a command nor a file, but nearly a command.
pub(super) fn expanded(
    mut line: Vec<OsString>,
    definition: &mut clap::Command,
) -> Result<Vec<OsString>, clap::Error> {
    match first_word(&line, definition) {
        Some(index) => match line.get(index) {
            // help takes names of commands alone.
            Some(word) if word == HELP => {
                let after = line.split_off(index + 1);
                let is_name = |word: &OsString| !word.as_encoded_bytes().starts_with(b"-");
                line.extend(after.into_iter().filter(is_name));
                return Ok(line);
            }
            Some(word) if definition.find_subcommand(word).is_some() => {
                let command = line.remove(index);
                line.insert(1, command);
                return Ok(line);
            }
            Some(word) => refuse_misspelt_command(word, definition)?,
            None => {}
        },
        None if asks_for_help(&line, definition) => return Ok(line),
        None => {}
    }
    line.insert(1, DEFAULT.into());
    Ok(line)
}

/// The index of the first word that is neither an option nor the value of one; `None` if there is
/// none before `--`.
fn first_word(line: &[OsString], definition: &clap::Command) -> Option<usize> {
    let end = line.iter().position(|word| word == "--").unwrap_or(line.len());
    words(line, definition).first().copied().filter(|index| *index < end)
}

/// The line with each further file of raw memory as a part of the first: `LOW@0 HIGH@0x100000000`.
pub(super) fn with_parts(mut line: Vec<OsString>, definition: &clap::Command) -> Vec<OsString> {
    let files = words(&line, definition);
    let has_address = |index: &usize| {
        let word = line.get(*index).map(Path::new);
        let (file, address) = word.map(split_address)?;
        address.map(|_| file.exists())
    };
    // The command is the first word. The last may be an OUTPUT whose name only looks like that.
    let last = files.last().copied();
    let is_part = |index: &usize| match has_address(index) {
        Some(exists) => exists || Some(*index) != last,
        None => false,
    };
    let mut files = files.into_iter().skip(1);
    if files.next().and_then(|first| has_address(&first)).is_none() {
        return line;
    }
    let parts: Vec<usize> = files.take_while(is_part).collect();
    for (place, index) in parts.into_iter().enumerate() {
        let mut part = OsString::from("--part=");
        part.push(line.remove(index));
        line.insert(2 + place, part);
    }
    line
}

/// The indices of all words that are neither options nor their values.
fn words(line: &[OsString], definition: &clap::Command) -> Vec<usize> {
    let mut words = Vec::new();
    let mut is_value = false;
    for (index, word) in line.iter().enumerate().skip(1) {
        let bytes = word.as_encoded_bytes();
        if is_value {
            is_value = false;
        } else if bytes == b"--" {
            words.extend(index + 1..line.len());
            break;
        } else if let Some(name) = bytes.strip_prefix(b"--") {
            is_value = !name.contains(&b'=')
                && takes_value(definition, |arg| {
                    let long = arg.get_long_and_visible_aliases().unwrap_or_default();
                    let hidden = arg.get_all_aliases().unwrap_or_default();
                    long.iter().chain(&hidden).any(|long| long.as_bytes() == name)
                });
        } else if let Some(letters) = bytes.strip_prefix(b"-").filter(|rest| !rest.is_empty()) {
            // The value of a letter is the rest of the word, or else the next word.
            let with_value = letters.iter().position(|letter| {
                takes_value(definition, |arg| arg.get_short() == Some(char::from(*letter)))
            });
            is_value = with_value.is_some_and(|at| at + 1 == letters.len());
        } else {
            words.push(index);
        }
    }
    words
}

/// Whether an option of any command takes the next word as its value. No option does so for some
/// commands alone.
fn takes_value(definition: &clap::Command, is_it: impl Fn(&clap::Arg) -> bool) -> bool {
    let commands = std::iter::once(definition).chain(definition.get_subcommands());
    let mut options = commands.flat_map(clap::Command::get_opts);
    options.any(|arg| is_it(arg) && takes_next_word(arg))
}

/// Whether the value of `arg` may be the word after it. That of others follows an equals sign.
pub(crate) fn takes_next_word(arg: &clap::Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set()
}

/// Whether a line of options alone asks for help or the version of the program, not of a command.
fn asks_for_help(line: &[OsString], definition: &clap::Command) -> bool {
    let is_own = |word: &&OsString| {
        let word = word.to_string_lossy();
        definition.get_arguments().any(|arg| {
            let short = arg.get_short().map(|short| format!("-{short}"));
            let long = arg.get_long().map(|long| format!("--{long}"));
            short.as_deref() == Some(&word) || long.as_deref() == Some(&word)
        })
    };
    let helps = ["-h", "--help", "-V", "--version"];
    let options = || line.iter().skip(1);
    line.len() <= 1
        || options().all(|word| is_own(&word))
            && options().any(|word| helps.iter().any(|help| word == help))
}

/// Refuses a word that no file has as its name, if a command or an option has one like it, or if
/// other builds have this command.
fn refuse_misspelt_command(
    word: &OsStr,
    definition: &mut clap::Command,
) -> Result<(), clap::Error> {
    let is_path = word == "-" || word.as_encoded_bytes().iter().any(|byte| b"/.".contains(byte));
    if is_path || Path::new(word).symlink_metadata().is_ok() {
        return Ok(());
    }
    let text = word.to_string_lossy();
    if let Some(why) = why_not_in_this_build(&text) {
        return Err(definition.error(ErrorKind::InvalidSubcommand, why));
    }
    let is_option = definition.get_arguments().any(|arg| arg.get_long() == Some(&*text));
    let likely = if is_option { Some(format!("--{text}")) } else { similar(&text, definition) };
    let Some(likely) = likely else { return Ok(()) };
    let why = format!("'{text}' is neither a command nor a file; did you mean `{likely}`?");
    Err(definition.error(ErrorKind::InvalidSubcommand, why))
}

/// Why a command is not in this build, if it is not.
pub(super) fn why_not_in_this_build(command: &str) -> Option<String> {
    let is_left_out = !cfg!(feature = "generate") && GENERATE.contains(&command);
    is_left_out.then(|| {
        format!("this build has no command {command}; packages have what it prints as a file (/usr/share/kdumpconv/schema.json, man pages, completions)")
    })
}

/// The command whose name is most like `word`, if clap finds one.
pub(super) fn similar(word: &str, definition: &clap::Command) -> Option<String> {
    let line = [definition.get_name(), word];
    let error = definition.clone().try_get_matches_from(line).err()?;
    match error.get(ContextKind::SuggestedSubcommand)? {
        ContextValue::String(name) => Some(name.clone()),
        ContextValue::Strings(names) => names.last().cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Args;

    fn definition() -> clap::Command {
        let mut definition = Args::command();
        definition.build();
        definition
    }

    fn expand(line: &str) -> Result<String, String> {
        let line = line.split_whitespace().map(Into::into).collect();
        let expanded = expanded(line, &mut definition()).map_err(|error| error.to_string())?;
        Ok(expanded.join(OsStr::new(" ")).into_string().unwrap())
    }

    #[test]
    fn a_line_without_a_command_is_a_conversion() {
        for (line, expected) in [
            ("k a b", "k convert a b"),
            ("k -l -d 31 a b", "k convert -l -d 31 a b"),
            ("k -ld31 a b", "k convert -ld31 a b"),
            ("k - out", "k convert - out"),
            ("k ./info out", "k convert ./info out"),
            ("k -- info out", "k convert -- info out"),
            ("k -d info out", "k convert -d info out"),
            ("k vmcore info", "k convert vmcore info"),
            ("k -q", "k convert -q"),
            ("k -l --help", "k convert -l --help"),
            ("k -", "k convert -"),
        ] {
            assert_eq!(expand(line).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn options_may_stand_in_front_of_the_command() {
        for (line, expected) in [
            ("k info a", "k info a"),
            ("k -q info a -v", "k info -q a -v"),
            ("k --progress never info a", "k info --progress never a"),
            ("k --progress=never info a", "k info --progress=never a"),
            ("k -ld 31 elf a b", "k elf -ld 31 a b"),
            ("k --color always --json verify a", "k verify --color always --json a"),
            ("k --num-threads 4 verify a", "k verify --num-threads 4 a"),
            ("k --json help info", "k --json help info"),
            ("k -q help info --json -h", "k -q help info"),
            ("k help -h", "k help"),
        ] {
            assert_eq!(expand(line).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn help_of_the_program_needs_no_command() {
        for line in ["k", "k --help", "k -h", "k -V", "k -q --help"] {
            assert_eq!(expand(line).as_deref(), Ok(line));
        }
    }

    #[test]
    fn a_word_that_is_nearly_a_command_gets_a_suggestion() {
        let of_generate = cfg!(feature = "generate").then_some(("completion", "completions"));
        let misspelt = [
            ("verfy", "verify"),
            ("dmseg", "dmesg"),
            ("unflaten", "unflatten"),
            ("version", "--version"),
            ("-q inf", "info"),
        ];
        for (word, likely) in misspelt.into_iter().chain(of_generate) {
            let refused = expand(&format!("k {word} x")).unwrap_err();
            assert!(refused.contains(&format!("did you mean `{likely}`?")), "{refused}");
        }
        for other in ["vmcore", "./verfy", "dump.2026", "Cargo.toml", "vmcore.zst"] {
            assert_eq!(expand(&format!("k {other} x")), Ok(format!("k convert {other} x")));
        }
    }

    #[test]
    fn a_build_says_which_commands_it_lacks() {
        for command in GENERATE {
            let expanded = expand(&format!("k {command}"));
            match cfg!(feature = "generate") {
                true => assert_eq!(expanded, Ok(format!("k {command}"))),
                false => {
                    let refused = expanded.unwrap_err();
                    let expected = format!("this build has no command {command}; packages have");
                    assert!(refused.contains(&expected), "{refused}");
                }
            }
        }
    }

    #[test]
    fn an_option_takes_a_value_for_all_commands_or_for_none() {
        let definition = definition();
        let mut names = std::collections::HashMap::new();
        for command in std::iter::once(&definition).chain(definition.get_subcommands()) {
            for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
                let takes_value = takes_next_word(arg);
                let short = arg.get_short().map(String::from);
                for name in short.into_iter().chain(arg.get_long().map(str::to_owned)) {
                    assert_eq!(
                        *names.entry(name.clone()).or_insert(takes_value),
                        takes_value,
                        "{name}"
                    );
                }
            }
        }
        assert!(names.len() > 30);
    }
}
