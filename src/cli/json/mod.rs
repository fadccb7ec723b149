//! The JSON reports: for each a struct whose documentation is the JSON Schema's.
//!
//! ```text
//! convert info verify elf unflatten dmesg error    one report each
//! kdump pages classes findings codecs              parts of reports
//! number                                           numbers that every JSON parser reads exactly
//! print                                            a report on standard output or standard error
//! schema                                           the JSON Schema of all reports (feature `generate`)
//! ```
//!
//! Here is only what reports look like, and how they are made from the library's results. Which
//! report is printed when is for the commands to say. Doc comments of structs, fields and variants
//! are printed by `kdumpconv schema`: they are written for its readers, and say when a field is null.

mod classes;
mod codecs;
mod convert;
mod dmesg;
mod elf;
mod error;
mod findings;
mod info;
mod kdump;
mod number;
mod pages;
mod print;
#[cfg(feature = "generate")]
mod schema;
mod unflatten;
mod verify;

pub(crate) use classes::Classes;
pub(crate) use convert::{ConvertBytes, ConvertJson, OutputFormatName, ReadBackJson};
pub(crate) use dmesg::RecordJson;
pub(crate) use elf::{ElfBytes, ElfJson};
pub(crate) use error::ErrorJson;
pub(crate) use findings::FindingsJson;
pub(crate) use info::{CountedClasses, InfoJson, RemarkJson};
pub(crate) use number::{Address, Rate};
pub(crate) use pages::texts;
pub(crate) use print::{print_json, print_json_line, report_line, report_text};
#[cfg(feature = "generate")]
pub(crate) use schema::{Report, schema};
pub(crate) use unflatten::{UnflattenBytes, UnflattenJson};
pub(crate) use verify::VerifyJson;

/// The version of the JSON reports, raised when a field changes its meaning or its name, or is
/// removed. New fields do not raise it.
///
/// From 1 to 2: addresses, file offsets and `phys_base` are strings in hexadecimal, such as
/// "0x1000" and "-0x34000000"; no number is greater than 2^53 - 1; a command that fails prints an
/// object with `error`; and these names changed:
///
/// | report | 1 | 2 |
/// |---|---|---|
/// | convert | `format`: "flat" | "flattened" |
/// | | `dump_level_asked` | `dump_level_requested` |
/// | convert, elf | `pages.first_unreadable.error` | `.why` |
/// | convert, info | `classes.class` | `classes.by_class`, null instead of {} |
/// | | `classes.class.*.off`, `.left_out` | `classes.by_class.*.disabled`, `.excluded` |
/// | | `classes.left_out` | `classes.excluded` |
/// | info | `elf.machine` | `elf.e_machine` |
/// | | `kdump.files[].flattened.ended` | `.has_end_mark` |
/// | | `log.lost`, `log.first_lost` | `log.unreadable`, `log.first_unreadable`; all fields also with `log.error` |
/// | | `stored.looked_at`, `stored.codecs` | `stored.sampled`, `stored.by_codec` |
/// | | `stored.lost`, `stored.first_lost` | `stored.unreadable`, `stored.first_unreadable` |
/// | verify, `read_back.found` | `comparison.only_here` | `comparison.only_in_dump` |
/// | | `comparison.left_out_zero`, `_proven`, `_partial` | `comparison.excluded_zero`, `_proven`, `_partial` |
/// | | `comparison.left_out_by_class`, `first_not_proven` | `comparison.excluded_unproven`, `first_unproven` |
/// | | `findings[].first` | `findings[].examples` |
/// | dmesg | `ts_nsec` | `time.seconds`, `time.nanoseconds` |
pub(crate) const SCHEMA: u32 = 2;
