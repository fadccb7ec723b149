//! Wrong arguments: clap's errors, with the advice that helps here instead of clap's own.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use super::{Command as Asked, help, short_form};
use crate::cli::makedumpfile;

/// How a conversion with -R is called.
const USAGE_OF_R: &str = "kdumpconv -R [OPTIONS] OUTPUT < INPUT";

/// The error for the arguments of `line`, whose command is its first word.
pub(super) fn explained(mut error: Error, line: &[OsString], definition: &mut Command) -> Error {
    let command = line.get(1).and_then(|name| definition.find_subcommand(name)).cloned();
    match (error.kind(), command) {
        (ErrorKind::UnknownArgument, Some(command)) => explain_unknown(error, command, definition),
        (ErrorKind::InvalidSubcommand, _) => {
            let word = text_of(&error, ContextKind::InvalidSubcommand);
            definition.error(ErrorKind::InvalidSubcommand, no_command(&word, definition))
        }
        (ErrorKind::MissingRequiredArgument, Some(command)) if rearranges(line, &command) => {
            let missing = ContextValue::Strings(vec!["<OUTPUT>".to_owned()]);
            error.insert(ContextKind::InvalidArg, missing);
            let usage = format!("{} {}", help::styled("Usage:"), USAGE_OF_R);
            error.insert(ContextKind::Usage, ContextValue::StyledStr(usage.into()));
            error
        }
        _ => error,
    }
}

/// Removes tips that help nobody: to pass an option as a value, and to take an option that is not
/// like the one given.
pub(crate) fn remove_wrong_tips(error: &mut Error) {
    if error.kind() != ErrorKind::UnknownArgument {
        return;
    }
    error.remove(ContextKind::Suggested);
    let given = text_of(error, ContextKind::InvalidArg);
    if !is_similar(&given, &text_of(error, ContextKind::SuggestedArg)) {
        error.remove(ContextKind::SuggestedArg);
    }
}

/// Refuses more files than a conversion without --split takes.
pub(super) fn refuse_files_without_split(
    command: &Asked,
    definition: &mut Command,
) -> Result<(), Error> {
    match command {
        Asked::Convert(args) if !args.set.split => match args.set.more_files.first() {
            Some(file) => {
                let takes = "convert takes <INPUT> [OUTPUT]";
                let why = format!("too many arguments: {takes}, not '{}'", file.display());
                Err(definition.error(ErrorKind::TooManyValues, why))
            }
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// An argument that is one too many, or an option that the command does not have.
fn explain_unknown(mut error: Error, mut command: Command, definition: &Command) -> Error {
    let word = text_of(&error, ContextKind::InvalidArg);
    if !word.starts_with('-') {
        let names: Vec<String> = command.get_positionals().map(ToString::to_string).collect();
        let takes = format!("{} takes {}", command.get_name(), names.join(" "));
        let why = format!("too many arguments: {takes}, not '{word}'");
        return command.error(ErrorKind::TooManyValues, why);
    }
    remove_wrong_tips(&mut error);
    if let Some(tip) = tip(&word, &command, definition) {
        error.remove(ContextKind::SuggestedArg);
        let tips = vec![StyledStr::from(tip)];
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// What to do instead of giving `option` to a command that does not have it.
fn tip(option: &str, command: &Command, definition: &Command) -> Option<String> {
    let writes = command.get_positionals().any(|arg| arg.get_id() == "output");
    let converts = command.get_name() == short_form::DEFAULT;
    let others = definition.get_subcommands().filter(|other| has_option(other, option));
    let others: Vec<&str> = others.map(Command::get_name).collect();
    match (option, others.as_slice()) {
        ("-o" | "--output", _) if writes => Some("OUTPUT is the second argument".to_owned()),
        ("--zlib", _) if converts => Some("-c or -C zlib".to_owned()),
        ("--lzo", _) if converts => Some("-l or -C lzo".to_owned()),
        ("--snappy", _) if converts => Some("-p or -C snappy".to_owned()),
        ("--zstd", _) if converts => Some("-z or -C zstd".to_owned()),
        (_, [names @ .., last]) => {
            let names = match names {
                [] => (*last).to_owned(),
                names => format!("{} and {last}", names.join(", ")),
            };
            Some(format!("'{option}' is an option of {names}, not of {}", command.get_name()))
        }
        _ => makedumpfile_tip(option),
    }
}

/// What to do instead of giving one of makedumpfile's options.
fn makedumpfile_tip(option: &str) -> Option<String> {
    if !has_option(&makedumpfile::definition(), option) {
        return None;
    }
    let instead = match option {
        "-E" => "kdumpconv elf writes an ELF file",
        "-i" => "--vmcoreinfo FILE does the same",
        "--dump-dmesg" => "kdumpconv dmesg prints the log",
        "--mem-usage" => "kdumpconv info --classes counts the pages",
        _ => makedumpfile::refusal(option)
            .unwrap_or("leave it out, or call kdumpconv by the name makedumpfile"),
    };
    Some(format!("{option} is an option of makedumpfile: {instead}"))
}

/// Whether a command has an option, and shows it.
fn has_option(command: &Command, option: &str) -> bool {
    command.get_arguments().filter(|arg| !arg.is_hide_set()).any(|arg| {
        let is_short = |short| option == format!("-{short}");
        let is_long = |long| option == format!("--{long}");
        arg.get_short().is_some_and(is_short) || arg.get_long().is_some_and(is_long)
    })
}

/// Whether two names differ in one place, by at most two letters.
fn is_similar(left: &str, right: &str) -> bool {
    let same_start = left.bytes().zip(right.bytes()).take_while(|(left, right)| left == right);
    let start = same_start.count();
    let both = left.len().min(right.len());
    let same_end = left.bytes().rev().zip(right.bytes().rev()).take(both - start);
    let end = same_end.take_while(|(left, right)| left == right).count();
    left.len().max(right.len()) - start - end <= 2
}

/// Why `help` has nothing about a word.
fn no_command(word: &str, definition: &Command) -> String {
    if word == makedumpfile::NAME {
        return "for the options of makedumpfile: man kdumpconv-makedumpfile".to_owned();
    }
    if let Some(why) = short_form::why_not_in_this_build(word) {
        return why;
    }
    match short_form::similar(word, definition) {
        Some(likely) => format!("'{word}' is no command; did you mean `kdumpconv help {likely}`?"),
        None => format!("'{word}' is no command"),
    }
}

/// Whether the line has -R.
fn rearranges(line: &[OsString], command: &Command) -> bool {
    let is_r = |word: &OsString| {
        let letters = word.as_encoded_bytes().strip_prefix(b"-");
        letters.is_some_and(|letters| !letters.starts_with(b"-") && letters.contains(&b'R'))
    };
    let options = line.iter().take_while(|word| *word != "--");
    command.get_name() == short_form::DEFAULT && options.skip(2).any(is_r)
}

/// The text of one part of an error; empty if it has no such part.
fn text_of(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::args::Args;

    fn refused(line: &str) -> String {
        let words = format!("kdumpconv {line}");
        let words = words.split_whitespace().map(Into::into).collect();
        Args::of_line(words).unwrap_err().to_string()
    }

    /// The tip for a line, if there is one.
    fn tip(line: &str) -> Option<String> {
        let text = refused(line);
        assert!(text.contains("unexpected argument"), "{text}");
        let tips: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("  tip: ")).collect();
        assert!(tips.len() < 2, "{text}");
        tips.first().map(|tip| (*tip).to_owned())
    }

    #[test]
    fn too_many_arguments_are_named_as_such() {
        for (line, expected) in [
            ("a b c", "too many arguments: convert takes <INPUT> [OUTPUT], not 'c'"),
            ("dmesg a b -- c", "too many arguments: dmesg takes <INPUT> [OUTPUT], not 'c'"),
        ] {
            let message = refused(line);
            assert!(message.starts_with(&format!("error: {expected}\n")), "{message}");
        }
    }

    #[test]
    fn an_unknown_option_gets_a_tip_only_if_it_helps() {
        for line in ["-s a b", "dmesg a --tail 20", "info a -1", "info -o x a", "info a --zzz"] {
            assert_eq!(tip(line), None, "{line}");
        }
        for (line, expected) in [
            ("info a --clases", "a similar argument exists: '--classes'"),
            ("a b --srtict", "a similar argument exists: '--strict'"),
            ("info -l a", "'-l' is an option of convert, not of info"),
            ("-l info a", "'-l' is an option of convert, not of info"),
            ("info -d 31 a", "'-d' is an option of convert, verify and elf, not of info"),
            ("a b --against c", "'--against' is an option of verify, not of convert"),
            ("-o x a", "OUTPUT is the second argument"),
            ("dmesg a --output x", "OUTPUT is the second argument"),
            ("--zstd a b", "-z or -C zstd"),
            ("--lzo a b", "-l or -C lzo"),
        ] {
            assert_eq!(tip(line).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn a_wrong_number_is_answered_with_what_is_expected() {
        let level = "expected a number from 0 to 31 (31 excludes most), or several, as in 1,31; \
                     --exclude takes names";
        for (line, expected) in [
            ("-d 11,32 a b", level),
            ("-d 11,all a b", level),
            ("-d all a b", level),
            ("-d 32 a b", level),
            ("-d -1 a b", level),
            ("-d a/vmcore b", level),
            ("-j -1 a b", "expected a number of threads; 0 is one per CPU"),
            ("-j all a b", "expected a number of threads; 0 is one per CPU"),
            ("verify a --examples -1", "expected a number of findings"),
            ("--level high a b", "expected a number: 1 to 12 for zlib, -7 to 22 for zstd"),
            ("--message-level x a b", "expected a number"),
        ] {
            let message = refused(line);
            assert!(message.contains(&format!("': {expected}\n")), "{line}: {message}");
        }
    }

    #[test]
    fn an_option_of_makedumpfile_is_named_as_such() {
        for (option, instead) in [
            ("-x", "leave it out, or call kdumpconv by the name makedumpfile"),
            ("--non-mmap", "leave it out, or call kdumpconv by the name makedumpfile"),
            ("-E", "kdumpconv elf writes an ELF file"),
            ("--dump-dmesg", "kdumpconv dmesg prints the log"),
        ] {
            let expected = format!("{option} is an option of makedumpfile: {instead}");
            assert_eq!(tip(&format!("{option} a b")), Some(expected));
        }
    }

    #[test]
    fn help_of_a_word_that_is_no_command_says_what_there_is() {
        for (line, expected) in [
            ("help verfy", "'verfy' is no command; did you mean `kdumpconv help verify`?"),
            ("help nonsense", "'nonsense' is no command"),
            ("help makedumpfile", "for the options of makedumpfile: man kdumpconv-makedumpfile"),
        ] {
            let message = refused(line);
            assert!(message.starts_with(&format!("error: {expected}\n")), "{message}");
        }
    }

    #[test]
    fn without_a_file_rearranging_shows_its_own_usage() {
        for line in ["-R", "-fR", "convert -R -q"] {
            let message = refused(line);
            assert!(message.contains("\n  <OUTPUT>\n"), "{message}");
            let usage = "\nUsage: kdumpconv -R [OPTIONS] OUTPUT < INPUT\n";
            assert!(message.contains(usage), "{message}");
        }
        assert!(refused("-f").contains("<INPUT>"));
    }
}
