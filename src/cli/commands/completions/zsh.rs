//! The script for zsh: specifications for `_arguments`, and the function of `completions.zsh`.

use super::places::{Flag, Line, Places, Value, Word};

/// The script.
pub(super) fn script(places: &Places) -> String {
    let valued: Vec<&str> =
        places.valued.iter().flat_map(|valued| &valued.names).map(String::as_str).collect();
    format!(
        "#compdef kdumpconv\n\
         # Completions of kdumpconv for zsh, made by `kdumpconv completions zsh`.\n\n\
         # Sets specs for the command $1, or for a line without its first word if that is empty.\n\
         _kdumpconv_specs() {{\n    case $1 in\n{}    (*) return 1 ;;\n    esac\n}}\n\n\
         # Sets valued to all options with a value.\n\
         _kdumpconv_valued() {{\n    valued=({})\n}}\n\n{}",
        places.lines.iter().map(specs).collect::<String>(),
        valued.join(" "),
        include_str!("completions.zsh"),
    )
}

/// What `_arguments` wants to know of a command.
fn specs(line: &Line) -> String {
    let options = line.options.iter().flat_map(option);
    let words = line.words.iter().map(|value| format!(":argument:{}", action(value)));
    let specs = options.chain(words).map(|spec| format!("        {}\n", quoted(&spec)));
    format!("    ('{}') specs=(\n{}    ) ;;\n", line.command, specs.collect::<String>())
}

/// One specification for each name of an option.
fn option(option: &Flag) -> impl Iterator<Item = String> {
    option.names.iter().map(|name| {
        let others = match option.adds_up {
            true => "*".to_owned(),
            false => format!("({})", option.names.join(" ")),
        };
        let help = escaped(&option.help, &['[', ']', ':']);
        let Some(value) = &option.value else { return format!("{others}{name}[{help}]") };
        let joint = if name.starts_with("--") { '=' } else { '+' };
        format!("{others}{name}{joint}[{help}]:value:{}", action(value))
    })
}

/// How a value is completed. The blank in front of a function keeps the options for compadd away.
fn action(value: &Value) -> String {
    let text = match value {
        Value::Words(words) => format!("(({}))", described(words)),
        Value::WordsOrFile(words) => format!(" _kdumpconv_word_or_file {}", described(words)),
        Value::List(words) => {
            let items = words.iter().map(|word| {
                quoted(&format!("{}[{}]", word.text, escaped(&word.help, &['[', ']', ':'])))
            });
            format!("_values -s , value {}", items.collect::<Vec<_>>().join(" "))
        }
        Value::File => "_files".to_owned(),
        Value::Folder => "_files -/".to_owned(),
        Value::Other => " ".to_owned(),
    };
    escaped(&text, &[':'])
}

/// Words as `_describe` wants them.
fn described(words: &[Word]) -> String {
    let items = words.iter().map(|word| quoted(&format!("{}:{}", word.text, word.help)));
    items.collect::<Vec<_>>().join(" ")
}

fn escaped(text: &str, special: &[char]) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if special.contains(&letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// A word in quotes of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
