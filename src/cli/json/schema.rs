//! The JSON Schema of the reports.

use clap::ValueEnum;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, json_schema};

use super::version::SCHEMA;
use super::{ConvertJson, ElfJson, ErrorJson, InfoJson, RecordJson, UnflattenJson, VerifyJson};

/// A report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Report {
    /// Of `convert`
    Convert,
    /// Of `info`
    Info,
    /// Of `verify`
    Verify,
    /// Of `dmesg`: one record of the log
    Dmesg,
    /// Of `elf`
    Elf,
    /// Of `unflatten`
    Unflatten,
    /// Of every command that fails
    Error,
}

/// The JSON Schema of one report, or of all.
pub(crate) fn schema(report: Option<Report>) -> Schema {
    let mut generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .with_transform(RecursiveTransform(deny_unknown_fields))
        .into_generator();
    let reports = match &report {
        Some(report) => std::slice::from_ref(report),
        None => Report::value_variants(),
    };
    let reports: Vec<Schema> = reports.iter().map(|report| report.schema(&mut generator)).collect();
    json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("Reports of kdumpconv, version {SCHEMA}"),
        "description": "What the commands of kdumpconv print with --json, on standard output, or on standard error if the dump goes to standard output: one object; of info and verify one for each input, of dmesg one on each line for each record. A command that fails prints an error object where its report would go, and the error as text on standard error unless that is the same stream.",
        "oneOf": reports,
        "$defs": generator.take_definitions(true),
    })
}

impl Report {
    fn schema(self, generator: &mut SchemaGenerator) -> Schema {
        fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
            generator.subschema_for::<T>()
        }
        let of = match self {
            Report::Convert => of::<ConvertJson>,
            Report::Info => of::<InfoJson>,
            Report::Verify => of::<VerifyJson>,
            Report::Dmesg => of::<RecordJson>,
            Report::Elf => of::<ElfJson>,
            Report::Unflatten => of::<UnflattenJson>,
            Report::Error => of::<ErrorJson>,
        };
        of(generator)
    }
}

/// A report has no other fields than those that the schema lists.
fn deny_unknown_fields(schema: &mut Schema) {
    if schema.get("properties").is_some() {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
}
