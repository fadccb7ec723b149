//! Command lines of makedumpfile, and what each is translated to: the arguments of one of our
//! commands, or an error.

use std::process::Command as Process;

use clap::CommandFactory;
use kdumpconv::ClassSet;

use super::*;
use crate::cli::args::Command;
use crate::cli::args::exclude_args::ExcludeArgs;
use crate::cli::args::levels::parse_levels;
use crate::cli::args::shared_args::{DumpArgs, DumpListArgs, InputArgs, OutputArgs, ThreadArgs};
use crate::cli::commands::convert::args::{CodecArg, Convert};
use crate::cli::commands::convert::split_args::SplitArgs;
use crate::cli::commands::dmesg::Dmesg;
use crate::cli::commands::elf::Elf;
use crate::cli::commands::info::Info;
use crate::cli::commands::unflatten::Unflatten;

fn words(line: &str) -> Vec<OsString> {
    std::iter::once("makedumpfile").chain(line.split_whitespace()).map(OsString::from).collect()
}

/// What a command line is translated to, and its message level; or why it is refused.
fn ours(line: &str) -> Result<(Command, u32), String> {
    let matches = definition().try_get_matches_from(words(line)).map_err(|e| e.to_string())?;
    ignored_options(&matches).map_err(|error| format!("{error:#}"))?;
    let asked = Makedumpfile::from_arg_matches(&matches).unwrap();
    let command = asked.translated().map_err(|error| error.to_string())?;
    Ok((command, asked.message_level()))
}

/// The arguments for `vmcore` and a file named `output`, or standard output.
fn dump_and_output(output: Option<&str>) -> (DumpArgs, OutputArgs) {
    let dump = DumpArgs { input: InputArgs::of("vmcore".as_ref()), ..Default::default() };
    (dump, OutputArgs { output: output.map(PathBuf::from), ..Default::default() })
}

fn of_levels(levels: &str) -> ExcludeArgs {
    ExcludeArgs::of_levels(parse_levels(levels).unwrap(), ClassSet::default())
}

fn convert(compress: CodecArg, level: u32, change: impl Fn(&mut Convert)) -> Command {
    let (dump, output) = dump_and_output(Some("out"));
    let (compress, exclude) = (Some(compress), of_levels(&level.to_string()));
    let mut args = Convert { dump, output, compress, exclude, ..Default::default() };
    change(&mut args);
    Command::Convert(Box::new(args))
}

fn elf(level: u32, change: impl Fn(&mut Elf)) -> Command {
    let (dump, output) = dump_and_output(Some("out"));
    let mut args =
        Elf { dump, output, exclude: of_levels(&level.to_string()), ..Default::default() };
    change(&mut args);
    Command::Elf(args)
}

fn dmesg(output: Option<&str>, change: impl Fn(&mut Dmesg)) -> Command {
    let (dump, output) = dump_and_output(output);
    let mut args = Dmesg { dump, output, ..Default::default() };
    change(&mut args);
    Command::Dmesg(args)
}

fn unflatten(force: bool) -> Command {
    let input = InputArgs::of("-".as_ref());
    let output = OutputArgs { output: Some("out".into()), force, ..Default::default() };
    Command::Unflatten(Unflatten { input, output, ..Default::default() })
}

/// -F, which has no file to write.
fn flattened(args: &mut Convert) {
    args.flattened = true;
    args.output.output = None;
}

/// --split, with files after the first.
fn split(args: &mut Convert, files: &[&str]) {
    args.set = SplitArgs { split: true, more_files: files.iter().map(PathBuf::from).collect() };
}

#[test]
fn the_definition_is_sound() {
    definition().debug_assert();
    assert_eq!(Makedumpfile::command().get_name(), "makedumpfile");
}

#[test]
fn only_the_file_name_makedumpfile_counts() {
    for yes in ["makedumpfile", "/usr/sbin/makedumpfile", "./makedumpfile"] {
        assert!(is_called(&[yes.into()]), "{yes}");
    }
    for no in ["kdumpconv", "makedumpfile-R.pl", "/makedumpfile/kdumpconv", ""] {
        assert!(!is_called(&[no.into()]), "{no}");
    }
    assert!(!is_called(&[]));
}

/// Command lines, what each is translated to, and its message level.
fn translations() -> Vec<(&'static str, Command, u32)> {
    use CodecArg::{Keep, Lzo, None, Snappy, Zlib, Zstd};
    let as_is = |_: &mut Convert| ();
    let threads = |n| move |args: &mut Convert| args.threads = ThreadArgs { threads: Some(n) };
    vec![
        ("vmcore out", convert(None, 0, as_is), 7),
        ("-l --message-level 7 -d 31 vmcore out", convert(Lzo, 31, as_is), 7),
        ("-F -c -d 31 vmcore", convert(Zlib, 31, flattened), 7),
        // kdump-config adds its own -F where the user's is not the first word.
        ("-z -F -d 1 -F vmcore", convert(Zstd, 1, flattened), 7),
        ("-cd31 vmcore out -f", convert(Zlib, 31, |args| args.output.force = true), 7),
        // The last of several options wins, as with getopt(3).
        ("-c -l -p vmcore out", convert(Snappy, 0, as_is), 7),
        ("-l -c -d 1 -d 31 vmcore out", convert(Zlib, 31, as_is), 7),
        ("-l --num-threads=4 vmcore out", convert(Lzo, 0, threads(4)), 7),
        ("-l --num-thr 0 vmcore out", convert(Lzo, 0, threads(1)), 7),
        (
            "-d 11,31 -L 2G vmcore out",
            convert(None, 0, |args| {
                args.exclude = of_levels("11,31");
                args.fit = Some(2 << 30);
            }),
            7,
        ),
        (
            "-d 0,1,31 -d 1,31 vmcore out",
            convert(None, 0, |args| args.exclude = of_levels("1,31")),
            7,
        ),
        ("-E -d 1,31 vmcore out", elf(31, |_| ()), 7),
        (
            "-l -d 31 --work-dir=tmp vmcore.zst out",
            convert(Lzo, 31, |args| {
                args.dump.input = InputArgs::of("vmcore.zst".as_ref());
                args.dump.opening.spool = Some("tmp".into());
            }),
            7,
        ),
        (
            "-i info vmcore out",
            convert(None, 0, |args| args.dump.opening.vmcoreinfo = Some("info".into())),
            7,
        ),
        ("--dry-run --show-stats vmcore out", convert(None, 0, |args| args.dry_run = true), 23),
        ("-D --message-level 0 vmcore out", convert(None, 0, as_is), 8),
        ("--split -l -d 31 vmcore out b c", convert(Lzo, 31, |args| split(args, &["b", "c"])), 7),
        (
            "--split -L 2G --dry-run -d 1,31 vmcore out b",
            convert(None, 31, |args| {
                split(args, &["b"]);
                args.fit = Some(2 << 30);
                args.dry_run = true;
            }),
            7,
        ),
        (
            "--reassemble vmcore b c out -f",
            convert(Keep, 0, |args| {
                args.dump.opening.part = vec!["b".into(), "c".into()];
                args.output.force = true;
            }),
            7,
        ),
        ("-E -d 31 vmcore out", elf(31, |_| ()), 7),
        (
            "-F -E -d 31 vmcore",
            elf(31, |args| {
                args.flattened = true;
                args.output.output = Option::None;
            }),
            7,
        ),
        ("-R out", unflatten(false), 7),
        ("-f -R out", unflatten(true), 7),
        ("--dump-dmesg vmcore log", dmesg(Some("log"), |_| ()), 7),
        (
            "-f --dump-dmesg -i info vmcore log",
            dmesg(Some("log"), |args| {
                args.output.force = true;
                args.dump.opening.vmcoreinfo = Some("info".into());
            }),
            7,
        ),
        ("-F --message-level 8 --dump-dmesg vmcore", dmesg(Option::None, |_| ()), 8),
        (
            "--partial-dmesg --dump-dmesg vmcore log",
            dmesg(Some("log"), |args| args.since_clear = true),
            7,
        ),
        (
            "--mem-usage vmcore",
            Command::Info(Info {
                dumps: DumpListArgs { inputs: vec!["vmcore".into()], ..Default::default() },
                classes: true,
            }),
            7,
        ),
        // A file name is never mistaken for an option or a command.
        (
            "-l -- -d info",
            convert(Lzo, 0, |args| {
                args.dump.input = InputArgs::of("-d".as_ref());
                args.output.output = Some("info".into());
            }),
            7,
        ),
    ]
}

#[test]
fn a_command_line_becomes_the_arguments_of_one_of_our_commands() {
    for (line, command, level) in translations() {
        assert_eq!(ours(line), Ok((command, level)), "{line}");
    }
}

#[test]
fn the_equivalent_command_line_has_the_same_arguments() {
    for (line, command, _) in translations() {
        let equivalent = equivalent(&command);
        let words = equivalent.split(' ').map(OsString::from).collect();
        let args = Args::of_line(words).unwrap();
        assert_eq!(args.command, command, "{line}: {equivalent}");
    }
}

#[test]
fn the_equivalent_command_line_is_quoted_for_a_shell() {
    let names = ["a b", "it's", "$(x)`y`", "\\", "", "*", "~"];
    for name in names {
        let command = dmesg(Some(name), |_| ());
        let line = equivalent(&command).replacen("kdumpconv", "printf '%s\\n'", 1);
        let printed = Process::new("sh").args(["-c", &line]).output().unwrap().stdout;
        assert_eq!(String::from_utf8(printed).unwrap(), format!("dmesg\n--\nvmcore\n{name}\n"));
    }
}

#[test]
fn command_lines_that_makedumpfile_refuses_are_refused() {
    for (line, why) in [
        ("", "expected VMCORE and the file to write"),
        ("vmcore", "expected VMCORE and the file to write"),
        ("vmcore out more", "expected VMCORE and the file to write"),
        ("-F vmcore out", "-F expects VMCORE alone"),
        ("-d 32 vmcore out", "expected a number from 0 to 31 (31 excludes most), or several"),
        ("-d x vmcore out", "invalid value 'x'"),
        ("-R", "-R expects one DUMPFILE"),
        ("-R in out", "-R expects one DUMPFILE"),
        ("-R -c out", "-R cannot be combined with"),
        ("-R -F out", "-R cannot be combined with"),
        ("-R -d 1 out", "-R cannot be combined with"),
        ("-R -d 0,1 out", "-R cannot be combined with"),
        ("--split vmcore out", "--split expects VMCORE and at least two files to write"),
        ("--split -F vmcore", "--split cannot be combined with -E or -F"),
        ("--split -E vmcore out b", "--split cannot be combined with -E or -F"),
        ("--reassemble vmcore", "--reassemble expects the files of a set"),
        ("--reassemble -l vmcore b out", "--reassemble cannot be combined with"),
        ("--reassemble -d 1 vmcore b out", "--reassemble cannot be combined with"),
        ("--reassemble --dry-run vmcore b out", "--reassemble cannot be combined with"),
        ("--reassemble --split vmcore b out", "--reassemble cannot be combined with"),
        ("-E -c vmcore out", "-E cannot be combined with -c, -l, -p or -z"),
        ("-E --dry-run vmcore out", "-E cannot be combined with --dry-run or -L"),
        ("-E -L 1G vmcore out", "-E cannot be combined with --dry-run or -L"),
        ("--dump-dmesg vmcore", "expected VMCORE and the file to write"),
        ("--dump-dmesg --dry-run vmcore log", "--dry-run cannot be combined with --dump-dmesg"),
        ("--partial-dmesg vmcore log", "--partial-dmesg is only for --dump-dmesg"),
        ("-L many vmcore out", "expected a number of bytes"),
        ("--mem-usage", "--mem-usage expects one VMCORE"),
        ("--no-such-option vmcore out", "unexpected argument '--no-such-option'"),
        ("--message-level many vmcore out", "invalid value 'many'"),
        ("--num-threads all vmcore out", "expected a number of threads"),
        ("--message-level 32 vmcore out", "expected a number from 0 to 31"),
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
        let message = match definition().try_get_matches_from(words(&name)) {
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
        let matches = definition().try_get_matches_from(words(&line)).unwrap();
        match (treatment, ignored_options(&matches)) {
            (Treatment::NotNeeded, Ok(notes)) => assert!(notes.is_empty(), "{name}"),
            (Treatment::Ignored(_), Ok(notes)) => {
                assert!(notes.len() == 1 && notes[0].starts_with(&format!("{name}: ")), "{name}");
            }
            (Treatment::Refused(why), Err(error)) => {
                assert_eq!(format!("{error:#}"), format!("{name}: {why}"));
                assert_eq!(Exit::of(&error), Exit::Usage);
            }
            (_, other) => panic!("{name}: {other:?}"),
        }
        if !matches!(treatment, Treatment::Refused(_)) {
            assert_eq!(ours(&line), Ok((convert(CodecArg::Lzo, 0, |_| ()), 7)));
        }
    }
}

#[test]
fn each_example_of_help_is_translated() {
    let lines = help::examples(NAME).lines();
    let examples: Vec<_> =
        lines.filter_map(|line| line.strip_prefix("  ./makedumpfile ")).collect();
    assert!(examples.len() > 1 && examples.iter().all(|line| ours(line).is_ok()), "{examples:?}");
}
