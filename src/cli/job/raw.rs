//! Raw memory: where the files that the arguments name belong.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use kdumpconv::{PhysAddr, PhysRange, RawMemory};
use serde_json::Value;

use crate::cli::args::raw_args::LayoutArg;
use crate::cli::args::shared_args::DumpArgs;
use crate::cli::exit::Usage;

/// Maximum bytes of a state.json; real ones have some 100 KiB.
const STATE_BYTES: u64 = 64 << 20;

/// Where the memory in the files of `args` belongs, if they are raw memory.
///
/// # Errors
/// [`Usage`] if only some of the files have addresses, or a layout besides; why the description of
/// the memory cannot be read.
pub(super) fn raw_memory(args: &DumpArgs) -> anyhow::Result<Option<RawMemory>> {
    let raw = &args.opening.raw;
    let addresses = args.addresses();
    if addresses.iter().any(Option::is_some) {
        let all: Option<Vec<PhysAddr>> = addresses.into_iter().collect();
        let all = all.ok_or(Usage("every file of raw memory needs its address: FILE@ADDR"))?;
        ensure!(
            !raw.raw && raw.layout.is_none(),
            Usage(
                "an address says where raw memory belongs: --raw and --layout would say it again"
            )
        );
        return Ok(Some(RawMemory::At(all)));
    }
    Ok(match raw.layout {
        None => raw.raw.then_some(RawMemory::Guessed),
        Some(LayoutArg::Firecracker) => Some(RawMemory::Firecracker),
        Some(LayoutArg::Pmemsave) => Some(RawMemory::At(vec![PhysAddr::new(0)])),
        Some(LayoutArg::CloudHypervisor) => {
            let memory = args.input.path();
            let no_file =
                Usage("a snapshot of cloud-hypervisor has several files: name its memory-ranges");
            let state = memory.ok_or(no_file)?.with_file_name("state.json");
            Some(RawMemory::Ranges(snapshot_ranges(&state)?))
        }
    })
}

/// The ranges of memory that the state.json of a snapshot describes: the state of its memory manager
/// is JSON in a string, or in the bytes of a string (cloud-hypervisor's `vm-migration/src/lib.rs`,
/// `MemoryManagerSnapshotData`).
fn snapshot_ranges(path: &Path) -> anyhow::Result<Vec<PhysRange>> {
    let name = || path.display().to_string();
    let mut text = Vec::new();
    let file = File::open(path).with_context(name)?;
    file.take(STATE_BYTES).read_to_end(&mut text).with_context(name)?;
    let state: Value = serde_json::from_slice(&text).with_context(name)?;
    ranges_of(&state).ok_or_else(|| {
        let why = "no ranges of memory in it, as a snapshot of cloud-hypervisor has them";
        anyhow!("{}: {why}", name())
    })
}

fn ranges_of(state: &Value) -> Option<Vec<PhysRange>> {
    let manager = find(state, "memory-manager")?;
    let data = find(manager, "snapshot_data")?;
    let data = match data.get("state")? {
        Value::String(text) => serde_json::from_str(text).ok()?,
        Value::Array(bytes) => {
            let byte = |byte: &Value| u8::try_from(byte.as_u64()?).ok();
            let bytes: Option<Vec<u8>> = bytes.iter().map(byte).collect();
            serde_json::from_slice(&bytes?).ok()?
        }
        state => state.clone(),
    };
    let table: &Value = data.get("memory_ranges")?.get("data")?;
    let range = |range: &Value| {
        let number = |key| range.get(key)?.as_u64();
        PhysRange::checked(PhysAddr::new(number("gpa")?), number("length")?)
    };
    let ranges: Vec<PhysRange> = table.as_array()?.iter().map(range).collect::<Option<_>>()?;
    Some(ranges).filter(|ranges| !ranges.is_empty())
}

/// The value of the first key with this name, at any depth.
fn find<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    let object = value.as_object()?;
    object.get(key).or_else(|| object.values().find_map(|value| find(value, key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGES: &str = r#"{"memory_ranges":{"data":[{"gpa":0,"length":3221225472},{"gpa":4294967296,"length":1073741824}]},"current_ram":1}"#;

    fn state(data: &Value) -> Value {
        let manager = serde_json::json!({"snapshots": {}, "snapshot_data": {"state": data}});
        serde_json::json!({"snapshots": {"cpu-manager": {}, "memory-manager": manager}})
    }

    #[test]
    fn the_memory_manager_of_a_snapshot_has_the_ranges() {
        let gib = |from: u64, to: u64| PhysRange::new((from << 30).into(), (to << 30).into());
        let expected = Some(vec![gib(0, 3), gib(4, 5)]);
        assert_eq!(ranges_of(&state(&RANGES.into())), expected);
        // Releases before 0.30 had the bytes of the string.
        let bytes: Value = RANGES.bytes().map(Value::from).collect();
        assert_eq!(ranges_of(&state(&bytes)), expected);
        assert_eq!(ranges_of(&serde_json::json!({"snapshots": {"vm": state(&bytes)}})), expected);
    }

    #[test]
    fn a_state_without_ranges_is_none() {
        for data in [
            "{}",
            "",
            r#"{"memory_ranges":{"data":[]}}"#,
            r#"{"memory_ranges":{"data":[{"gpa":18446744073709551615,"length":2}]}}"#,
        ] {
            assert_eq!(ranges_of(&state(&data.into())), None, "{data}");
        }
        assert_eq!(ranges_of(&serde_json::json!({"memory-manager": [1]})), None);
        assert_eq!(ranges_of(&Value::Null), None);
    }
}
