//! A kernel's symbol table in its memory, written as scripts/kallsyms.c does.

use crate::elf::Endian;
use crate::machine::Memory;

/// How addresses are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses {
    /// What lies above the base.
    FromBase(u64),
    /// Small numbers as they are, others as what lies above the base, negative and less one.
    NegativeFromBase(u64),
    /// What lies above or below the entry itself.
    FromEntry,
}

/// Where the tables are in memory; the kernel has memory at an offset.
pub const NUM_SYMS: u64 = 0x1_0000;
pub const RELATIVE_BASE: u64 = 0x1_0008;
pub const OFFSETS: u64 = 0x1_1000;
pub const TOKEN_INDEX: u64 = 0x1_4000;
pub const TOKEN_TABLE: u64 = 0x1_5000;
pub const NAMES: u64 = 0x1_7ff0;

/// A text that is one token.
const LONG_TOKEN: (u8, &str) = (1, "_st");

/// Writes symbols, each with its type, name and address; tells the lines of VMCOREINFO about them.
pub fn write(
    memory: &mut Memory,
    endian: Endian,
    kernel_at: u64,
    addresses: Addresses,
    symbols: &[(char, &str, u64)],
) -> String {
    memory.write_int(NUM_SYMS, endian, 4, symbols.len() as u64);
    let mut names = Vec::new();
    for (nth, (kind, name, address)) in symbols.iter().enumerate() {
        let at = OFFSETS + 4 * nth as u64;
        let offset = match addresses {
            Addresses::FromBase(base) => address - base,
            Addresses::NegativeFromBase(base) if *address >= base => {
                (base as i64 - 1 - *address as i64) as u64
            }
            Addresses::NegativeFromBase(_) => *address,
            Addresses::FromEntry => address.wrapping_sub(kernel_at + at),
        };
        memory.write_int(at, endian, 4, offset & 0xffff_ffff);
        names.extend(packed(&format!("{kind}{name}")));
    }
    memory.write(NAMES, &names);
    // Each token but one is the character of its number.
    let mut table = Vec::new();
    for token in 0..=255u8 {
        memory.write_int(TOKEN_INDEX + 2 * u64::from(token), endian, 2, table.len() as u64);
        let text = if token == LONG_TOKEN.0 { LONG_TOKEN.1.as_bytes() } else { &[token] };
        table.extend(text.iter().filter(|&&byte| byte != 0));
        table.push(0);
    }
    memory.write(TOKEN_TABLE, &table);
    let mut info = String::new();
    for (name, at) in [
        ("names", NAMES),
        ("num_syms", NUM_SYMS),
        ("token_table", TOKEN_TABLE),
        ("token_index", TOKEN_INDEX),
        ("offsets", OFFSETS),
        ("relative_base", RELATIVE_BASE),
    ] {
        match (name, addresses) {
            ("relative_base", Addresses::FromEntry) => continue,
            ("relative_base", Addresses::FromBase(base) | Addresses::NegativeFromBase(base)) => {
                memory.write_int(at, endian, 8, base);
            }
            _ => {}
        }
        info.push_str(&format!("SYMBOL(kallsyms_{name})={:x}\n", kernel_at + at));
    }
    info
}

/// A length of one byte, or of two if there are 128 tokens and more, and the tokens.
fn packed(text: &str) -> Vec<u8> {
    let tokens = text.replace(LONG_TOKEN.1, &char::from(LONG_TOKEN.0).to_string()).into_bytes();
    let mut bytes = match tokens.len() {
        length @ 0..=127 => vec![length as u8],
        length => vec![(length & 0x7f) as u8 | 0x80, (length >> 7) as u8],
    };
    bytes.extend(tokens);
    bytes
}
