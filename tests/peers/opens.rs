//! The judge of `tests/opens/run`, which cuts large dumps by hand, passes tests of its own here.

use crate::tools::python_unit_tests;

#[test]
fn the_judge_of_cut_dumps_compares_all_but_what_readers_say_of_the_file() {
    python_unit_tests("tests/opens");
}
