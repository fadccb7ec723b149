//! The JSON reports: for each a struct whose documentation is the JSON Schema's.
//!
//! ```text
//! convert info verify elf unflatten dmesg error    one report each
//! kernel candidates elf_facts kdump pages classes findings codecs    parts of reports
//! version                                          the version of all reports, and what changed
//! number                                           numbers that every JSON parser reads exactly
//! print                                            a report on standard output or standard error
//! schema                                           the JSON Schema of all reports (feature `generate`)
//! ```
//!
//! Here is only what reports look like, and how they are made from the library's results. Which
//! report is printed when is for the commands to say. Doc comments of structs, fields and variants
//! are printed by `kdumpconv schema`: they are written for its readers, and say when a field is null.

mod candidates;
mod classes;
mod codecs;
mod convert;
mod coverage;
mod dmesg;
mod elf;
mod elf_facts;
mod error;
mod findings;
mod info;
mod kdump;
mod kernel;
mod number;
mod pages;
mod print;
#[cfg(feature = "generate")]
mod schema;
mod unflatten;
mod verify;
mod version;

pub(crate) use classes::{Classes, CountedClasses};
pub(crate) use convert::{
    ConvertBytes, ConvertJson, OutputFormatName, ReadBackJson, SplitFileJson,
};
pub(crate) use dmesg::RecordJson;
pub(crate) use elf::{ElfBytes, ElfJson};
pub(crate) use error::ErrorJson;
pub(crate) use findings::FindingsJson;
pub(crate) use info::{InfoJson, RemarkJson};
pub(crate) use number::{Address, Rate};
pub(crate) use pages::texts;
pub(crate) use print::{print_json, print_json_line, report_line, report_text};
#[cfg(feature = "generate")]
pub(crate) use schema::{Report, schema};
pub(crate) use unflatten::{UnflattenBytes, UnflattenJson};
pub(crate) use verify::VerifyJson;
pub(crate) use version::SchemaVersion;
