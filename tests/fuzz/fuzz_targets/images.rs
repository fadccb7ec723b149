#![no_main]
#[path = "../src/bound.rs"]
mod bound;
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bound::run(bytes, kdumpconv::hostile::images::check));
