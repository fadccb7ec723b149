//! The documents: the README's length, order and examples, links that lead somewhere, and that no
//! fact stands twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const README: &str = include_str!("../../README.md");
const FIXTURES: &str = include_str!("../../src/fixtures/mod.rs");

/// What each code block of the README is, by its section, its language and its first word; and who
/// runs it.
const BLOCKS: [(&str, &str, &str, &str); 7] = [
    ("kdumpconv", "", "$", "tests/peers/readme.rs"),
    ("Quick start", "sh", "cargo", ".ci/run"),
    ("Recipes", "sh", "kdumpconv", "tests/peers/readme.rs"),
    ("In the kdump hook", "", "core_collector", "tests/command/dropin/scripts.rs"),
    ("In the kdump hook", "", "PATH=/usr/libexec/kdumpconv:$PATH", "tests/dropin/run"),
    ("In the kdump hook", "", "add_dracutmodules+=\"", "tests/dropin/run"),
    ("Fixtures for your tests", "rust", "use", "tests/command/readme.rs"),
];

/// The documents, by their paths from the top.
fn documents() -> BTreeMap<PathBuf, String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<PathBuf> = [
        "README.md",
        "benches/README.md",
        "packaging/CHANGELOG.md",
        "packaging/README.md",
        "src/fixtures/python.md",
        "src/format/dump_level.md",
        "src/guide.md",
        "src/select/rules.md",
        "tests/README.md",
    ]
    .map(PathBuf::from)
    .into();
    for entry in std::fs::read_dir(top.join("src/cli/manual")).unwrap() {
        let name = entry.unwrap().file_name();
        paths.push(Path::new("src/cli/manual").join(name));
    }
    let read = |path: PathBuf| (path.clone(), std::fs::read_to_string(top.join(&path)).unwrap());
    paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == "md")).map(read).collect()
}

/// A block of code: its section, its language and its lines.
struct Block<'a> {
    section: &'a str,
    language: &'a str,
    code: Vec<&'a str>,
}

/// The lines outside of blocks of code, and the blocks.
fn parse(text: &str) -> (Vec<&str>, Vec<Block<'_>>) {
    let (mut prose, mut blocks, mut section) = (Vec::new(), Vec::new(), "");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let code = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block { section, language, code });
            continue;
        }
        if line.starts_with('#') {
            section = line.trim_start_matches(['#', ' ']);
        }
        prose.push(line);
    }
    (prose, blocks)
}

#[test]
fn the_readme_has_at_most_200_lines_of_100_columns() {
    assert!(README.lines().count() <= 200, "{}", README.lines().count());
    for line in parse(README).0.into_iter().filter(|line| !line.starts_with('|')) {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn every_code_block_of_the_readme_is_run_by_a_test() {
    let found = parse(README).1;
    let first_word = |block: &Block<'_>| block.code[0].split(' ').next().unwrap().to_owned();
    let found: Vec<_> = found.iter().map(|b| (b.section, b.language, first_word(b))).collect();
    let known = BLOCKS.map(|(section, language, word, _)| (section, language, word.to_owned()));
    assert_eq!(found, known);
    for (.., test) in BLOCKS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(test);
        assert!(std::fs::read_to_string(path).unwrap().contains("README"), "{test}");
    }
}

/// .ci/run finds the commands by their beginnings.
#[test]
fn the_quick_start_can_be_run_twice() {
    let (_, blocks) = parse(README);
    let quick_start = blocks.iter().find(|block| block.section == "Quick start").unwrap();
    let [convert, test] = quick_start.code[..] else { panic!("{:?}", quick_start.code) };
    assert_eq!(test, "cargo test");
    let arguments: Vec<&str> = convert.split(' ').collect();
    assert_eq!(arguments[..4], ["cargo", "run", "--release", "--"]);
    assert!(arguments.contains(&"-f"), "{convert}");
}

/// The settings of Debian and openSUSE are read from the README by tests/dropin/run, that of Fedora by
/// tests/command/dropin.
#[test]
fn every_setting_of_the_kdump_hooks_is_tested() {
    let (_, blocks) = parse(README);
    let hooks = blocks.iter().filter(|block| block.section == "In the kdump hook");
    let tests = [include_str!("../dropin/run"), include_str!("dropin/scripts.rs")].concat();
    for setting in hooks.flat_map(|block| &block.code) {
        let name = setting.split_inclusive(['=', '+', ' ']).next().unwrap();
        let name = name.trim_end_matches('+');
        let name = if name.starts_with("kdumpconv_as_") { "kdumpconv_as_" } else { name };
        assert!(
            tests.contains(&format!("readme_line {name}"))
                || tests.contains(&format!("strip_prefix(\"{name}\")")),
            "{setting}"
        );
    }
}

/// `cargo test --doc` runs the documentation's example.
#[test]
fn the_rust_example_is_the_first_one_of_the_documentation() {
    let documentation: String = FIXTURES
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .filter(|line| !line.starts_with("# "))
        .flat_map(|line| [line, "\n"])
        .collect();
    let (_, blocks) = parse(README);
    let example = blocks.iter().find(|block| block.language == "rust").unwrap();
    assert_eq!(example.code, parse(&documentation).1[0].code);
}

/// The workflow for fixtures takes the current version; the README names none. The changelog says what
/// changed with each number of the JSON reports, too.
#[test]
fn the_workflow_and_the_changelog_have_the_current_versions() {
    let version = env!("CARGO_PKG_VERSION");
    let workflow = include_str!("../../src/fixtures/python.md");
    assert!(workflow.contains(&format!("KDUMPCONV: {version}\n")));
    let changelog = include_str!("../../packaging/CHANGELOG.md");
    assert!(changelog.contains(&format!("\n## {version}")));
    let (_, schema) =
        include_str!("../../src/cli/json/version.rs").split_once("SCHEMA: u32 = ").unwrap();
    let schema: u32 = schema.split_once(';').unwrap().0.parse().unwrap();
    assert!(changelog.contains(&format!("\n### JSON: from schema {} to {schema}\n", schema - 1)));
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let documents = documents();
    let anchor = |heading: &str| heading.to_lowercase().replace(' ', "-");
    let mut links = 0;
    for (path, text) in &documents {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("crate::") || link.starts_with("fn@crate::") || link.contains("://")
            {
                continue;
            }
            links += 1;
            let (file, heading) = link.split_once('#').map_or((link, None), |(f, h)| (f, Some(h)));
            let target = match file {
                "" => path.clone(),
                _ => std::fs::canonicalize(path.parent().unwrap().join(file))
                    .unwrap_or_else(|error| panic!("{}: {link}: {error}", path.display()))
                    .strip_prefix(std::fs::canonicalize(".").unwrap())
                    .unwrap()
                    .to_owned(),
            };
            if let Some(heading) = heading {
                let found = parse(&documents[&target]).0.into_iter().any(|line| {
                    line.starts_with('#') && anchor(line.trim_start_matches(['#', ' '])) == heading
                });
                assert!(found, "{}: {link}", path.display());
            }
        }
    }
    assert!(links > 20, "{links}");
}

/// The cells of the rows of a table of the README, by the section's heading.
fn rows(section: &str) -> Vec<Vec<&'static str>> {
    let (_, text) = README.split_once(&format!("\n## {section}\n")).unwrap();
    let lines = text.lines().skip(1).take_while(|line| !line.starts_with("## "));
    let rows = lines.filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

#[test]
fn the_readme_has_the_commands_and_the_exit_codes_of_help() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
    let help = String::from_utf8(command.arg("--help").output().unwrap().stdout).unwrap();
    let list = |heading: &str| -> Vec<(&str, String)> {
        let (_, list) = help.split_once(&format!("{heading}:\n")).unwrap();
        let lines = list.lines().take_while(|line| !line.is_empty());
        let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
        words.map(|words| (words[0], words[1..].join(" "))).collect()
    };
    let codes: Vec<_> =
        rows("Exit codes").into_iter().map(|row| (row[0], row[1].to_owned())).collect();
    assert_eq!(codes, list("Exit codes"));

    let known = rows("Commands").into_iter().flat_map(|row| {
        let names = row[0].split(", ").map(|name| name.trim_start_matches('['));
        names.map(|name| name.split(']').next().unwrap()).collect::<Vec<_>>()
    });
    let known: std::collections::BTreeSet<&str> = known.collect();
    assert_eq!(known, list("Commands").into_iter().map(|(name, _)| name).collect());
}

/// The speed that the README claims was measured.
#[test]
fn the_figures_of_the_readme_are_those_of_the_measurements() {
    let rows = rows("Speed");
    assert_eq!(rows.len(), 4);
    let benches = include_str!("../../benches/README.md");
    for row in rows {
        for (index, cell) in row[1..5].iter().enumerate() {
            let (seconds, ratio) = cell.split_once(", ").unwrap();
            let beginning = format!("| {} | {} | {seconds} | ", row[0], index % 2 + 1);
            let ratio = format!("**{ratio}**");
            let is_measured =
                |line: &str| line.starts_with(&beginning) && line.contains(ratio.as_str());
            assert!(benches.lines().any(is_measured), "{beginning}{ratio}");
        }
    }
}

/// Sentences and table cells, in one form however they are wrapped.
fn facts(text: &str) -> Vec<String> {
    let prose = ["", &parse(text).0.join("\n")].join("\n");
    let prose = prose.replace("\n- ", "\n\n").replace('|', "\n\n");
    let paragraphs = prose.split("\n\n").map(|paragraph| {
        let words: Vec<&str> = paragraph.split_whitespace().collect();
        words.join(" ").replace("**", "")
    });
    paragraphs
        .flat_map(|paragraph| {
            let sentences = paragraph.split(". ");
            sentences.map(|sentence| sentence.trim_end_matches('.').to_owned()).collect::<Vec<_>>()
        })
        .filter(|fact| !fact.is_empty())
        .collect()
}

/// As far as that can be seen: no sentence stands in two documents.
#[test]
fn no_fact_stands_twice() {
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (path, text) in documents() {
        for fact in facts(&text).into_iter().filter(|fact| fact.len() >= 40) {
            let other = seen.entry(fact.clone()).or_insert_with(|| path.clone());
            assert_eq!(*other, path, "{fact}");
        }
    }
}

#[test]
fn a_fact_is_recognised_however_it_is_wrapped() {
    let text = "- **Bold.** One\n  fact. Another\n| a cell | b |\n";
    assert_eq!(facts(text), ["Bold", "One fact", "Another", "a cell", "b"].map(String::from));
}
