//! Why the kernel crashed, as far as its log tells.

use super::Record;

/// How the line of a panic itself begins (vpanic(), kernel/panic.c).
const PANIC: &str = "Kernel panic - not syncing: ";

/// How lines begin that name the cause: what oopses and triggers print first on the architectures
/// we know (arch/*/kernel/traps.c, arch/*/mm/fault.c, drivers/tty/sysrq.c, lib/bug.c).
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

/// Causes further apart than this are no lines of one oops.
const ONE_OOPS_NS: u64 = 1_000_000_000;

/// What the log says of the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Panic {
    /// The panic's own line.
    pub message: Option<String>,
    /// What led to it: the first line of the last oops before the panic.
    pub cause: Option<String>,
}

/// Looks for the end in the records of a log, from the oldest to the newest.
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
            // Others may follow from other processors.
            self.found.message.get_or_insert_with(|| printable(line));
        } else if self.found.message.is_none() && CAUSES.iter().any(begins) {
            let now = ts_nsec.unwrap_or(0);
            let same =
                self.found.cause.is_some() && now.saturating_sub(self.cause_ns) < ONE_OOPS_NS;
            if !same {
                self.found.cause = Some(printable(line));
            }
            self.cause_ns = now;
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> Panic {
        self.found
    }
}

/// The line with its control characters and other bytes escaped.
fn printable(line: &[u8]) -> String {
    line.escape_ascii().to_string()
}
