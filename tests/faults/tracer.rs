//! Traces the command: stops each thread before each system call, and makes the call fail, do less,
//! or be interrupted by a signal.
//!
//! ptrace(2), as `LD_PRELOAD` does not see calls that are made without the C library, and `strace -e
//! inject` cannot have a call really do less than was asked for.

use std::collections::HashMap;
use std::fs;
use std::process::{Child, Command};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::calls::{Call, POLL, Target, class_of, counted, makes_a_descriptor};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Pass,
    /// It is not made, and fails.
    Fail(i32),
    /// It is made with fewer bytes.
    Shorten(u64),
    /// It is made, and the process gets a signal meanwhile.
    Signal(Signal),
}

const OPENAT: u64 = 257;
const CREATES: u64 = nix::libc::O_CREAT as u64;
const EXCLUSIVE: u64 = nix::libc::O_EXCL as u64;

/// The way in which a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Code(i32),
    Killed(Signal),
}

/// Starts a command that waits to be traced. What it becomes is `command`'s program.
pub fn spawn(command: &Command) -> Command {
    // A process that stops itself can be seized without a race, and without unsafe code between
    // fork and exec. What nohup(1) or a job in the background has ignored is not ignored here: no
    // signal would be tried otherwise.
    let mut shell = Command::new("/bin/sh");
    let script = "kill -STOP $$; exec env --default-signal=HUP,INT,TERM,PIPE \"$@\"";
    shell.args(["-c", script, "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

fn wait_for(pid: Option<Pid>, flags: WaitPidFlag) -> nix::Result<WaitStatus> {
    loop {
        match waitpid(pid, Some(flags)) {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Runs a command that [`spawn`] started to its end; `decide` is asked about every call in
/// question once the program's own code runs.
///
/// Only this thread's children are waited for, so that others can trace at the same time.
pub fn trace(child: &Child, decide: &mut dyn FnMut(&Call) -> Action) -> Ended {
    let leader = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let stopped = wait_for(Some(leader), WaitPidFlag::WUNTRACED).unwrap();
    // A signal that is sent at any time may come as early as this.
    if let WaitStatus::Signaled(_, signal, _) = stopped {
        return Ended::Killed(signal);
    }
    assert!(matches!(stopped, WaitStatus::Stopped(..)), "{stopped:?}");
    let options = Options::PTRACE_O_EXITKILL
        | Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC;
    // Or between these lines, by SIGKILL: the wait below tells.
    let seized = ptrace::seize(leader, options).and_then(|()| kill(leader, Signal::SIGCONT));
    assert!(matches!(seized, Ok(()) | Err(Errno::ESRCH)), "{seized:?}");

    let mut tracer = Tracer { leader, started: false, pending: HashMap::new(), decide };
    let mut in_shell = true;
    loop {
        let status = wait_for(None, WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD).unwrap();
        let (pid, signal) = match status {
            WaitStatus::Exited(pid, code) if pid == leader => return Ended::Code(code),
            WaitStatus::Signaled(pid, signal, _) if pid == leader => return Ended::Killed(signal),
            WaitStatus::PtraceEvent(pid, _, event) => {
                in_shell &= event != nix::libc::PTRACE_EVENT_EXEC;
                (pid, None)
            }
            WaitStatus::PtraceSyscall(pid) => {
                tracer.at_call(pid);
                (pid, None)
            }
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
            _ => continue, // a thread is gone
        };
        // A process that has been killed meanwhile is waited for, not resumed.
        let _ = if in_shell { ptrace::cont(pid, signal) } else { ptrace::syscall(pid, signal) };
    }
}

struct Tracer<'a> {
    leader: Pid,
    /// Whether the loader is done: Rust's runtime begins with a poll(2) of the standard streams.
    started: bool,
    /// Calls under way that are not what was asked for, by thread.
    pending: HashMap<Pid, (Action, u64)>,
    decide: &'a mut dyn FnMut(&Call) -> Action,
}

impl Tracer<'_> {
    fn at_call(&mut self, pid: Pid) {
        let Ok(info) = ptrace::syscall_info(pid) else { return };
        match info.op {
            nix::libc::PTRACE_SYSCALL_INFO_ENTRY => self.enter(pid),
            nix::libc::PTRACE_SYSCALL_INFO_EXIT => self.leave(pid),
            _ => {}
        }
    }

    fn enter(&mut self, pid: Pid) {
        let Ok(mut regs) = ptrace::getregs(pid) else { return };
        let number = regs.orig_rax;
        if !self.started {
            self.started = number == POLL;
            return;
        }
        if number == OPENAT && regs.rdx & CREATES != 0 {
            // Nothing is made through a link that somebody planted, or for others to read.
            assert_ne!(regs.rdx & EXCLUSIVE, 0, "a file is made without O_EXCL");
            assert_eq!(regs.r10 & 0o7777, 0o600, "a file is made for others to read");
        }
        let args = [regs.rdi, regs.rsi, regs.rdx];
        let Some(class) = class_of(number, &args) else { return };
        let target = self.target(number, args[0]);
        let call = Call { class, target, bytes: counted(class).then_some(args[2]) };
        let action = (self.decide)(&call);
        match action {
            Action::Pass => return,
            Action::Fail(_) => regs.orig_rax = u64::MAX,
            Action::Shorten(bytes) => regs.rdx = bytes,
            Action::Signal(signal) => {
                let _ = kill(self.leader, signal);
                return;
            }
        }
        if ptrace::setregs(pid, regs).is_ok() {
            self.pending.insert(pid, (action, args[2]));
        }
    }

    fn leave(&mut self, pid: Pid) {
        let Some((action, rdx)) = self.pending.remove(&pid) else { return };
        let Ok(mut regs) = ptrace::getregs(pid) else { return };
        // The program may count on what the call does not change.
        regs.rdx = rdx;
        if let Action::Fail(errno) = action {
            regs.rax = u64::from(errno.unsigned_abs()).wrapping_neg();
        }
        let _ = ptrace::setregs(pid, regs);
    }

    fn target(&self, number: u64, fd: u64) -> Target {
        if makes_a_descriptor(number) {
            return Target::Other;
        }
        let link = fs::read_link(format!("/proc/{}/fd/{fd}", self.leader)).unwrap_or_default();
        let link = link.to_string_lossy();
        match fd {
            1 => Target::Stdout,
            2 => Target::Stderr,
            _ if link.starts_with("pipe:") => Target::Pipe,
            _ if link.contains("/fifo") => Target::Pipe,
            _ if link.contains("/out") || link.contains("/.out") || link.contains("/dev/loop") => {
                Target::Output
            }
            _ if link.contains("/in.") => Target::Input,
            _ => Target::Other,
        }
    }
}
