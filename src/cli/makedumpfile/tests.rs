//! Command lines of makedumpfile, and what each is translated to: one of ours, or an error.

use clap::CommandFactory;

use super::*;

fn words(line: &str) -> Vec<OsString> {
    std::iter::once("makedumpfile").chain(line.split_whitespace()).map(OsString::from).collect()
}

/// Our command line for one of makedumpfile's, or why it is refused.
fn ours(line: &str) -> Result<String, String> {
    let matches = command().try_get_matches_from(words(line)).map_err(|e| e.to_string())?;
    ignored_options(&matches).map_err(|error| format!("{error:#}"))?;
    let asked = Makedumpfile::from_arg_matches(&matches).unwrap();
    let ours = asked.translated().map_err(|error| error.to_string())?;
    Args::of_line(ours.clone()).map_err(|error| error.to_string())?;
    let ours: Vec<_> = ours.iter().map(|word| word.to_str().unwrap()).collect();
    Ok(ours.join(" "))
}

#[test]
fn the_definition_is_sound() {
    command().debug_assert();
    assert_eq!(Makedumpfile::command().get_name(), "makedumpfile");
}

#[test]
fn only_the_file_name_makedumpfile_counts() {
    for yes in ["makedumpfile", "/usr/sbin/makedumpfile", "./makedumpfile"] {
        assert!(is_called(Some(yes.into())), "{yes}");
    }
    for no in ["kdumpconv", "makedumpfile-R.pl", "/makedumpfile/kdumpconv", ""] {
        assert!(!is_called(Some(no.into())), "{no}");
    }
    assert!(!is_called(None));
}

#[test]
fn a_command_line_becomes_one_of_ours() {
    for (line, expected) in [
        ("vmcore out", "kdumpconv convert -C none -d 0 -- vmcore out"),
        (
            "-l --message-level 7 -d 31 vmcore out",
            "kdumpconv convert -C lzo -d 31 --message-level 7 -- vmcore out",
        ),
        ("-F -c -d 31 vmcore", "kdumpconv convert -C zlib -d 31 -F -- vmcore -"),
        // kdump-config adds its own -F where the user's is not the first word.
        ("-z -F -d 1 -F vmcore", "kdumpconv convert -C zstd -d 1 -F -- vmcore -"),
        ("-cd31 vmcore out -f", "kdumpconv convert -C zlib -d 31 -f -- vmcore out"),
        // The last of several options wins, as with getopt(3).
        ("-c -l -p vmcore out", "kdumpconv convert -C snappy -d 0 -- vmcore out"),
        ("-l -c -d 1 -d 31 vmcore out", "kdumpconv convert -C zlib -d 31 -- vmcore out"),
        ("-l --num-threads=4 vmcore out", "kdumpconv convert -C lzo -d 0 -j 4 -- vmcore out"),
        ("-l --num-thr 0 vmcore out", "kdumpconv convert -C lzo -d 0 -j 1 -- vmcore out"),
        ("-d 11,31 -L 2G vmcore out", "kdumpconv convert -C none -d 31 -L 2G -- vmcore out"),
        ("-i info vmcore out", "kdumpconv convert -C none -d 0 --vmcoreinfo info -- vmcore out"),
        (
            "--dry-run --show-stats vmcore out",
            "kdumpconv convert -C none -d 0 -n --message-level 23 -- vmcore out",
        ),
        (
            "-D --message-level 0 vmcore out",
            "kdumpconv convert -C none -d 0 --message-level 0 -D -- vmcore out",
        ),
        ("-E -d 31 vmcore out", "kdumpconv elf -d 31 -- vmcore out"),
        ("-F -E -d 31 vmcore", "kdumpconv elf -d 31 -F -- vmcore -"),
        ("-R out", "kdumpconv convert -R -- out"),
        ("-f -R out", "kdumpconv convert -R -f -- out"),
        ("--dump-dmesg vmcore log", "kdumpconv dmesg -- vmcore log"),
        (
            "-f --dump-dmesg -i info vmcore log",
            "kdumpconv dmesg -f --vmcoreinfo info -- vmcore log",
        ),
        (
            "-F --message-level 8 --dump-dmesg vmcore",
            "kdumpconv dmesg --message-level 8 -- vmcore -",
        ),
        ("--mem-usage vmcore", "kdumpconv info --classes -- vmcore"),
        // A file name is never mistaken for an option or a command.
        ("-l -- -d info", "kdumpconv convert -C lzo -d 0 -- -d info"),
    ] {
        assert_eq!(ours(line).as_deref(), Ok(expected), "{line}");
    }
}

#[test]
fn command_lines_that_makedumpfile_refuses_are_refused() {
    for (line, why) in [
        ("", "VMCORE and the file to write are wanted"),
        ("vmcore", "VMCORE and the file to write are wanted"),
        ("vmcore out more", "VMCORE and the file to write are wanted"),
        ("-F vmcore out", "-F takes one VMCORE"),
        ("-d 32 vmcore out", "32 is not in 0..=31"),
        ("-d x vmcore out", "invalid value 'x'"),
        ("-R", "-R takes one DUMPFILE"),
        ("-R in out", "-R takes one DUMPFILE"),
        ("-R -c out", "-R: how the dump is made"),
        ("-R -F out", "-R: how the dump is made"),
        ("-R -d 1 out", "-R: how the dump is made"),
        ("-E -c vmcore out", "-E: an ELF file has no compressed pages"),
        ("-E --dry-run vmcore out", "-E: --dry-run and -L"),
        ("-E -L 1G vmcore out", "-E: --dry-run and -L"),
        ("--dump-dmesg vmcore", "VMCORE and the file to write are wanted"),
        ("--dump-dmesg --dry-run vmcore log", "--dry-run cannot be used with --dump-dmesg"),
        ("--mem-usage", "--mem-usage takes one VMCORE"),
        ("--no-such-option vmcore out", "unexpected argument '--no-such-option'"),
        ("--message-level many vmcore out", "invalid value 'many'"),
    ] {
        let refused = ours(line).unwrap_err();
        assert!(refused.contains(why), "{line}: {refused}");
    }
}

#[test]
fn every_option_of_makedumpfile_is_known() {
    // The short and long options that makedumpfile 1.7.9 passes to getopt_long(3).
    let mut names: Vec<String> = "bcDdeEFfghilLpRvXxz".chars().map(|c| format!("-{c}")).collect();
    names.extend(
        "split reassemble xen-syms xen-vmcoreinfo xen_phys_start message-level vtop dump-dmesg partial-dmesg config help diskset cyclic-buffer eppic non-mmap mem-usage splitblock-size work-dir num-threads check-params dry-run show-stats extension"
            .split(' ')
            .map(|name| format!("--{name}")),
    );
    for name in names {
        let message = match command().try_get_matches_from(words(&name)) {
            Ok(_) => continue,
            Err(error) => error.to_string(),
        };
        assert!(!message.contains("unexpected argument"), "{name}: {message}");
    }
}

#[test]
fn options_without_a_counterpart_are_ignored_or_refused_by_name() {
    for UnsupportedOption { name, value, treatment } in &UNSUPPORTED {
        let line = format!("-l {name} {} vmcore out", value.map_or("", |_| "1"));
        let matches = command().try_get_matches_from(words(&line)).unwrap();
        match (treatment, ignored_options(&matches)) {
            (Treatment::NotNeeded, Ok(notes)) => assert!(notes.is_empty(), "{name}"),
            (Treatment::Ignored(_), Ok(notes)) => {
                assert!(notes.len() == 1 && notes[0].starts_with(&format!("{name}: ")), "{name}");
            }
            (Treatment::Refused(why), Err(error)) => {
                assert_eq!(format!("{error:#}"), format!("{name}: {why}"));
                assert_eq!(crate::cli::Exit::of(&error), crate::cli::Exit::Usage);
            }
            (_, other) => panic!("{name}: {other:?}"),
        }
        if !matches!(treatment, Treatment::Refused(_)) {
            assert_eq!(ours(&line).as_deref(), Ok("kdumpconv convert -C lzo -d 0 -- vmcore out"));
        }
    }
}
