//! Checks JSON reports: each is as the schema says that the command prints, and no number in it is
//! beyond what every JSON parser reads exactly.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::python::python;
use crate::skip::or_skip;

/// Each report must match the schema of its own command, and no other's.
const JUDGE: &str = r##"
import json, sys
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
wrong = 0
for line in open(sys.argv[2]):
    name, report = json.loads(line)
    of_name = dict(schema, oneOf=[{"$ref": "#/$defs/" + name}])
    for one in of_name, schema:
        for error in Draft202012Validator(one).iter_errors(report):
            for cause in error.context or [error]:
                print(name, cause.json_path, cause.message[:300])
            wrong += 1
sys.exit(wrong != 0)
"##;

/// 2^53 - 1.
const MAX_EXACT: f64 = 9_007_199_254_740_991.0;

/// Reports, each with the name of its schema.
#[derive(Default)]
pub(crate) struct Reports(Vec<(&'static str, Value)>);

impl Reports {
    /// Adds a report, and returns it.
    pub(crate) fn add(&mut self, name: &'static str, text: impl AsRef<[u8]>) -> &Value {
        let text = text.as_ref();
        let report = serde_json::from_slice(text);
        let report =
            report.unwrap_or_else(|why| panic!("{name}: {why}: {}", String::from_utf8_lossy(text)));
        assert_exact(name, &report);
        self.0.push((name, report));
        &self.0[self.0.len() - 1].1
    }

    /// Checks all of them against the schema, unless that is skipped.
    pub(crate) fn check(&self) {
        assert_eq!(self.verdict().unwrap_or(Ok(())), Ok(()));
    }

    /// What is wrong with them by the schema; `None` if there is no `jsonschema`, which is said.
    pub(crate) fn verdict(&self) -> Option<Result<(), String>> {
        let mut python = or_skip(python("jsonschema"))?;
        let folder = tempfile::tempdir().unwrap();
        let (schema, reports) = (folder.path().join("schema"), folder.path().join("reports"));
        std::fs::write(&schema, schema_text()).unwrap();
        let lines: Vec<String> = self.0.iter().map(json_line).collect();
        std::fs::write(&reports, lines.concat()).unwrap();
        let judged = python.args(["-c", JUDGE]).arg(schema).arg(reports).output().unwrap();
        let said = [judged.stdout, judged.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        Some(if judged.status.success() { Ok(()) } else { Err(said) })
    }
}

/// The schema that the command prints.
pub(crate) fn schema_text() -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kdumpconv"));
    let output = command.arg("schema").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json_line(report: &(&str, Value)) -> String {
    format!("{}\n", serde_json::to_string(report).unwrap())
}

fn assert_exact(place: &str, value: &Value) {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap();
            assert!(number.abs() <= MAX_EXACT, "{place}: {number}");
        }
        Value::Array(list) => {
            list.iter().for_each(|value| assert_exact(&format!("{place}[]"), value));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| assert_exact(&format!("{place}.{name}"), value));
        }
        _ => {}
    }
}
