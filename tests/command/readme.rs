//! Examples of the README that need no other program equal those that are tested elsewhere.

const README: &str = include_str!("../../README.md");
const HEADING: &str = "\n## In your tests\n";
const DOCUMENTATION: &str = include_str!("../../src/fixtures/mod.rs");

/// The first code block of a language after a heading, unchanged.
fn block(text: &str, heading: &str, language: &str) -> String {
    let (_, text) = text.split_once(heading).expect("there is such a heading");
    let (_, rest) = text.split_once(&format!("```{language}\n")).expect("there is such a block");
    rest.split_once("```\n").expect("it ends").0.to_owned()
}

/// `cargo test --doc` runs the documentation's example.
#[test]
fn the_rust_example_is_the_one_of_the_documentation() {
    let text: String = DOCUMENTATION
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .filter(|line| !line.starts_with("# "))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(block(README, HEADING, "rust"), block(&text, "", ""));
}

/// The README tells users to depend on the current version.
#[test]
fn the_examples_ask_for_the_current_version() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(block(README, HEADING, "yaml").contains(&format!("KDUMPCONV: {version}\n")));
    let (minor, _) = version.rsplit_once('.').unwrap();
    let dependency = format!("kdumpconv = {{ version = \"{minor}\", default-features = false, ");
    assert!(README.contains(&(dependency + "features = [\"fixtures\"] }")));
}
