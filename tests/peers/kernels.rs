//! The judge of `tests/kernels/run`, which boots kernels by hand, passes tests of its own here.

use crate::tools::python_unit_tests;

#[test]
fn the_judge_of_booted_kernels_is_right_about_struct_pages_dumps_and_consoles() {
    python_unit_tests("tests/kernels");
}
