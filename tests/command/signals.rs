//! Signals during a conversion: the pages so far are kept, except after SIGINT, which removes the
//! output.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::common::{noise, only_right_pages, x86_64};
use crate::process::{Folder, code, stderr, wait};
use support::kdump::Kdump;
use support::model::Model;
use support::segments::Load;
use support::vmcore::VmcoreBuilder;

/// 8 MiB: 2048 pages.
pub fn builder() -> VmcoreBuilder {
    x86_64().prstatus(0).load(Load::new(0x10_0000, noise(1, 8 << 20)))
}

/// A conversion that has read part of its input from a FIFO and waits for more.
pub struct Waiting {
    folder: Folder,
    child: Child,
    input: File,
    rest: Vec<u8>,
}

pub fn started(arguments: &[&str], bytes: usize) -> Waiting {
    started_with(builder().build(), arguments, bytes)
}

/// A command that has read the first `bytes` of `core` from a FIFO.
pub fn started_with(mut core: Vec<u8>, arguments: &[&str], bytes: usize) -> Waiting {
    let folder = Folder::new();
    assert!(Command::new("mkfifo").arg(folder.path("fifo")).status().unwrap().success());
    let mut command = folder.command(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let mut input = OpenOptions::new().write(true).open(folder.path("fifo")).unwrap();
    let rest = core.split_off(bytes);
    input.write_all(&core).unwrap();
    Waiting { folder, child, input, rest }
}

impl Waiting {
    /// Waits until this many bytes are on disk.
    pub fn until_written(&self, name_part: &str, bytes: u64) {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let names = self.folder.names();
            let file = names.iter().find(|name| name.contains(name_part));
            let len = file.and_then(|name| fs::metadata(self.folder.path(name)).ok());
            if len.is_some_and(|metadata| metadata.len() >= bytes) {
                return;
            }
            assert!(Instant::now() < end, "not written: {names:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for the command to end, without giving it another byte.
    pub fn end(self) -> (Folder, Output) {
        let output = wait(self.child, 10);
        drop(self.input);
        (self.folder, output)
    }
}

fn check_incomplete(bytes: &[u8]) -> u64 {
    let kdump = Kdump::from_bytes(bytes).unwrap();
    only_right_pages(&Model::new(&builder(), 4096), &kdump).unwrap();
    assert!(kdump.is_incomplete());
    kdump.dumped.count()
}

#[test]
fn sigterm_and_sighup_keep_the_pages_so_far_and_end_at_once() {
    for (name, number) in [("TERM", 15), ("HUP", 1)] {
        for threads in ["1", "3"] {
            let waiting = started(&["-j", threads, "fifo", "out"], 5 << 20);
            waiting.until_written(".partial", 4 << 20);
            waiting.signal(name);
            let (folder, output) = waiting.end();
            assert_eq!(code(&output), 128 + number, "{}", stderr(&output));
            assert!(stderr(&output).contains("out.incomplete"), "{}", stderr(&output));
            assert_eq!(folder.names(), ["fifo", "out.incomplete"]);
            let pages = check_incomplete(&folder.read("out.incomplete"));
            assert!((1000..=1280).contains(&pages), "{pages}");
        }
    }
}

#[test]
fn sigint_keeps_nothing() {
    for output in ["out", "vmcore-incomplete"] {
        let waiting = started(&["fifo", output], 5 << 20);
        let part = if output == "out" { ".partial" } else { output };
        waiting.until_written(part, 4 << 20);
        waiting.signal("INT");
        let (folder, ended) = waiting.end();
        assert_eq!(code(&ended), 130, "{}", stderr(&ended));
        assert_eq!(folder.names(), ["fifo"]);
    }
}

#[test]
fn a_signal_before_there_is_an_output_leaves_nothing() {
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let waiting = started(&["fifo", "out"], 100);
        std::thread::sleep(Duration::from_millis(100));
        waiting.signal(name);
        let (folder, output) = waiting.end();
        assert_eq!(code(&output), 128 + number, "{}", stderr(&output));
        assert_eq!(folder.names(), ["fifo"]);
    }
}

#[test]
fn sigterm_before_the_first_page_leaves_nothing() {
    let waiting = started(&["fifo", "out"], 100_000);
    waiting.until_written(".partial", 1);
    std::thread::sleep(Duration::from_millis(100));
    waiting.signal("TERM");
    let (folder, output) = waiting.end();
    assert_eq!(code(&output), 143, "{}", stderr(&output));
    assert_eq!(folder.names(), ["fifo"]);
}

#[test]
fn sigterm_keeps_a_flattened_file_and_one_written_in_place() {
    for (arguments, name) in [
        (&["-F", "fifo", "out"][..], "out.incomplete"),
        (&["fifo", "vmcore-incomplete"], "vmcore-incomplete"),
    ] {
        let waiting = started(arguments, 5 << 20);
        let part = if name.starts_with("out") { ".partial" } else { name };
        waiting.until_written(part, 3 << 20);
        waiting.signal("TERM");
        let (folder, output) = waiting.end();
        assert_eq!(code(&output), 143, "{}", stderr(&output));
        let expected = if name < "fifo" { [name, "fifo"] } else { ["fifo", name] };
        assert_eq!(folder.names(), expected);
        assert!(check_incomplete(&folder.read(name)) > 500);
    }
}

#[test]
fn sigterm_while_the_dump_goes_to_a_pipe_ends_it_at_once() {
    let folder = Folder::new();
    folder.write("vmcore", &builder().build());
    let mut command = folder.command(&["vmcore"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // By then the pipe is full, and no process reads it.
    std::thread::sleep(Duration::from_millis(300));
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert_eq!(code(&wait(child, 10)), 143);
}

#[test]
fn a_second_signal_ends_a_command_that_has_not_ended() {
    // Whenever the second signal arrives, a dump under its final name is sound.
    for pause in [0, 1, 20] {
        let waiting = started(&["fifo", "out"], 5 << 20);
        waiting.until_written(".partial", 4 << 20);
        waiting.signal("TERM");
        std::thread::sleep(Duration::from_millis(pause));
        let pid = waiting.child.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &pid]).stderr(Stdio::null()).status();
        let (folder, output) = waiting.end();
        assert_eq!(code(&output), 143);
        if folder.names().contains(&"out.incomplete".to_owned()) {
            check_incomplete(&folder.read("out.incomplete"));
        }
        assert!(!folder.path("out").exists());
    }
}

#[test]
fn without_a_signal_the_same_input_is_complete() {
    let mut waiting = started(&["fifo", "out"], 5 << 20);
    waiting.until_written(".partial", 4 << 20);
    waiting.input.write_all(&std::mem::take(&mut waiting.rest)).unwrap();
    let Waiting { folder, child, input, .. } = waiting;
    drop(input);
    let output = wait(child, 10);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let kdump = Kdump::from_bytes(&folder.read("out")).unwrap();
    support::compare::compare(&Model::new(&builder(), 4096), &kdump).unwrap();
    assert_eq!(folder.names(), ["fifo", "out"]);
}
