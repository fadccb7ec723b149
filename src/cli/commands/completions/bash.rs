//! The script for bash: tables, and the function of `completions.bash`, which reads them.

use super::places::{Line, Places, Value, Word};

/// The script.
pub(super) fn script(places: &Places) -> String {
    let options = places.lines.iter().map(|line| {
        let names: Vec<&str> =
            line.options.iter().flat_map(|o| &o.names).map(String::as_str).collect();
        format!("    '{}') options='{}' ;;\n", line.command, names.join(" "))
    });
    let of_options = places.valued.iter().map(|valued| (valued.names.join(" | "), &valued.value));
    let differs = |name: &String, value: &Value| {
        places.valued.iter().any(|valued| valued.names.contains(name) && valued.value != *value)
    };
    let of_commands = places.lines.iter().flat_map(|line| {
        let named = line.options.iter().flat_map(|option| {
            option.names.iter().filter_map(|name| Some((name, option.value.as_ref()?)))
        });
        let own = named.filter(|(name, value)| differs(name, value));
        own.map(|(name, value)| (format!("'{} {name}'", line.command), value))
    });
    let of_words = places
        .lines
        .iter()
        .filter_map(|line: &Line| Some((format!("'{} word'", line.command), line.words.first()?)));
    let values = of_options.chain(of_commands).chain(of_words).map(|(pattern, value)| {
        let (kind, words) = kind(value);
        let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        format!("    {pattern}) kind={kind} words='{}' ;;\n", words.join(" "))
    });
    format!(
        "# Completions of kdumpconv for bash, made by `kdumpconv completions bash`.\n\n\
         # The options of the command $1; of a line without its first word if that is empty.\n\
         _kdumpconv_options() {{\n    case $1 in\n{}    *) options='' && return 1 ;;\n    esac\n}}\n\n\
         # What the value of the option $1 can be, also of that of one command, or a word after a\n\
         # command. An option without a value has no kind.\n\
         _kdumpconv_value() {{\n    case $1 in\n{}    *) kind='' words='' ;;\n    esac\n}}\n\n{}",
        options.collect::<String>(),
        values.collect::<String>(),
        include_str!("completions.bash"),
    )
}

fn kind(value: &Value) -> (&'static str, &[Word]) {
    match value {
        Value::Words(words) => ("words", words),
        Value::List(words) => ("list", words),
        Value::WordsOrFile(words) => ("words_or_file", words),
        Value::File => ("file", &[]),
        Value::Folder => ("folder", &[]),
        Value::Other => ("other", &[]),
    }
}
