//! One manual page: its sections, in the order of man-pages(7).

use clap::{Arg, ArgAction, Command};
use roff::{Inline, Roff, bold, italic, roman};

use super::Page;
use super::prose::{self, Section};
use crate::cli::args::help::examples;
use crate::cli::exit::meanings;

/// Pages of other packages.
const RELATED: [&str; 4] = ["crash(8)", "gdb(1)", "makedumpfile(8)", "kdump.conf(5)"];

/// Sections of prose that have their own places on the page. That on the environment is the
/// program's on all pages.
const DESCRIPTION: &str = "DESCRIPTION";
const EXIT_STATUS: &str = "EXIT STATUS";
const ENVIRONMENT: &str = "ENVIRONMENT";
const FILES: &str = "FILES";

/// The page of `command`, which is one of `all` that have a page.
pub(super) fn page(command: &Command, program: &Command, all: &[&Command]) -> Page {
    let name = name_of(command);
    let prose = prose::sections(prose::of_page(name));
    let mut roff = Roff::new();
    append_title(&mut roff, name, program);

    roff.control("SH", ["NAME"]).text([roman(format!("{name} - {}", summary(command)))]);
    roff.control("SH", ["SYNOPSIS"]);
    append_synopsis(&mut roff, command);
    match prose.iter().any(|section| section.heading == DESCRIPTION) {
        true => append_prose(&mut roff, &prose, |heading| heading == DESCRIPTION),
        false => append_long_about(&mut roff, command),
    }

    roff.control("SH", ["OPTIONS"]);
    append_options(&mut roff, command);
    if command.has_subcommands() {
        roff.control("SH", ["COMMANDS"]);
        append_commands(&mut roff, command);
    }
    let has_its_place = [DESCRIPTION, EXIT_STATUS, ENVIRONMENT, FILES];
    append_prose(&mut roff, &prose, |heading| !has_its_place.contains(&heading));

    roff.control("SH", ["EXAMPLES"]);
    prose::append(&mut roff, &examples_markdown(examples(command.get_name())));
    roff.control("SH", [EXIT_STATUS]);
    append_exit_codes(&mut roff, command);
    for section in prose.iter().filter(|section| section.heading == EXIT_STATUS) {
        prose::append(&mut roff, &section.body);
    }
    let shared = prose::sections(prose::of_page(program.get_name()));
    for section in shared.iter().filter(|section| section.heading == ENVIRONMENT) {
        roff.control("SH", [ENVIRONMENT]);
        prose::append(&mut roff, &environment(&section.body, command.get_name()));
    }
    append_prose(&mut roff, &prose, |heading| heading == FILES);
    roff.control("SH", ["SEE ALSO"]);
    append_see_also(&mut roff, name, all);

    // Terminals would show these two as accents.
    let text = roff.render().replace('^', "\\(ha").replace('~', "\\(ti");
    Page { name: name.to_owned(), text }
}

fn name_of(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

/// What the command does, as it stands after its name.
fn summary(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut letters = about.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Without a date, so that the page is the same whenever it is made; the footer has the version.
fn append_title(roff: &mut Roff, name: &str, program: &Command) {
    let version = program.get_version().unwrap_or_default();
    let source = format!("{} {version}", program.get_name());
    let no_date = "\"\"";
    roff.control("TH", [&name.to_uppercase(), "1", no_date, &source, "User Commands"]);
    // No word is hyphenated, as names of commands and options could not be searched for: neither
    // now nor after an example, whose end restores HY.
    roff.control("nh", []).control("nr", ["HY", "0"]).control("ad", ["l"]);
}

/// The usage: what is typed as it stands is bold, what stands for something else italic.
fn append_synopsis(roff: &mut Roff, command: &Command) {
    let usage = command.get_overridden_usage().map(ToString::to_string).unwrap_or_default();
    for (index, form) in usage.lines().enumerate() {
        if index > 0 {
            roff.control("br", []);
        }
        let letters: Vec<char> = form.trim().chars().collect();
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        let parts = letters.chunk_by(|left, right| is_word(*left) == is_word(*right));
        let style = |part: &[char]| {
            let text = String::from_iter(part);
            match part {
                [first, ..] if first.is_ascii_uppercase() => italic(text),
                [first, ..] if is_word(*first) => bold(text),
                _ => roman(text),
            }
        };
        roff.text(parts.map(style).collect::<Vec<_>>());
    }
}

fn append_prose(roff: &mut Roff, prose: &[Section], is_wanted: impl Fn(&str) -> bool) {
    for Section { heading, body } in prose.iter().filter(|section| is_wanted(section.heading)) {
        roff.control("SH", [*heading]);
        prose::append(roff, body);
    }
}

fn append_long_about(roff: &mut Roff, command: &Command) {
    let about = command.get_long_about().or(command.get_about());
    roff.control("SH", [DESCRIPTION]);
    prose::append(roff, &about.map(ToString::to_string).unwrap_or_default());
}

/// The options in their groups, as in help.
fn append_options(roff: &mut Roff, command: &Command) {
    let is_last = |arg: &&Arg| matches!(arg.get_action(), ArgAction::Help | ArgAction::Version);
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let (last, mut args): (Vec<_>, Vec<_>) = shown.partition(is_last);
    args.extend(last);
    let mut headings: Vec<_> = Vec::new();
    for heading in args.iter().map(|arg| arg.get_help_heading()) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        if let Some(heading) = heading {
            roff.control("SS", [heading]);
        }
        for arg in args.iter().filter(|arg| arg.get_help_heading() == heading) {
            append_option(roff, arg);
        }
    }
}

fn append_option(roff: &mut Roff, arg: &Arg) {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    let mut term = vec![bold(flags.join(", "))];
    if arg.get_action().takes_values() {
        let values = arg.get_value_names().unwrap_or_default().join(" ");
        let parts = match (flags.is_empty(), arg.is_require_equals_set()) {
            (_, true) => vec![roman("[="), italic(values), roman("]")],
            (true, _) => vec![italic(values)],
            (false, _) => vec![roman(" "), italic(values)],
        };
        term.extend(parts);
    }
    roff.control("TP", []).text(term);

    let mut help =
        arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let shows_default = arg.get_action().takes_values() && !arg.is_hide_default_value_set();
    if let ([default], true) = (arg.get_default_values(), shows_default) {
        help.push_str(&format!(" [default: {}]", default.to_string_lossy()));
    }
    for (index, paragraph) in help.split("\n\n").enumerate() {
        if index > 0 {
            roff.control("IP", []);
        }
        roff.text(prose::inlines(paragraph));
    }
}

fn append_commands(roff: &mut Roff, program: &Command) {
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        roff.control("TP", []).text(reference(&format!("{}(1)", name_of(command))));
        roff.text([roman(command.get_about().map(ToString::to_string).unwrap_or_default())]);
    }
}

fn append_exit_codes(roff: &mut Roff, command: &Command) {
    for (code, meaning) in meanings(command.get_name()) {
        roff.control("TP", ["8"]).text([bold(code)]).text([roman(meaning)]);
    }
}

/// The items of the program's list of variables that are about `command`.
fn environment(list: &str, command: &str) -> String {
    let items = list.trim_start().trim_start_matches("- ").split("\n- ");
    let is_used = |item: &&str| {
        let variable = item.split('`').nth(1).unwrap_or_default();
        match variable {
            "SOURCE_DATE_EPOCH" => ["kdumpconv", "convert", "makedumpfile"].contains(&command),
            "TMPDIR" => !["unflatten", "completions", "man", "schema"].contains(&command),
            _ => true,
        }
    };
    items.filter(is_used).map(|item| format!("- {item}\n")).collect()
}

/// Examples as prose has them: the command lines are indented by four blanks.
fn examples_markdown(examples: &str) -> String {
    let lines: Vec<&str> = examples.lines().collect();
    let is_command = |line: &str| line.starts_with(' ');
    let blocks = lines.chunk_by(|left, right| is_command(left) == is_command(right));
    let indented = |block: &[&str]| block.join("\n").replace("  ", "    ");
    blocks.map(indented).collect::<Vec<_>>().join("\n\n")
}

fn append_see_also(roff: &mut Roff, name: &str, all: &[&Command]) {
    let others = all.iter().map(|command| name_of(command)).filter(|other| *other != name);
    let own = others.map(|other| format!("{other}(1)"));
    let pages: Vec<String> = own.chain(RELATED.map(str::to_owned)).collect();
    let mut references = Vec::new();
    for page in &pages {
        if !references.is_empty() {
            references.push(roman(", "));
        }
        references.extend(reference(page));
    }
    roff.text(references);
}

/// The name of another page, such as `crash(8)`.
fn reference(page: &str) -> Vec<Inline> {
    let (name, section) = page.split_at(page.find('(').unwrap_or(page.len()));
    vec![bold(name), roman(section)]
}
