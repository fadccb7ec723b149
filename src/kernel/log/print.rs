//! The log as text, as crash's `log` and makedumpfile's `--dump-dmesg` print it.

use std::io::{self, Write};
use std::ops::ControlFlow;

use super::{Caller, LogReport, Record, Start, read};
use crate::kernel::error::Error;
use crate::kernel::translate::Kernel;

/// What to print.
#[derive(Debug, Clone, Copy, Default)]
pub struct PrintOptions {
    /// The record to start with.
    pub start: Start,
    /// The caller, as a kernel with CONFIG_PRINTK_CALLER prints it: `[    0.000000][    T1] text`.
    pub caller: bool,
}

/// Why a log could not be printed.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// It could not be read.
    #[error(transparent)]
    Log(#[from] Error),
    /// It could not be written.
    #[error("cannot write the log")]
    Write(#[from] io::Error),
}

/// Prints the log of a kernel.
///
/// # Errors
/// [`PrintError`] if the log cannot be found or `out` fails. Records that cannot be read are counted in
/// [`LogReport::lost`].
pub fn print(
    kernel: &Kernel<'_>,
    out: &mut dyn Write,
    options: PrintOptions,
) -> Result<LogReport, PrintError> {
    let mut written = Ok(());
    let mut line = Vec::new();
    let ended = read(kernel, options.start, &mut |record| {
        line.clear();
        written = write_record(record, options, &mut line).and_then(|()| out.write_all(&line));
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    Ok(ended)
}

/// Prints one record, with a newline at its end.
///
/// Indents the further lines of its text to below the first. Writes bytes other than printable ASCII as
/// `\xNN`, as /dev/kmsg does: no escape code of a log reaches the terminal.
///
/// # Errors
/// Those of `out`.
pub fn write_record(
    record: &Record<'_>,
    options: PrintOptions,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut prefix = String::new();
    if let Some(ns) = record.ts_nsec {
        prefix = format!("[{:5}.{:06}]", ns / 1_000_000_000, ns % 1_000_000_000 / 1000);
    }
    if let Some(caller) = record.caller.filter(|_| options.caller) {
        let caller = match caller {
            Caller::Task(pid) => format!("T{pid}"),
            Caller::Cpu(cpu) => format!("C{cpu}"),
        };
        prefix.push_str(&format!("[{caller:>6}]"));
    }
    if !prefix.is_empty() {
        prefix.push(' ');
    }
    out.write_all(prefix.as_bytes())?;
    for (nth, line) in record.text.split(|&byte| byte == b'\n').enumerate() {
        if nth > 0 {
            write!(out, "\n{:indent$}", "", indent = prefix.len())?;
        }
        write_escaped(line, out)?;
    }
    out.write_all(b"\n")
}

fn write_escaped(text: &[u8], out: &mut dyn Write) -> io::Result<()> {
    for run in text.chunk_by(|&a, &b| printable(a) == printable(b)) {
        if run.first().is_some_and(|&byte| printable(byte)) {
            out.write_all(run)?;
            continue;
        }
        for byte in run {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

fn printable(byte: u8) -> bool {
    byte == b'\t' || (b' '..=b'~').contains(&byte)
}
