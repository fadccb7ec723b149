//! The prose of the manual pages, and its Markdown as roff. README.md says which Markdown.

use roff::{Inline, Roff, bold, roman};

/// The prose of the page called `name`; empty if its definition says everything.
pub(super) fn of_page(name: &str) -> &'static str {
    match name {
        "kdumpconv" => include_str!("kdumpconv.md"),
        "kdumpconv-convert" => concat!(
            include_str!("kdumpconv-convert.md"),
            "\n",
            include_str!("../../format/dump_level.md"),
            "\n",
            include_str!("../../select/rules.md"),
        ),
        "kdumpconv-dmesg" => include_str!("kdumpconv-dmesg.md"),
        "kdumpconv-elf" => include_str!("kdumpconv-elf.md"),
        "kdumpconv-info" => include_str!("kdumpconv-info.md"),
        "kdumpconv-makedumpfile" => include_str!("kdumpconv-makedumpfile.md"),
        "kdumpconv-schema" => include_str!("kdumpconv-schema.md"),
        "kdumpconv-unflatten" => include_str!("kdumpconv-unflatten.md"),
        "kdumpconv-verify" => include_str!("kdumpconv-verify.md"),
        _ => "",
    }
}

/// A section: its heading, and the Markdown below it.
#[derive(Debug, PartialEq)]
pub(super) struct Section<'a> {
    pub(super) heading: &'a str,
    pub(super) body: String,
}

/// The sections, which begin with headings in capitals. Other headings divide a section.
pub(super) fn sections(markdown: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section> = Vec::new();
    for line in markdown.lines() {
        match (line.strip_prefix("# "), sections.last_mut()) {
            (Some(heading), _) if !heading.contains(char::is_lowercase) => {
                sections.push(Section { heading, body: String::new() });
            }
            (_, Some(section)) => section.body.extend([line, "\n"]),
            (_, None) => {}
        }
    }
    sections
}

/// Appends the Markdown of a section.
pub(super) fn append(roff: &mut Roff, markdown: &str) {
    for block in markdown.trim_end().split("\n\n") {
        let block = block.trim_start_matches('\n');
        if let Some(heading) = block.strip_prefix("# ") {
            roff.control("SS", [heading]);
        } else if block.starts_with("    ") {
            append_example(roff, block);
        } else if let Some(list) = block.strip_prefix("- ") {
            for item in list.split("\n- ") {
                roff.control("IP", ["\\(bu", "3"]).text(inlines(item));
            }
        } else {
            roff.control("PP", []).text(inlines(block));
        }
    }
}

/// Lines that are shown as they are.
fn append_example(roff: &mut Roff, block: &str) {
    roff.control("PP", []).control("RS", ["4"]).control("EX", []);
    for line in block.lines() {
        roff.text([roman(line.trim_start_matches("    "))]);
    }
    roff.control("EE", []).control("RE", []);
}

/// Text whose lines are filled; code and what is emphasised is bold.
pub(super) fn inlines(text: &str) -> Vec<Inline> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("**", "`");
    let parts = text.split('`').enumerate();
    let is_code = |index: usize| index % 2 == 1;
    parts.map(|(index, part)| if is_code(index) { bold(part) } else { roman(part) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appended(markdown: &str) -> String {
        let mut roff = Roff::new();
        append(&mut roff, markdown);
        roff.to_roff()
    }

    #[test]
    fn sections_have_headings_in_capitals() {
        let text = "lost\n# ONE\n\ntext\n\n# A part\n\nmore\n# TWO PARTS\nend";
        let expected = [("ONE", "\ntext\n\n# A part\n\nmore\n"), ("TWO PARTS", "end\n")];
        let section = |(heading, body): (_, &str)| Section { heading, body: body.to_owned() };
        assert_eq!(sections(text), expected.map(section));
    }

    #[test]
    fn blocks_are_paragraphs_lists_examples_and_parts() {
        for (markdown, roff) in [
            ("one\ntwo `-d\n31` **three**.", ".PP\none two \\fB\\-d 31\\fR \\fBthree\\fR.\n"),
            ("- a\n  b\n- c\n", ".IP \\(bu 3\na b\n.IP \\(bu 3\nc\n"),
            ("# A part\n\n.text", ".SS \"A part\"\n.PP\n\\&.text\n"),
            ("    a\n      b", ".PP\n.RS 4\n.EX\na\n  b\n.EE\n.RE\n"),
        ] {
            assert_eq!(appended(markdown), roff);
        }
    }

    #[test]
    fn all_prose_in_the_folder_is_of_a_page() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/manual");
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let stems: Vec<_> =
            names.filter_map(|name| name.strip_suffix(".md").map(str::to_owned)).collect();
        for stem in stems.iter().filter(|stem| *stem != "README") {
            let prose = sections(of_page(stem));
            assert!(prose.first().is_some_and(|first| first.heading == "DESCRIPTION"), "{stem}");
        }
        assert!(stems.len() > 8);
    }
}
