//! What can stand where on the command line, as all shells need it.

use clap::{Arg, Command, ValueHint};

use crate::cli::args::short_form;

/// What can stand on the command line.
pub(super) struct Places {
    /// The line before its first word, whose command is the empty string; then all commands.
    pub(super) lines: Vec<Line>,
    /// All options with a value, hidden ones as well.
    pub(super) valued: Vec<Valued>,
}

/// What can follow a command.
pub(super) struct Line {
    pub(super) command: String,
    pub(super) options: Vec<Flag>,
    /// The words that are no options, in their order.
    pub(super) words: Vec<Value>,
}

/// An option under all names that are shown.
pub(super) struct Flag {
    /// With their hyphens, short ones first.
    pub(super) names: Vec<String>,
    pub(super) help: String,
    pub(super) value: Option<Value>,
    /// Whether each of several counts, rather than the last alone.
    pub(super) adds_up: bool,
}

/// The value of an option for the first command that has it. Another may want other words: see the
/// options of its [`Line`].
pub(super) struct Valued {
    pub(super) names: Vec<String>,
    pub(super) value: Value,
}

/// What one word can be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// One of these.
    Words(Vec<Word>),
    /// Some of these, separated by commas.
    List(Vec<Word>),
    /// One of these, or a file.
    WordsOrFile(Vec<Word>),
    File,
    Folder,
    /// A number or the like.
    Other,
}

/// A word, and what it means.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) help: String,
}

impl Places {
    /// Of the definition of the command line, which is built.
    pub(super) fn of(definition: &Command) -> Self {
        let mut lines: Vec<Line> = visible_commands(definition).map(Line::of).collect();
        let all = std::iter::once(definition).chain(definition.get_subcommands());
        let mut valued: Vec<Valued> = Vec::new();
        for arg in all.flat_map(Command::get_opts).filter(|arg| short_form::takes_next_word(arg)) {
            let names = names(arg, true);
            if !valued.iter().any(|known| known.names == names) {
                valued.push(Valued { names, value: Value::of(arg) });
            }
        }
        lines.insert(0, Line::without_command(definition));
        Places { lines, valued }
    }
}

impl Line {
    fn of(command: &Command) -> Self {
        let options = command.get_arguments().filter(|arg| !arg.is_positional());
        let mut words: Vec<Value> = command.get_positionals().map(Value::of).collect();
        if command.has_subcommands() {
            words.push(Value::Words(visible_commands(command).map(Word::of_command).collect()));
        }
        Line {
            command: command.get_name().to_owned(),
            options: options.filter(|arg| !arg.is_hide_set()).map(Flag::of).collect(),
            words,
        }
    }

    /// A line whose first word is still to come: that is a command, or the first one of a line in
    /// its short form.
    fn without_command(definition: &Command) -> Self {
        let mut line = Line::of(definition);
        let short_form = definition.find_subcommand(short_form::DEFAULT).map(Line::of);
        let Line { options, words, .. } = short_form.unwrap_or_else(|| Line::of(definition));
        line.options.retain(|own| options.iter().all(|option| option.names != own.names));
        let commands = visible_commands(definition).map(Word::of_command).collect();
        let first = std::iter::once(Value::WordsOrFile(commands));
        Line {
            command: String::new(),
            options: options.into_iter().chain(line.options).collect(),
            words: first.chain(words.into_iter().skip(1)).collect(),
        }
    }
}

impl Flag {
    fn of(arg: &Arg) -> Self {
        let takes_value = short_form::takes_next_word(arg);
        Flag {
            names: names(arg, false),
            help: first_line(arg.get_help()),
            value: takes_value.then(|| Value::of(arg)),
            adds_up: matches!(arg.get_action(), clap::ArgAction::Append | clap::ArgAction::Count),
        }
    }
}

impl Value {
    fn of(arg: &Arg) -> Self {
        let values = arg.get_possible_values();
        let words = values.iter().filter(|value| !value.is_hide_set()).map(|value| Word {
            text: value.get_name().to_owned(),
            help: first_line(value.get_help()),
        });
        let words: Vec<Word> = words.collect();
        match arg.get_value_hint() {
            _ if !words.is_empty() && arg.get_value_delimiter().is_some() => Value::List(words),
            _ if !words.is_empty() => Value::Words(words),
            ValueHint::AnyPath | ValueHint::FilePath => Value::File,
            ValueHint::DirPath => Value::Folder,
            _ => Value::Other,
        }
    }
}

impl Word {
    fn of_command(command: &Command) -> Self {
        Word { text: command.get_name().to_owned(), help: first_line(command.get_about()) }
    }
}

fn visible_commands(definition: &Command) -> impl Iterator<Item = &Command> {
    definition.get_subcommands().filter(|command| !command.is_hide_set())
}

/// The names of an option; if asked for, with those that are not shown.
fn names(arg: &Arg, with_hidden: bool) -> Vec<String> {
    let short = arg.get_short_and_visible_aliases().unwrap_or_default();
    let mut long = arg.get_long_and_visible_aliases().unwrap_or_default();
    if with_hidden {
        long.extend(arg.get_aliases().unwrap_or_default());
    }
    let short = short.iter().map(|letter| format!("-{letter}"));
    short.chain(long.iter().map(|name| format!("--{name}"))).collect()
}

fn first_line(help: Option<&clap::builder::StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    help.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Args;

    #[test]
    fn an_option_has_a_value_for_all_commands_or_for_none() {
        let mut definition = Args::command();
        definition.build();
        let places = Places::of(&definition);
        let of = |name: &String| {
            let mut found = places.valued.iter().filter(|valued| valued.names.contains(name));
            (found.next().is_some(), found.count())
        };
        for option in places.lines.iter().flat_map(|line| &line.options) {
            for name in &option.names {
                assert_eq!(of(name), (option.value.is_some(), 0), "{name}");
            }
        }
        assert!(places.valued.len() > 10);
    }
}
