//! One run of the command: sets up its folder, serves its pipes, waits for its end.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::calls::Call;
use crate::cases::{Case, To};
use crate::tracer::{self, Action, Ended};

/// No undisturbed run takes longer than a second.
const TOO_LONG: Duration = Duration::from_secs(30);

/// The old contents of OUTPUT.
pub const OLD: &[u8] = b"KDUMP   an older dump, which is not a dump";

/// The files that a run left.
#[derive(Debug)]
pub struct Left {
    pub ended: Ended,
    pub hung: bool,
    pub stdout: Vec<u8>,
    pub stderr: String,
    /// The contents of the FIFO or device.
    pub stream: Vec<u8>,
    /// New and changed files by name.
    pub files: Vec<(String, Vec<u8>)>,
    /// Of those, names of files that others may read.
    pub open_to_others: Vec<String>,
}

/// A folder for one run after another.
pub struct Place {
    folder: tempfile::TempDir,
}

/// A file system in memory if there is one: fsync(2) is slow elsewhere, and the tracer makes it
/// fail, not a disk.
pub fn fast_folder() -> tempfile::TempDir {
    let shm = Path::new("/dev/shm");
    let made = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
    made.or_else(|_| tempfile::tempdir()).unwrap()
}

impl Place {
    pub fn new(case: &Case) -> Self {
        let folder = fast_folder();
        for (name, bytes) in &case.inputs {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        if case.to == To::Fifo {
            let path = folder.path().join("fifo");
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }
        Place { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the case; a signal may be sent after some time.
    pub fn run(
        &self,
        case: &Case,
        decide: &mut dyn FnMut(&Call) -> Action,
        after: Option<(Duration, Signal)>,
    ) -> Left {
        self.tidy(case);
        let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
        command.args(&case.arguments).current_dir(self.folder.path());
        let mut command = tracer::spawn(&command);
        command.env_remove("SOURCE_DATE_EPOCH").env("TMPDIR", self.folder.path());
        command.stdin(if case.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        #[expect(clippy::zombie_processes, reason = "the tracer waits for it")]
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let feed = child.stdin.take().zip(case.stdin_bytes());
        let (done, watch) = mpsc::channel::<()>();
        let (ended, fifo_path) = (AtomicBool::new(false), self.path("fifo"));
        thread::scope(|scope| {
            if let Some((mut pipe, bytes)) = feed {
                scope.spawn(move || pipe.write_all(bytes)); // who reads may end before
            }
            let out = scope.spawn(move || read_all(&mut out));
            let err = scope.spawn(move || read_all(&mut err));
            let fifo = (case.to == To::Fifo).then(|| scope.spawn(|| read_fifo(&fifo_path, &ended)));
            let watchdog = scope.spawn(move || {
                if let Some((pause, signal)) = after {
                    if watch.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                        let _ = kill(pid, signal);
                    } else {
                        return false;
                    }
                }
                let hung = watch.recv_timeout(TOO_LONG) == Err(mpsc::RecvTimeoutError::Timeout);
                if hung {
                    let _ = kill(pid, Signal::SIGKILL);
                }
                hung
            });
            let end = tracer::trace(&child, decide);
            ended.store(true, Ordering::SeqCst);
            drop(done);
            let stderr = String::from_utf8_lossy(&err.join().unwrap()).into_owned();
            let mut left = Left {
                ended: end,
                hung: watchdog.join().unwrap(),
                stdout: out.join().unwrap(),
                stderr,
                stream: fifo.map_or_else(Vec::new, |fifo| fifo.join().unwrap()),
                files: Vec::new(),
                open_to_others: Vec::new(),
            };
            if let To::Device(device) = &case.to {
                left.stream = fs::read(device).unwrap();
            }
            self.look(case, &mut left);
            left
        })
    }

    /// Restores the folder to its state before the first run.
    fn tidy(&self, case: &Case) {
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let keep =
                name == "fifo" || case.inputs.iter().any(|(input, _)| name == input.as_str());
            if !keep {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        match &case.to {
            To::Replaced => fs::write(self.path("out"), OLD).unwrap(),
            To::Device(device) => {
                let mut file = OpenOptions::new().write(true).open(device).unwrap();
                file.write_all(&case.older).unwrap();
            }
            _ => {}
        }
    }

    fn look(&self, case: &Case, left: &mut Left) {
        use std::os::unix::fs::MetadataExt;
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name == "fifo" {
                continue;
            }
            // For a large file, an unchanged size is taken as unchanged contents.
            let large =
                case.inputs.iter().find(|(input, old)| *input == name && old.len() > 4 << 20);
            if large.is_some_and(|(_, old)| entry.metadata().unwrap().len() == old.len() as u64) {
                continue;
            }
            let bytes = fs::read(entry.path()).unwrap();
            let is_old = |(input, old): &(String, Vec<u8>)| *input == name && *old == bytes;
            let is_replaced = case.to == To::Replaced && name == "out" && bytes == OLD;
            if is_replaced || case.inputs.iter().any(is_old) {
                continue;
            }
            if entry.metadata().unwrap().mode() & 0o177 != 0 {
                left.open_to_others.push(name.clone());
            }
            left.files.push((name, bytes));
        }
        left.files.sort();
    }
}

fn read_all(from: &mut dyn Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    bytes
}

/// Reads a FIFO that the command may never open.
fn read_fifo(path: &Path, ended: &AtomicBool) -> Vec<u8> {
    let nonblocking = nix::libc::O_NONBLOCK;
    let mut fifo: File =
        OpenOptions::new().read(true).custom_flags(nonblocking).open(path).unwrap();
    let (mut bytes, mut buf) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let was_over = ended.load(Ordering::SeqCst);
        match fifo.read(&mut buf) {
            Ok(0) if was_over => return bytes,
            Ok(0) => thread::sleep(Duration::from_micros(200)),
            Ok(n) => bytes.extend(&buf[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock && was_over => return bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_micros(200));
            }
            Err(_) => {}
        }
    }
}
