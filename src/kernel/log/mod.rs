//! The crashed kernel's log, record by record, from whichever of its three forms the kernel has.
//!
//! | kernel | form | told by | file |
//! |---|---|---|---|
//! | 5.10 on | lockless ring of descriptors and texts | SYMBOL(prb) | `ring` |
//! | 3.5 to 5.9 | records of variable length in log_buf | SYMBOL(log_first_idx) | `records` |
//! | before | characters in log_buf | SYMBOL(log_end) | `chars` |
//!
//! Structs are laid out as VMCOREINFO says, sizes and indices are believed only as far as the dump
//! has memory for them, and a record that cannot be read costs itself alone.

mod chars;
mod panic;
mod print;
mod records;
mod ring;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use crate::kernel::error::Error;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::vmcoreinfo::{Item, Vmcoreinfo};
use crate::pages::{Position, VirtAddr, VirtRange};

pub use panic::{Panic, PanicFinder};
pub use print::{PrintError, PrintOptions, print, write_record};

/// Who logged a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A task, by its pid.
    Task(u32),
    /// A processor, outside of a task.
    Cpu(u32),
}

impl Caller {
    /// `caller_id` of a record: the highest bit tells processors from tasks (printk_caller_id(),
    /// kernel/printk/printk.c).
    fn of_id(id: u32) -> Caller {
        if id >> 31 == 1 { Caller::Cpu(id & (u32::MAX >> 1)) } else { Caller::Task(id) }
    }
}

/// What one printk said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Nanoseconds since boot; none where they are part of the text, if anything.
    pub ts_nsec: Option<u64>,
    /// Who said it, where the kernel notes that.
    pub caller: Option<Caller>,
    /// Urgency, from 0 (emergency) to 7 (debug), where it can be told.
    pub level: Option<u8>,
    /// syslog's facility, 0 is the kernel, where it can be told.
    pub facility: Option<u8>,
    /// The text as the kernel has it: any bytes, perhaps several lines, no newline at its end.
    pub text: &'a [u8],
}

/// What became of a log that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Records that were given out.
    pub records: u64,
    /// Records, or unknown numbers of them, that could not be read.
    pub lost: u64,
    /// Why the first of them could not.
    pub why: Option<String>,
}

impl Ended {
    fn lost(&mut self, why: impl std::fmt::Display) {
        self.lost += 1;
        self.why.get_or_insert_with(|| why.to_string());
    }
}

/// What is done with a record; [`ControlFlow::Break`] ends the reading.
pub type Visit<'v> = dyn FnMut(&Record<'_>) -> ControlFlow<()> + 'v;

/// Reads the log of a kernel from its oldest record to its newest.
///
/// # Errors
/// [`Error`] when there is no log to be found; what is lost of a log that is there, [`Ended`] says.
pub fn read(kernel: &Kernel<'_>, visit: &mut Visit<'_>) -> Result<Ended, Error> {
    let info = kernel.info;
    let form = Form::of(info)?;
    let translator = Translator::new(kernel)?;
    match form {
        Form::Ring { prb } => ring::read(info, &translator, prb, visit),
        Form::Records => records::read(info, &translator, visit),
        Form::Chars => chars::read(info, &translator, visit),
    }
}

/// Where the log is: ranges of virtual addresses of its texts and of all that describes them.
///
/// # Errors
/// [`Error`] when there is no log to be found.
pub fn memory(kernel: &Kernel<'_>) -> Result<Vec<VirtRange>, Error> {
    let info = kernel.info;
    let form = Form::of(info)?;
    let translator = Translator::new(kernel)?;
    match form {
        Form::Ring { prb } => ring::memory(info, &translator, prb),
        Form::Records | Form::Chars => Ok(vec![LogBuf::find(info, &translator)?.memory()]),
    }
}

/// The forms of log.
enum Form {
    Ring { prb: VirtAddr },
    Records,
    Chars,
}

impl Form {
    fn of(info: &Vmcoreinfo) -> Result<Form, Error> {
        if let Some(prb) = info.symbol("prb") {
            Ok(Form::Ring { prb })
        } else if info.symbol("log_buf").is_none() {
            Err(Error::MissingItem(["prb", "log_buf"].map(Item::symbol).to_vec()))
        } else if info.symbol("log_first_idx").is_some() {
            Ok(Form::Records)
        } else if info.symbol("log_end").is_some() {
            Ok(Form::Chars)
        } else {
            Err(Error::MissingItem(["log_first_idx", "log_end"].map(Item::symbol).to_vec()))
        }
    }
}

/// The buffer of the older forms.
struct LogBuf {
    /// Its virtual address.
    start: VirtAddr,
    bytes: u64,
}

impl LogBuf {
    fn find(info: &Vmcoreinfo, translator: &Translator<'_>) -> Result<LogBuf, Error> {
        let log_buf = info.require_symbol("log_buf")?;
        let start = translator.read_long(log_buf).map_err(Error::unreadable("SYMBOL(log_buf)"))?;
        let start = VirtAddr::new(start);
        let bytes = int(info, translator, "log_buf_len", "SYMBOL(log_buf_len)")?;
        let readable = translator.memory().readable_bytes();
        let bytes = plausible("log_buf_len", Some(bytes), readable)?;
        Ok(LogBuf { start, bytes })
    }

    fn memory(&self) -> VirtRange {
        VirtRange::new(self.start, self.start.saturating_add(self.bytes))
    }
}

/// The `unsigned int` at a symbol.
fn int(
    info: &Vmcoreinfo,
    translator: &Translator<'_>,
    name: &str,
    what: &'static str,
) -> Result<u64, Error> {
    translator.read_u32(info.require_symbol(name)?).map_err(Error::unreadable(what)).map(u64::from)
}

/// `bytes` of a buffer that the kernel claims to have, if the dump has room for it.
fn plausible(what: &'static str, bytes: Option<u64>, readable: u64) -> Result<u64, Error> {
    let why = match bytes {
        Some(bytes) if bytes > 0 && bytes <= readable => return Ok(bytes),
        Some(0) => "it is empty".to_owned(),
        Some(bytes) => {
            format!("{bytes} bytes are more than the {readable} of all memory in the dump")
        }
        None => "it is larger than any memory".to_owned(),
    };
    Err(Error::implausible(what, why))
}
