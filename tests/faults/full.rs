//! Disks that are really full, of every size: in memory, and ext4 on a loop device.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::calls::Call;
use crate::cases::{self, Case};
use crate::command::{THREADS, say, undisturbed, wants_all};
use crate::judge::{self, Expected};
use crate::run::{Left, fast_folder};
use crate::skip::or_skip;
use crate::tally::{Tally, Verdict};
use crate::tracer::Ended;

/// What is run on such disks.
const CASES: [&str; 8] = [
    "file to new file",
    "--verify",
    "flattened file",
    "from a pipe, spooled",
    "from kdump in a pipe",
    "-d 31 from .zst",
    "elf",
    "unflatten",
];

/// Mounts a file system that ends with the process, runs the command there with the spool there as
/// well, and brings back what it left. A command that hangs is killed.
const SCRIPT: &str = r#"
set -e
mkdir disk result
case $FILE_SYSTEM in
tmpfs) mount -t tmpfs -o size="${KIB}k" tmpfs disk ;;
ext4)
    truncate -s "${KIB}k" image
    mkfs.ext4 -q -F -m 0 -O ^has_journal image
    mount -o loop image disk
    rmdir disk/lost+found
    ;;
esac
code=0
TMPDIR=disk timeout -s KILL 30 "$KDUMPCONV" "$@" || code=$?
cp -a disk/. result/
exit $code
"#;

fn run(case: &Case, file_system: &str, kib: u64) -> Left {
    let folder = fast_folder();
    for (name, bytes) in &case.inputs {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let arguments = case.arguments.iter().map(|argument| match argument.as_str() {
        "out" => "disk/out",
        "." => "disk",
        other => other,
    });
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", SCRIPT, "sh"]).args(arguments);
    command.current_dir(folder.path()).env("KDUMPCONV", env!("CARGO_BIN_EXE_kdumpconv"));
    command.env("FILE_SYSTEM", file_system).env("KIB", kib.to_string());
    let input = case.stdin.map(|name| fs::File::open(folder.path().join(name)).unwrap());
    // A file as standard input becomes a pipe.
    let output = match input {
        Some(file) => {
            let mut cat = Command::new("cat").stdin(file).stdout(Stdio::piped()).spawn().unwrap();
            let output = command.stdin(cat.stdout.take().unwrap()).output().unwrap();
            // It holds the other end of the pipe, which the command may have left unread.
            drop(command);
            cat.wait().unwrap();
            output
        }
        None => command.stdin(Stdio::null()).output().unwrap(),
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder.path().join("result")).into_iter().flatten() {
        let entry = entry.unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        files.push((entry.file_name().into_string().unwrap(), bytes));
    }
    Left {
        ended: Ended::Code(output.status.code().unwrap()),
        hung: output.status.code() == Some(137),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        stream: Vec::new(),
        files,
        open_to_others: Vec::new(),
    }
}

fn judge(case: &Case, expected: &Expected, left: &Left) -> Result<Verdict, String> {
    let verdict = judge::after(case, expected, left, None)?;
    judge::speaks_plainly(&left.stderr)?;
    if verdict != Verdict::Survived && !left.stderr.contains("(os error 28)") {
        return Err("the message does not say that the disk is full".to_owned());
    }
    Ok(verdict)
}

fn can_mount(file_system: &str) -> Result<(), String> {
    let folder = fast_folder();
    let script = match file_system {
        "tmpfs" => "mkdir disk && mount -t tmpfs -o size=64k tmpfs disk",
        _ => {
            "mkdir disk && truncate -s 2M image && mkfs.ext4 -q -F image && mount -o loop image disk"
        }
    };
    let mut command = Command::new("unshare");
    let output = command.args(["--mount", "sh", "-c", script]).current_dir(folder.path()).output();
    let output = output.map_err(|error| format!("unshare: {error}"))?;
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("no {file_system} here: {why}")) }
}

#[test]
fn a_disk_that_fills_at_any_size_keeps_a_sound_dump_or_nothing() {
    let started = Instant::now();
    let mut cases = cases::all(None);
    cases.retain(|case| CASES.contains(&case.name));
    assert_eq!(cases.len(), CASES.len());
    let undisturbed: Vec<(Expected, Vec<Call>)> = cases.iter().map(undisturbed).collect();
    let mut tries = Vec::new();
    for (file_system, from, to, step) in [("tmpfs", 4, 1600, 20), ("ext4", 256, 2400, 64)] {
        if or_skip(can_mount(file_system)).is_none() {
            continue;
        }
        for kib in (from..to).step_by(step) {
            tries.extend((0..cases.len()).map(|case| (case, file_system, kib)));
        }
    }
    let in_all = tries.len();
    let step = if wants_all() { 1 } else { (in_all / 90) | 1 };
    let tries: Vec<_> = tries.into_iter().step_by(step).collect();
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(&(case, file_system, kib)) =
                    tries.get(next.fetch_add(1, Ordering::SeqCst))
                {
                    let (case, expected) = (&cases[case], &undisturbed[case].0);
                    let left = run(case, file_system, kib);
                    let verdict = judge(case, expected, &left).map_err(|why| {
                        let names: Vec<&String> = left.files.iter().map(|(name, _)| name).collect();
                        format!(
                            "{}: {file_system} of {kib} KiB: {why}\n    {:?}, files {names:?}, {}",
                            case.name, left.ended, left.stderr
                        )
                    });
                    tally.lock().unwrap().add(case.name, &format!("full {file_system}"), verdict);
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap();
    let seconds = started.elapsed().as_secs();
    say(&format!("{}full: of {in_all} sizes, in {seconds} s\n", tally.table("full")));
    let few: Vec<&String> = tally.lost.iter().take(40).collect();
    assert!(tally.lost.is_empty(), "{} lost:\n{few:#?}", tally.lost.len());
}
