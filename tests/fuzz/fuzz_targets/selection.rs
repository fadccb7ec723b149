#![no_main]
#[path = "../src/bound.rs"]
mod bound;
libfuzzer_sys::fuzz_target!(
    init: kdumpconv::hostile::selection::prepare(),
    |bytes: &[u8]| bound::run(bytes, kdumpconv::hostile::selection::check)
);
