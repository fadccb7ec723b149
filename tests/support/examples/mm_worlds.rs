//! Writes a machine of each kernel release as a vmcore, with the pages that each dump level leaves
//! out, for other tools to be held against: `cargo run -p support --example mm_worlds -- FOLDER`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use support::mm::{Mm, releases};

fn main() {
    let folder = std::env::args().nth(1).expect("a folder to write to");
    for (name, kernel) in releases::ALL {
        let name = name.replace(' ', "-");
        let mm = Mm::populated(kernel);
        let core = mm.core();
        let path = Path::new(&folder).join(format!("{name}.vmcore"));
        core.builder.write_sparse(&path).expect("the vmcore");
        let mut text = String::new();
        for level in 0..32 {
            write!(text, "{level}:").expect("a string takes all");
            for pfn in mm.left_out(level) {
                write!(text, " {pfn:x}").expect("a string takes all");
            }
            text.push('\n');
        }
        fs::write(path.with_extension("levels"), text).expect("the levels");
        println!("{}", path.display());
    }
}
