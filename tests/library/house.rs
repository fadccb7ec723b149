//! The layers of the house, as the crate's front page draws them. No module imports one above it,
//! or to its left in the same row; so no imports form a circle. The command uses only the library's
//! root and its public modules.
//!
//! The test reads the sources as text. Code that is compiled only for tests is exempt.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Top to bottom; within a row, left to right.
const LAYERS: [&[&str]; 9] = [
    &["to_kdump", "to_elf", "verify", "summary", "unflatten", "fixtures", "guide"],
    &["select"],
    &["output"],
    &["pipeline"],
    &["dump"],
    &["input"],
    &["kernel", "codec", "kdump_tables", "sink"],
    &["format"],
    &["pages", "error", "progress"],
];

/// The library's modules that the command may name.
const PUBLIC: [&str; 4] = ["format", "fixtures", "summary", "log"];

/// Imports that still break the rules: the importing module, the imported module. Only remove
/// entries.
const KNOWN: &[(&str, &str)] = &[];

/// A word, or one character of anything else.
type Token<'a> = &'a str;

/// The tokens of a source file, without comments, strings and characters.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = rest.find('"').unwrap() + 1;
            start + rest[start..].find(&end).unwrap() + end.len()
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' {
            // A lifetime has no quote after its first character.
            let mut after = rest[1..].chars();
            match (after.next(), after.next()) {
                (Some('\\'), _) | (Some(_), Some('\'')) => quoted(rest, '\''),
                _ => 1,
            }
        } else if is_word(first) {
            let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(&rest[..len]);
            len
        } else {
            let len = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            if !first.is_whitespace() {
                tokens.push(&rest[..len]);
            }
            len
        };
        rest = &rest[len..];
    }
    tokens
}

/// The number of `#` in the opening of a raw string, if one starts here.
fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let string = rest.trim_start_matches('#');
    string.starts_with('"').then_some(rest.len() - string.len())
}

/// The length of a quoted text including its quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// The index after the item that starts at `at`: after its `;` or its block.
fn item_end(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match *token {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(*token, ";" | "}") {
            return index + 1;
        }
    }
    tokens.len()
}

/// The tokens without items that are compiled only for tests or fuzz targets; and the names of
/// modules among those items.
fn without_tests<'a>(tokens: &[Token<'a>]) -> (Vec<Token<'a>>, Vec<&'a str>) {
    let (mut kept, mut modules, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        let condition_end = if tokens[at..].starts_with(&["#", "[", "cfg"]) {
            at + tokens[at..].iter().position(|token| *token == "]").unwrap()
        } else {
            at
        };
        let condition = &tokens[at..condition_end];
        let names_tests = ["test", "kdumpconv_fuzz"].iter().any(|name| condition.contains(name));
        if names_tests && !condition.contains(&"not") {
            let end = item_end(tokens, condition_end + 1);
            let item = &tokens[at..end];
            modules.extend(item.windows(2).filter(|pair| pair[0] == "mod").map(|pair| pair[1]));
            at = end;
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    (kept, modules)
}

/// The first two segments of every path after `root`, which is `crate` or the crate's name.
fn paths<'a>(tokens: &[Token<'a>], root: &str) -> Vec<(&'a str, Option<&'a str>)> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if tokens[at] == root
            && tokens.get(at + 1) == Some(&"::")
            && (at == 0 || tokens[at - 1] != "::")
        {
            first_names(tokens, at + 2, &mut found);
        }
    }
    found
}

/// Adds the first two segments of the path at `at`, or of each path in the list at `at`.
fn first_names<'a>(tokens: &[Token<'a>], at: usize, found: &mut Vec<(&'a str, Option<&'a str>)>) {
    if tokens[at] != "{" {
        let second = (tokens.get(at + 1) == Some(&"::")).then(|| tokens[at + 2]);
        found.push((tokens[at], second));
        return;
    }
    let (mut depth, mut starts) = (0, false);
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match *token {
            "{" => {
                depth += 1;
                starts = depth == 1;
            }
            "}" if depth == 1 => return,
            "}" => depth -= 1,
            "," => starts = depth == 1,
            _ if starts => {
                first_names(tokens, index, found);
                starts = false;
            }
            _ => {}
        }
    }
}

/// The names of the root that a module at this depth reaches by `super::super::...`.
fn paths_by_super<'a>(tokens: &[Token<'a>], depth: usize) -> Vec<&'a str> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let up: Vec<&str> = ["super", "::"].repeat(depth);
        let starts = tokens[at..].starts_with(&up) && (at == 0 || tokens[at - 1] != "::");
        if starts && depth > 0 && tokens[at + 2 * depth] != "super" {
            let mut names = Vec::new();
            first_names(tokens, at + 2 * depth, &mut names);
            found.extend(names.into_iter().map(|(name, _)| name));
        }
    }
    found
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file by its path below src, except those that are compiled only for tests.
fn sources() -> BTreeMap<String, String> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![source_folder()]);
    let mut of_tests: BTreeSet<PathBuf> = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let stem = path.file_stem().unwrap();
                let folder = path.parent().unwrap();
                let inside = if ["mod", "lib", "main"].iter().any(|name| stem == *name) {
                    folder.to_owned()
                } else {
                    folder.join(stem)
                };
                of_tests
                    .extend(without_tests(&tokens(&text)).1.iter().map(|name| inside.join(name)));
                found.insert(path, text);
            }
        }
    }
    let is_test =
        |path: &Path| path.with_extension("").ancestors().any(|part| of_tests.contains(part));
    let below =
        |path: &Path| path.strip_prefix(source_folder()).unwrap().to_str().unwrap().to_owned();
    found
        .into_iter()
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| (below(&path), text))
        .collect()
}

/// The library's modules, and the module from which the root re-exports each name.
fn root() -> (BTreeSet<String>, BTreeMap<String, String>) {
    let text = fs::read_to_string(source_folder().join("lib.rs")).unwrap();
    let all = tokens(&text);
    let (tokens, _) = without_tests(&all);
    let modules: BTreeSet<String> =
        tokens.windows(2).filter(|pair| pair[0] == "mod").map(|pair| pair[1].to_owned()).collect();
    let mut names = BTreeMap::new();
    for at in 0..tokens.len() {
        if tokens[at] == "use" {
            let module = if tokens[at + 1] == "crate" { tokens[at + 3] } else { tokens[at + 1] };
            let words = &tokens[at + 1..item_end(&tokens, at) - 1];
            // The last word of each path is the exported name.
            for (index, word) in words.iter().enumerate() {
                let is_last = matches!(words.get(index + 1), None | Some(&"," | &"}"));
                if is_last && word.chars().all(|c| c.is_alphanumeric() || c == '_') {
                    names.insert((*word).to_owned(), module.to_owned());
                }
            }
        }
    }
    (modules, names)
}

/// Row and column.
fn place(module: &str) -> Option<(usize, usize)> {
    LAYERS
        .iter()
        .enumerate()
        .find_map(|(row, modules)| Some((row, modules.iter().position(|name| *name == module)?)))
}

/// Imports that break the layers: file and imported module.
fn upward() -> BTreeSet<(String, String)> {
    let (modules, names) = root();
    let mut wrong = BTreeSet::new();
    for (file, text) in sources() {
        let parts: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
        let module = parts[0];
        if ["lib", "main", "cli"].contains(&module) {
            continue;
        }
        let depth = parts.len() - usize::from(parts.last() == Some(&"mod"));
        let all = tokens(&text);
        let (tokens, _) = without_tests(&all);
        let by_crate = paths(&tokens, "crate").into_iter().map(|(name, _)| name);
        for name in by_crate.chain(paths_by_super(&tokens, depth)) {
            let imported = match names.get(name) {
                _ if modules.contains(name) => name,
                Some(module) => module,
                None => panic!("src/{file}: what is crate::{name}?"),
            };
            let is_below = imported == module || place(imported).unwrap() > place(module).unwrap();
            if !is_below {
                wrong.insert((file.clone(), imported.to_owned()));
            }
        }
    }
    wrong
}

/// Uses of private modules in the command: file and module.
fn intrusions() -> BTreeSet<(String, String)> {
    let (modules, names) = root();
    let mut wrong = BTreeSet::new();
    for (file, text) in sources() {
        if file != "main.rs" && !file.starts_with("cli/") {
            continue;
        }
        let all = tokens(&text);
        let (tokens, _) = without_tests(&all);
        for (name, second) in paths(&tokens, "kdumpconv") {
            // `select` and others are both a function of the root and a module.
            let is_root = names.contains_key(name) && second.is_none();
            if modules.contains(name) && !PUBLIC.contains(&name) && !is_root {
                wrong.insert((file.clone(), name.to_owned()));
            }
        }
    }
    wrong
}

#[test]
fn every_module_has_its_place_in_the_layers() {
    let (modules, _) = root();
    let placed: BTreeSet<String> =
        LAYERS.iter().flat_map(|row| row.iter().map(|name| (*name).to_owned())).collect();
    assert_eq!(modules, placed);
}

#[test]
fn no_module_imports_one_above_it_and_the_command_only_what_is_public() {
    let found: BTreeSet<(String, String)> = upward().union(&intrusions()).cloned().collect();
    let is_of = |(from, to): &(&str, &str), (file, module): &(String, String)| {
        module == to && file.split(['/', '.']).next() == Some(from)
    };
    let new = found.iter().filter(|wrong| !KNOWN.iter().any(|known| is_of(known, wrong)));
    let new: Vec<_> = new.collect();
    assert!(new.is_empty(), "imports that go up, or past the library's front: {new:#?}");
    let gone = KNOWN.iter().filter(|known| !found.iter().any(|wrong| is_of(known, wrong)));
    let gone: Vec<_> = gone.collect();
    assert!(gone.is_empty(), "no longer there, and to be taken off KNOWN: {gone:#?}");
}

#[test]
fn imports_are_found_in_every_form() {
    let source = r##"
        // crate::comment
        use crate::{input::{open, file}, Codec, pages::zero as z};
        fn f<'a>(x: &'a str) -> char { crate::sink::put("crate::string \" crate::string", '"', r#"crate::raw"#); '\'' }
        pub(crate) fn g() -> super::super::dump::Dump { super::beside() }
        #[cfg(test)]
        mod tests { use crate::verify; fn h() { crate::verify::x() } }
        #[cfg(any(test, kdumpconv_fuzz))]
        use crate::summary;
        use other::crate_name;
    "##;
    let all = tokens(source);
    let (tokens, tests) = without_tests(&all);
    let found: Vec<&str> = paths(&tokens, "crate").into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, ["input", "Codec", "pages", "sink"]);
    assert_eq!(paths_by_super(&tokens, 2), ["dump"]);
    assert_eq!(tests, ["tests"]);
}
