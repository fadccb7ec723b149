//! Turns on the part of the library's sources that only this package compiles.

fn main() {
    println!("cargo::rustc-cfg=kdumpconv_fuzz");
}
