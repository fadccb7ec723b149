//! Signals: SIGTERM and SIGHUP end a conversion and keep what was written, SIGINT removes it.
//!
//! They are caught only once there is an output to keep or remove. Before that, and where the dump
//! goes to a pipe, a signal ends the process at once, and so does a second signal at any time.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The signals that a command catches.
pub(super) struct Signals {
    /// The number of the last signal; 0 before one came.
    caught: Arc<AtomicUsize>,
    /// Whether one came.
    stop: Arc<AtomicBool>,
    /// Readable once a signal came, so that a wait for input ends.
    wake: UnixStream,
    /// The other end of `wake`: the signal handler writes here.
    waker: UnixStream,
    /// Guards against registering twice: the second handler would take the first signal for a
    /// second one, and end the process.
    are_caught: AtomicBool,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        let (wake, waker) = UnixStream::pair()?;
        Ok(Signals {
            caught: Arc::default(),
            stop: Arc::default(),
            wake,
            waker,
            are_caught: AtomicBool::new(false),
        })
    }

    /// From now on a signal sets `cancel` instead of ending the process.
    pub(super) fn catch(&self, cancel: &Arc<AtomicBool>) -> io::Result<()> {
        use signal_hook::{flag, low_level};
        if self.are_caught.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let ignored = ignored_signals();
        for signal in [SIGTERM, SIGHUP, SIGINT] {
            if ignored & (1 << (signal - 1)) != 0 {
                continue; // as nohup(1) and a shell's background jobs expect
            }
            // This handler goes first: only a second signal may find `cancel` set.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(cancel))?;
            let number = usize::try_from(signal).map_err(io::Error::other)?;
            flag::register_usize(signal, Arc::clone(&self.caught), number)?;
            flag::register(signal, Arc::clone(&self.stop))?;
            flag::register(signal, Arc::clone(cancel))?;
            low_level::pipe::register(signal, self.waker.try_clone()?)?;
        }
        // Without a handler, SIGXFSZ ends the process; with one, a write beyond the file size limit
        // is an error, like a full disk.
        flag::register(signal_hook::consts::signal::SIGXFSZ, Arc::default())?;
        Ok(())
    }

    /// Is set once a signal was caught.
    pub(super) fn stop(&self) -> &AtomicBool {
        &self.stop
    }

    /// The signal that was caught, if one was.
    pub(super) fn caught(&self) -> Option<u8> {
        u8::try_from(self.caught.load(Ordering::SeqCst)).ok().filter(|&signal| signal > 0)
    }
}

/// The signals that this process was started to ignore, one bit each; none where /proc is not mounted.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Whether `signal` removes the output: a user at the terminal does not want it, whoever shuts the
/// machine down does.
pub(super) fn discards_output(signal: u8) -> bool {
    i32::from(signal) == SIGINT
}

/// A pipe whose reads a signal interrupts.
pub(super) struct Interruptible {
    pipe: File,
    wake: UnixStream,
}

impl Interruptible {
    pub(super) fn new(pipe: File, signals: &Signals) -> io::Result<Self> {
        Ok(Interruptible { pipe, wake: signals.wake.try_clone()? })
    }
}

impl Read for Interruptible {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready =
                [PollFd::new(&self.pipe, PollFlags::IN), PollFd::new(&self.wake, PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let [pipe, wake] = &ready;
            if !wake.revents().is_empty() {
                return Err(io::Error::other("a signal ended the wait for input"));
            }
            if pipe.revents().is_empty() {
                continue;
            }
            // Another process may have set O_NONBLOCK on the pipe, as ssh does.
            match self.pipe.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}
