//! Why the kernel crashed, by its log.

use super::Record;

/// The start of a panic's own line (vpanic(), kernel/panic.c).
const PANIC: &str = "Kernel panic - not syncing: ";

/// Starts of lines that name a cause: what oopses and triggers print first on the supported
/// architectures (arch/*/kernel/traps.c, arch/*/mm/fault.c, drivers/tty/sysrq.c, lib/bug.c).
const CAUSES: [&str; 20] = [
    "sysrq: Trigger a crash",
    "SysRq : Trigger a crash",
    "BUG: ",
    "kernel BUG at ",
    "Kernel BUG at ",
    "Unable to handle kernel ",
    "Kernel attempted to ",
    "Oops: ",
    "Oops - ",
    "Oops [#",
    "Internal error: ",
    "general protection fault",
    "double fault",
    "divide error",
    "stack segment",
    "invalid opcode",
    "watchdog: BUG: ",
    "watchdog: Watchdog detected hard LOCKUP",
    "NMI watchdog: Watchdog detected hard LOCKUP",
    "INFO: task ",
];

/// Causes that are further apart are not of one oops.
const ONE_OOPS_NS: u64 = 1_000_000_000;

/// What the log says about the crash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Panic {
    /// The line of the panic itself.
    pub message: Option<String>,
    /// The cause: the first line of the last oops before the panic.
    pub cause: Option<String>,
}

/// Looks for the reason of the crash in the records of a log, from the oldest to the newest.
#[derive(Debug, Clone, Default)]
pub struct PanicFinder {
    found: Panic,
    cause_ns: u64,
}

impl PanicFinder {
    /// Looks at the next record.
    pub fn look(&mut self, record: &Record<'_>) {
        for line in record.text.split(|&byte| byte == b'\n') {
            self.look_at_line(record.ts_nsec, line);
        }
    }

    fn look_at_line(&mut self, ts_nsec: Option<u64>, line: &[u8]) {
        let begins = |start: &&str| line.starts_with(start.as_bytes());
        if begins(&PANIC) {
            // The first one counts: other processors may follow.
            self.found.message.get_or_insert_with(|| printable(line));
        } else if self.found.message.is_none() && CAUSES.iter().any(begins) {
            // Without times all causes are of one oops.
            let now = ts_nsec.unwrap_or(0);
            let same =
                self.found.cause.is_some() && now.saturating_sub(self.cause_ns) < ONE_OOPS_NS;
            if !same {
                self.found.cause = Some(printable(line));
            }
            self.cause_ns = now;
        }
    }

    /// The result.
    #[must_use]
    pub fn finish(self) -> Panic {
        self.found
    }
}

/// The line with its control characters and other bytes escaped.
fn printable(line: &[u8]) -> String {
    line.escape_ascii().to_string()
}
