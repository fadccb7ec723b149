//! Independent test support: what the product writes is judged by code that shares nothing with it.
//!
//! ```text
//! strategies --> vmcore (builder) --> ELF bytes --> the product --> kdump file --> kdump (strict reader)
//!                   |        ^                                                        |
//!                   |        +-- elf_reader (real vmcores)                            v
//!                   +----> model (the oracle: what each page must hold) ------> compare
//! ```
//!
//! Everything here is written from the format alone (diskdump_mod.h, crash, libkdumpfile): the field tables, the serialisation and the
//! decoders know nothing of the product's own, so a mistake there cannot repeat itself here.

pub mod bitmap;
pub mod btf;
mod c_struct;
pub mod compare;
pub mod elf;
pub mod elf_reader;
pub mod flattened;
pub mod image;
pub mod kallsyms;
pub mod kdump;
pub mod kdump_header;
pub mod kdump_pages;
pub mod kdump_writer;
pub mod lime;
pub mod machine;
pub mod mm;
pub mod model;
pub mod notes;
pub mod printk;
pub mod qemu;
pub mod sample;
pub mod segments;
pub mod split_set;
pub mod strategies;
mod strategy_loads;
pub mod stream_order;
pub mod tasks;
pub mod vmcore;
pub mod vmcore_layout;
pub mod vmware;
pub mod x86_cpu;
pub mod xen;
