//! The crashed kernel's log (what `dmesg` prints), record by record.
//!
//! A kernel keeps its log in one of three forms; [`read`] knows them all:
//!
//! | kernel | form | identified by |
//! |---|---|---|
//! | since 5.10 | a lockless ring of descriptors and texts | SYMBOL(prb) |
//! | 3.5 to 5.9 | records of variable length in log_buf | SYMBOL(log_first_idx) |
//! | before 3.5 | characters in log_buf | SYMBOL(log_end) |
//!
//! ```
//! use std::ops::ControlFlow;
//! use kdumpconv::{Dump, DumpMemory, Input, OpenOptions, log};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let path = std::path::Path::new("testdata/small.vmcore.zst");
//! let dump = Dump::open(Input::open(path, std::env::temp_dir())?, &OpenOptions::default())?;
//! let memory = DumpMemory::new(&dump)?;
//! if let Some(kernel) = memory.kernel() {
//!     let report = log::read(&kernel, log::Start::Oldest, &mut |record| {
//!         println!("{:?} {}", record.ts_nsec, String::from_utf8_lossy(record.text));
//!         ControlFlow::Continue(())
//!     });
//!     match report {
//!         Ok(report) => println!("{} records, {} lost", report.records, report.lost),
//!         Err(error) => println!("no log: {error}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`print()`] writes the log as text, [`PanicFinder`] looks for the reason of the crash.
//!
//! VMCOREINFO has the offsets in the kernel's structs. Sizes and indices count only as far as the dump
//! has memory for them. A record that cannot be read, or that no kernel wrote as it is, is counted in
//! [`LogReport`]; the others are not affected. No record comes twice.

mod chars;
mod panic;
mod print;
mod records;
mod ring;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use crate::format::wire::ByteOrder;
use crate::kernel::translate::{Kernel, Translator};
use crate::kernel::vmcoreinfo::Vmcoreinfo;
use crate::pages::{Position, VirtAddr, VirtRange};

pub use crate::kernel::error::{AddressError, Error};
pub use crate::kernel::physical::{MissingReason, Unreadable};
pub use crate::kernel::vmcoreinfo::{Item, ItemKind};
pub use panic::{Panic, PanicFinder};
pub use print::{PrintError, PrintOptions, print, write_record};

/// The context that logged a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A task, by its process id.
    Task(u32),
    /// A processor that was not running a task, by its number.
    Cpu(u32),
}

impl Caller {
    /// Decodes `caller_id` of a record: its highest bit marks a processor (printk_caller_id(),
    /// kernel/printk/printk.c).
    fn of_id(id: u32) -> Caller {
        if id >> 31 == 1 { Caller::Cpu(id & (u32::MAX >> 1)) } else { Caller::Task(id) }
    }
}

/// The level in `u8 flags:5; u8 level:3;`. The first bit field has the lowest bits on little-endian
/// machines, the highest on big-endian ones.
fn level(order: ByteOrder, flags: u8) -> u8 {
    match order {
        ByteOrder::Little => flags >> 5,
        ByteOrder::Big => flags & 7,
    }
}

/// With which record reading starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// With the oldest.
    #[default]
    Oldest,
    /// With the first after the last clear of the log, such as by `dmesg -c`.
    LastClear,
}

/// What one printk logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record<'a> {
    /// Nanoseconds since boot. `None` before 3.5, when the time was part of the text, if anywhere.
    pub ts_nsec: Option<u64>,
    /// The context that logged it, if the kernel records that.
    pub caller: Option<Caller>,
    /// The severity, from 0 (emergency) to 7 (debug), if known.
    pub level: Option<u8>,
    /// syslog's facility, of which 0 is the kernel, if known.
    pub facility: Option<u8>,
    /// The text as the kernel has it: any bytes, perhaps several lines, without a newline at its end.
    pub text: &'a [u8],
}

/// How much of a log could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogReport {
    /// Records that were read.
    pub records: u64,
    /// Records that could not be read. Where a part of a log is lost, it counts as one.
    pub lost: u64,
    /// Why the first of those could not be read.
    pub why: Option<String>,
    /// Why the place of [`Start::LastClear`] is not known. Then all records were read.
    pub start_unknown: Option<String>,
}

impl LogReport {
    /// Counts a record that could not be read.
    fn add_lost(&mut self, why: impl std::fmt::Display) {
        self.add_several_lost(1, why);
    }

    /// Counts records that could not be read.
    fn add_several_lost(&mut self, count: u64, why: impl std::fmt::Display) {
        self.lost += count;
        self.why.get_or_insert_with(|| why.to_string());
    }
}

/// Called with each record; [`ControlFlow::Break`] stops the reading.
pub type Visit<'v> = dyn FnMut(&Record<'_>) -> ControlFlow<()> + 'v;

/// Reads the log of a kernel, from the record of `start` to its newest.
///
/// # Errors
/// [`Error`] if the log cannot be found. Records of a log that was found, but that cannot be read, are
/// counted in [`LogReport::lost`].
pub fn read(kernel: &Kernel<'_>, start: Start, visit: &mut Visit<'_>) -> Result<LogReport, Error> {
    let info = kernel.info;
    let form = Form::of(info)?;
    let translator = Translator::new(kernel)?;
    match form {
        Form::Ring { prb } => ring::read(info, &translator, prb, start, visit),
        Form::Records => records::read(info, &translator, start, visit),
        Form::Chars => chars::read(info, &translator, start, visit),
    }
}

/// The virtual addresses of the log: its texts and all that describes them.
///
/// # Errors
/// [`Error`] if the log cannot be found.
pub fn memory(kernel: &Kernel<'_>) -> Result<Vec<VirtRange>, Error> {
    let info = kernel.info;
    let form = Form::of(info)?;
    let translator = Translator::new(kernel)?;
    match form {
        Form::Ring { prb } => ring::memory(info, &translator, prb),
        Form::Records | Form::Chars => Ok(vec![LogBuf::find(info, &translator)?.memory()]),
    }
}

/// The forms of a log.
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

/// log_buf, the buffer of the older forms.
struct LogBuf {
    /// Its address.
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
        let bytes = plausible("log_buf_len", bytes, readable)?;
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

/// Accepts the size of a buffer if the dump has memory for it.
fn plausible(what: &'static str, bytes: u64, readable: u64) -> Result<u64, Error> {
    let why = match bytes {
        0 => "it is empty".to_owned(),
        _ if bytes > readable => {
            format!("{bytes} bytes are more than the {readable} of all memory in the dump")
        }
        _ => return Ok(bytes),
    };
    Err(Error::implausible(what, why))
}
