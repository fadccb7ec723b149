//! Judges what a run left behind.

use crate::calls::{Call, Class, Fault, Target};
use crate::cases::{Case, Made, To};
use crate::common::core_of;
use crate::contents::{
    Mark, has_first_pages, is_recognised, is_sound, is_sound_or_unfinished, is_whole, mark, open,
    plain,
};
use crate::run::Left;
use crate::tally::Verdict;
use crate::tracer::Ended;

/// The result of an undisturbed run.
#[derive(Debug, Clone)]
pub struct Expected {
    pub bytes: Vec<u8>,
    pub report: Vec<String>,
}

/// The lines of a report up to the time that each took.
fn timeless(report: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(report);
    let untimed = |line: &str| line.rsplit_once(" in ").map_or(line, |(line, _)| line).to_owned();
    text.lines().map(untimed).collect()
}

impl Expected {
    /// The files of an undisturbed run, which are checked to be right.
    pub fn of(case: &Case, left: &Left) -> Expected {
        let Ended::Code(code) = left.ended else { panic!("{}: {left:?}", case.name) };
        assert_eq!(code, 0, "{}: {}", case.name, left.stderr);
        assert!(!left.hung && left.open_to_others.is_empty(), "{}: {left:?}", case.name);
        let expected = Expected { bytes: output(case, left), report: timeless(&left.stdout) };
        if case.made != Made::Report {
            let plain = plain(case, &expected.bytes).unwrap();
            is_whole(case, &plain).unwrap_or_else(|why| panic!("{}: {why}", case.name));
        }
        expected
    }
}

/// The output, from wherever it went.
fn output(case: &Case, left: &Left) -> Vec<u8> {
    match &case.to {
        To::Stdout => left.stdout.clone(),
        To::Fifo => left.stream.clone(),
        To::Device(_) => left.stream.clone(),
        To::Report => Vec::new(),
        To::New | To::Replaced | To::InPlace => {
            let target = case.target().unwrap();
            let found = left.files.iter().find(|(name, _)| name == target);
            found.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
        }
    }
}

/// A stream or device may have anything that is not taken for a complete dump.
fn is_cut_off(case: &Case, expected: &Expected, left: &Left) -> Result<(), String> {
    let bytes = output(case, left);
    if let To::Device(_) = case.to {
        if bytes.starts_with(&case.older) {
            return Ok(());
        }
        return match core_of(bytes) {
            Ok(dump) if !dump.is_incomplete() => {
                Err("the device's dump calls itself whole".to_owned())
            }
            _ => Ok(()),
        };
    }
    if case.made == Made::Elf {
        // Headers that promise more than there is say that it is cut off.
        return if expected.bytes.starts_with(&bytes) {
            Ok(())
        } else {
            is_sound(case, &expected.bytes, &bytes)
        };
    }
    // Nothing can be made of a stream whose first part did not arrive.
    match plain(case, &bytes) {
        Err(_) => Ok(()),
        Ok(plain) if plain.is_empty() => Ok(()),
        Ok(_) => is_sound(case, &expected.bytes, &bytes),
    }
}

/// Whether each line is the program's own, and has nothing that a terminal would act on.
pub fn speaks_plainly(stderr: &str) -> Result<(), String> {
    for line in stderr.lines() {
        if !line.starts_with("kdumpconv: ") {
            return Err(format!("a line that is no message: {line:?}"));
        }
        if line.chars().any(char::is_control) {
            return Err(format!("a control character: {line:?}"));
        }
    }
    Ok(())
}

/// Judges a run that was disturbed by `fault` at `call`.
pub fn after_fault(
    case: &Case,
    expected: &Expected,
    left: &Left,
    fault: Fault,
    call: &Call,
) -> Result<Verdict, String> {
    let verdict = after(case, expected, left, Some(call))?;
    let is_silent = call.target == Target::Stderr;
    if !is_silent {
        speaks_plainly(&left.stderr)?;
    }
    if verdict == Verdict::Survived {
        return Ok(verdict);
    }
    if fault.must_be_survived(call) {
        return Err("it must be survived".to_owned());
    }
    if is_silent {
        return Err("that nobody hears it is no reason to fail".to_owned());
    }
    let said = format!("(os error {})", fault.errno().unwrap_or_default());
    let report = String::from_utf8_lossy(&left.stdout);
    let is_said =
        left.stderr.contains(&said) || case.made == Made::Report && report.contains(&said);
    if !is_said {
        return Err("the message does not say what the system said".to_owned());
    }
    Ok(verdict)
}

/// Checks what is left, whatever happened.
pub fn after(
    case: &Case,
    expected: &Expected,
    left: &Left,
    call: Option<&Call>,
) -> Result<Verdict, String> {
    if left.hung {
        return Err("it hung".to_owned());
    }
    if left.stderr.contains("panicked") {
        return Err("it panicked".to_owned());
    }
    if let Some(name) = left.open_to_others.first() {
        return Err(format!("{name} can be read by others"));
    }
    let code = match left.ended {
        Ended::Code(code) => code,
        Ended::Killed(signal) => return Err(format!("killed by {signal}")),
    };
    let is_read = call
        .is_some_and(|call| matches!(call.target, Target::Input | Target::Pipe | Target::Other));
    match code {
        0 => complete(case, expected, left, call),
        1 => nothing(case, expected, left),
        4 => kept(case, expected, left, call.is_none_or(|call| call.target == Target::Output)),
        5 if case.arguments[0] == "verify" && is_read => nothing(case, expected, left),
        _ => Err(format!("exit code {code}")),
    }
}

fn complete(
    case: &Case,
    expected: &Expected,
    left: &Left,
    call: Option<&Call>,
) -> Result<Verdict, String> {
    if case.made == Made::Report {
        // A reader that closes the pipe, as `head` does, has what it wants.
        let gone = call.is_some_and(|c| {
            c.class == Class::Write && matches!(c.target, Target::Stdout | Target::Pipe)
        });
        // `info` reports what it found and why it found no more; it counts only the stored pages
        // that it can read.
        let others = |lines: &[String]| -> Vec<String> {
            lines.iter().filter(|line| !line.starts_with("Stored ")).cloned().collect()
        };
        let report = String::from_utf8_lossy(&left.stdout);
        let is_told = report.contains("(os error ")
            || timeless(&left.stdout) != expected.report
                && others(&timeless(&left.stdout)) == others(&expected.report);
        if is_told && case.arguments[0] == "info" {
            return Ok(Verdict::Nothing);
        }
        if timeless(&left.stdout) != expected.report && !gone {
            return Err("exit 0 and another report".to_owned());
        }
        let why = || "exit 0, another report".to_owned();
        return if left.files.is_empty() { Ok(Verdict::Survived) } else { Err(why()) };
    }
    let bytes = output(case, left);
    if bytes != expected.bytes {
        let is_told = left.stderr.contains("kept") && left.stderr.contains("kdumpconv: warning: ");
        if !case.name.starts_with("-d 31") || !is_told {
            return Err("exit 0 and other bytes".to_owned());
        }
        is_whole(case, &bytes)?;
        let (has, wanted) = (open(case, &bytes)?, open(case, &expected.bytes)?);
        let mut missing = wanted.dumped.runs().iter().cloned().flatten();
        return match missing.find(|&pfn| !has.dumped.contains(pfn)) {
            Some(pfn) => Err(format!("exit 0, and pfn {pfn:#x} is missing")),
            None => Ok(Verdict::KeptMore),
        };
    }
    let others: Vec<&String> = left
        .files
        .iter()
        .map(|(name, _)| name)
        .filter(|n| Some(n.as_str()) != case.target())
        .collect();
    if others.is_empty() { Ok(Verdict::Survived) } else { Err(format!("exit 0 and {others:?}")) }
}

fn nothing(case: &Case, expected: &Expected, left: &Left) -> Result<Verdict, String> {
    if !left.files.is_empty() {
        let names: Vec<&String> = left.files.iter().map(|(name, _)| name).collect();
        return Err(format!("nothing should be there, but {names:?}"));
    }
    if matches!(case.to, To::Stdout | To::Fifo | To::Device(_)) {
        is_cut_off(case, expected, left)?;
    }
    Ok(Verdict::Nothing)
}

/// `is_cut` says that the output ended early: what was written before must be there.
fn kept(case: &Case, expected: &Expected, left: &Left, is_cut: bool) -> Result<Verdict, String> {
    if case.made == Made::Report {
        return Ok(Verdict::Nothing);
    }
    if matches!(case.to, To::Stdout | To::Fifo) {
        is_cut_off(case, expected, left)?;
        return Ok(Verdict::Nothing);
    }
    if let To::Device(_) = case.to {
        is_sound(case, &expected.bytes, &left.stream)?;
        return Ok(verdict_on(mark(case, &expected.bytes, &left.stream)?));
    }
    let [(name, bytes)] = left.files.as_slice() else {
        let names: Vec<&String> = left.files.iter().map(|(name, _)| name).collect();
        return Err(format!("exit 4 and {names:?}"));
    };
    if !left.stderr.contains(name.as_str()) {
        return Err(format!("exit 4, and {name} is not named"));
    }
    let mark = mark(case, &expected.bytes, bytes)?;
    if name == "out" && mark == Mark::Incomplete {
        return Err("under its name, but not complete".to_owned());
    }
    if mark == Mark::Reduced && !left.stderr.contains("complete for dump level") {
        return Err(format!("kept as {name}: nobody says that it has another level"));
    }
    is_sound(case, &expected.bytes, bytes).map_err(|why| format!("kept as {name}: {why}"))?;
    if is_cut {
        has_first_pages(case, &expected.bytes, bytes)?;
    }
    Ok(verdict_on(mark))
}

fn verdict_on(mark: Mark) -> Verdict {
    match mark {
        Mark::Reduced => Verdict::Reduced,
        Mark::Whole | Mark::Incomplete => Verdict::KeptIncomplete,
    }
}

/// Judges a run that ended by a signal that it caught.
pub fn after_signal(case: &Case, expected: &Expected, left: &Left) -> Result<Verdict, String> {
    if left.hung || left.stderr.contains("panicked") {
        return Err("it hung or panicked".to_owned());
    }
    speaks_plainly(&left.stderr)?;
    if left.files.is_empty() { Ok(Verdict::Nothing) } else { kept(case, expected, left, true) }
}

/// Judges a run that was killed at once: it may also leave hidden files that are not taken for a
/// complete dump.
pub fn after_kill(case: &Case, expected: &Expected, left: &mut Left) -> Result<Verdict, String> {
    let is_partial = |name: &str| name.starts_with(".out.") && name.ends_with(".partial");
    let (partial, files) = std::mem::take(&mut left.files)
        .into_iter()
        .partition::<Vec<_>, _>(|(name, _)| is_partial(name));
    left.files = files;
    if partial.len() > 1 {
        return Err(format!("{} partial files", partial.len()));
    }
    for (name, bytes) in &partial {
        if !is_recognised(case, bytes) {
            continue;
        }
        is_sound_or_unfinished(case, &expected.bytes, bytes)
            .map_err(|why| format!("{name}: {why}"))?;
    }
    match left.files.as_slice() {
        [] => Ok(Verdict::Nothing),
        [(name, bytes)] if Some(name.as_str()) == case.target() && *bytes == expected.bytes => {
            Ok(Verdict::Survived)
        }
        [(name, bytes)] if name == "out" => match mark(case, &expected.bytes, bytes)? {
            Mark::Reduced => {
                is_sound(case, &expected.bytes, bytes)?;
                Ok(Verdict::Reduced)
            }
            _ => Err(format!("under its name, but not whole: {} bytes", bytes.len())),
        },
        [(name, bytes)] if name.ends_with("incomplete") => {
            if is_recognised(case, bytes) {
                is_sound_or_unfinished(case, &expected.bytes, bytes)?;
            }
            Ok(Verdict::KeptIncomplete)
        }
        files => Err(format!("{:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>())),
    }
}
