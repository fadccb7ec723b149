//! The version of the JSON reports, and what changed from one to the next.

use serde::{Serialize, Serializer};

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
pub(super) const SCHEMA: u32 = 2;

/// The version of the JSON reports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SchemaVersion;

impl Serialize for SchemaVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(SCHEMA)
    }
}

#[cfg(feature = "generate")]
impl schemars::JsonSchema for SchemaVersion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SchemaVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "const": SCHEMA })
    }
}
