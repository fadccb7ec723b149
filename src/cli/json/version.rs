//! The version of the JSON reports.

use serde::{Serialize, Serializer};

/// The version of the JSON reports, raised when a field changes its meaning or its name, or is
/// removed. New fields do not raise it.
/// packaging/CHANGELOG.md says what changed from one to the next.
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
