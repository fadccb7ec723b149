#![no_main]
libfuzzer_sys::fuzz_target!(
    init: fuzz::hostile::selection::prepare(),
    |bytes: &[u8]| fuzz::run(bytes, fuzz::hostile::selection::check)
);
