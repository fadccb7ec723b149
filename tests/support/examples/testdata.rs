//! Writes `testdata/small.vmcore.zst` anew: `cargo run -p support --example testdata`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let vmcore = support::sample::small_vmcore().build();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/small.vmcore.zst");
    std::fs::write(path, zstd::bulk::compress(&vmcore, 19)?)
}
