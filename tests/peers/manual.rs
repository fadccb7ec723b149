//! groff, which man(1) runs, renders the manual pages.
#![cfg(feature = "generate")]

use std::process::Command;

use crate::product::Folder;
use crate::python::in_path;
use crate::skip::need;
use crate::tools::run;

fn groff() -> Result<Command, String> {
    let found = in_path("groff").first().map(Command::new);
    let mut command = found.ok_or("there is no groff in PATH")?;
    // All warnings; for a terminal of 80 columns without bold and underlined letters.
    command.args(["-man", "-ww", "-Tascii", "-rLL=78n", "-P-c", "-P-b", "-P-u", "-P-o"]);
    Ok(command)
}

/// The names of all pages, and their texts as a reader sees them.
fn rendered() -> Result<Vec<(String, String)>, String> {
    groff()?;
    let folder = Folder::new();
    let pages = folder.file("man1");
    run(Command::new(env!("CARGO_BIN_EXE_kdumpconv")).arg("man").arg(&pages)).succeeded();
    let paths = std::fs::read_dir(pages).unwrap().map(|entry| entry.unwrap().path());
    let page = |path: std::path::PathBuf| {
        let output = groff()?.arg(&path).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{path:?}: {output:?}");
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        Ok((name, String::from_utf8(output.stdout).unwrap()))
    };
    paths.map(page).collect()
}

#[test]
fn manual_pages_have_their_sections_in_order_and_a_footer() {
    let pages = need!(rendered());
    assert!(pages.len() > 8, "{}", pages.len());
    for (name, text) in &pages {
        let title = format!("{}(1)", name.to_uppercase());
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let [header, body @ .., footer] = lines.as_slice() else { panic!("{name}: {text}") };
        let words: Vec<&str> = header.split_whitespace().collect();
        assert_eq!(words, [&title, "User", "Commands", &title]);
        let words: Vec<&str> = footer.split_whitespace().collect();
        assert_eq!(words, ["kdumpconv", env!("CARGO_PKG_VERSION"), &title]);

        let sections: Vec<&str> =
            body.iter().filter(|line| !line.starts_with(' ')).copied().collect();
        let first = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"];
        assert!(sections.starts_with(&first), "{name}: {sections:?}");
        let last: &[&str] = match name.as_str() {
            "kdumpconv" => &["EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"],
            _ => &["EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO"],
        };
        assert!(sections.ends_with(last), "{name}: {sections:?}");
        for line in body {
            assert!(line.len() <= 80 && !line.ends_with("make-"), "{name}: {line}");
        }
    }
}

#[test]
fn manual_pages_show_what_was_written() {
    let pages = need!(rendered());
    let page = |name: &str| {
        let page = pages.iter().find(|(other, _)| other == name);
        page.unwrap().1.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for (name, words) in [
        ("kdumpconv", "kdumpconv [OPTIONS] INPUT [OUTPUT] kdumpconv COMMAND ..."),
        ("kdumpconv", "kdumpconv-info(1) Show what a dump is"),
        ("kdumpconv", "(there as \\u001b)"),
        ("kdumpconv", "end at 2^36"),
        ("kdumpconv-makedumpfile", "makedumpfile -R DUMPFILE < FLATTENED"),
        ("kdumpconv-makedumpfile", "--eppic FILE"),
        ("kdumpconv-man", "kdumpconv man ~/.local/share/man/man1"),
        ("kdumpconv-convert", "Pages to exclude -d, --dump-level N 1 zero + 2 cache"),
        ("kdumpconv-convert", "ssh host 'cat > vmcore.flat'"),
        ("kdumpconv-convert", "How pages are classified The kernel's struct pages"),
        ("kdumpconv-unflatten", "kdumpconv -R [OPTIONS] OUTPUT < INPUT"),
        ("kdumpconv-verify", "5 verify found damage"),
        ("kdumpconv-verify", "Print at most N findings of each kind [default: 16]"),
        ("kdumpconv-verify", "ENVIRONMENT o TMPDIR:"),
        ("kdumpconv-convert", "ENVIRONMENT o SOURCE_DATE_EPOCH:"),
        ("kdumpconv-man", "ENVIRONMENT o NO_COLOR"),
        ("kdumpconv-man", "2 wrong arguments 128+N ended by signal N"),
        ("kdumpconv-info", "kdumpconv-unflatten(1), kdumpconv-completions(1)"),
    ] {
        assert!(page(name).contains(words), "{name}: {words}: {}", page(name));
    }
}
