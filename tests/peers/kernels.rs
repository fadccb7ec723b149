//! The judge of `tests/kernels/run`, which boots kernels by hand, passes tests of its own here.

use std::path::Path;

use crate::skip::need;
use crate::tools::{python, run};

#[test]
fn the_judge_of_booted_kernels_is_right_about_struct_pages_dumps_and_consoles() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels");
    let mut command = need!(python("unittest"));
    command.args(["-B", "-W", "error", "-m", "unittest", "discover", "-s"]).arg(folder);
    let ran = run(&mut command);
    ran.printed("\nOK\n");
    ran.succeeded();
}
