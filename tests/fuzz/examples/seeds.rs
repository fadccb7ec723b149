//! Writes the seeds of every target to the corpora in this package, or to a given folder.

use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let corpora = std::env::args_os().nth(1).map_or_else(usual, PathBuf::from);
    for (name, _) in kdumpconv::hostile::TARGETS {
        let folder = corpora.join(name);
        std::fs::create_dir_all(&folder)?;
        for (index, seed) in kdumpconv::hostile::seeds::of(name).into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{index:03}")), seed)?;
        }
    }
    Ok(())
}
