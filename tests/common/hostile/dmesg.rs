//! The kernel log in memory of any bytes, with a VMCOREINFO of any bytes. Reading ends in time
//! proportional to memory, and the output is safe to print.
//!
//! The input: architecture; byte order and page size; phys_base in pages; VMCOREINFO after its
//! size; and parts of memory, each a 24-bit address, a 16-bit size and the bytes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use kdumpconv::Architecture;
use kdumpconv::Vmcoreinfo;
use kdumpconv::kernel::log::{self, Panic, PanicFinder, PrintOptions, Start};
use kdumpconv::kernel::physical::{MissingReason, PhysicalMemory, Unreadable};
use kdumpconv::kernel::translate::{Kernel, Translator};
use kdumpconv::pages::{PhysAddr, Position, VirtAddr};
use kdumpconv::{ByteOrder, StructLayout};

use super::Take;

pub const X86_64: u8 = 0;
pub const S390X: u8 = 1;
pub const I386: u8 = 2;

/// The architectures, with their little- and big-endian layouts.
const ARCHITECTURES: [Architecture; 8] = [
    Architecture::X86_64,
    Architecture::S390x,
    Architecture::I386,
    Architecture::Aarch64,
    Architecture::Riscv64,
    Architecture::Ppc64,
    Architecture::LoongArch64,
    Architecture::Arm,
];

pub const BIG_ENDIAN: u8 = 1;

const PAGE_BYTES: u64 = 4096;

/// Maximum number of pages of memory.
const MOST_PAGES: usize = 48;

/// Memory in pages; writing a byte of a page adds the whole page.
#[derive(Default)]
struct Memory {
    pages: BTreeMap<u64, Vec<u8>>,
    read: AtomicU64,
    calls: AtomicU64,
}

impl Memory {
    fn of(mut bytes: Take<'_>) -> Self {
        let mut memory = Memory::default();
        while !bytes.0.is_empty() {
            let paddr = bytes.short() | u64::from(bytes.byte()) << 16;
            let size = (bytes.short() as usize).min(bytes.0.len());
            let (part, rest) = bytes.0.split_at(size);
            bytes.0 = rest;
            for (at, byte) in (paddr..).zip(part) {
                if memory.pages.len() >= MOST_PAGES
                    && !memory.pages.contains_key(&(at / PAGE_BYTES))
                {
                    break;
                }
                let page = memory.pages.entry(at / PAGE_BYTES);
                page.or_insert_with(|| vec![0; 4096])[(at % PAGE_BYTES) as usize] = *byte;
            }
        }
        memory
    }
}

impl PhysicalMemory for Memory {
    fn read_physical(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        let mut at = paddr.get();
        let mut rest = buf;
        while !rest.is_empty() {
            let hole = Unreadable { paddr: PhysAddr::new(at), why: MissingReason::Hole };
            let page = self.pages.get(&(at / PAGE_BYTES)).ok_or(hole)?;
            let within = (at % PAGE_BYTES) as usize;
            let here = rest.len().min(4096 - within);
            let (part, behind) = rest.split_at_mut(here);
            part.copy_from_slice(&page[within..within + here]);
            rest = behind;
            at = at.wrapping_add(here as u64);
        }
        Ok(())
    }

    fn readable_bytes(&self) -> u64 {
        self.pages.len() as u64 * PAGE_BYTES
    }
}

/// Encodes an input.
pub fn encode(
    arch: u8,
    flags: u8,
    phys_base: u64,
    info: &str,
    memory: &[(u64, Vec<u8>)],
) -> Vec<u8> {
    let mut bytes = vec![arch, flags];
    bytes.extend(((phys_base / PAGE_BYTES) as u16).to_le_bytes());
    bytes.extend((info.len() as u16).to_le_bytes());
    bytes.extend(info.as_bytes());
    for (paddr, part) in memory {
        bytes.extend(&(*paddr as u32).to_le_bytes()[..3]);
        bytes.extend((part.len() as u16).to_le_bytes());
        bytes.extend(part);
    }
    bytes
}

pub fn check(bytes: &[u8]) {
    look(bytes);
}

/// Checks an input; returns what was printed, or why nothing was.
pub fn look(bytes: &[u8]) -> String {
    let mut take = Take(bytes);
    let arch = ARCHITECTURES[usize::from(take.byte()) % ARCHITECTURES.len()];
    let flags = take.byte();
    let order = if flags & BIG_ENDIAN == 0 { ByteOrder::Little } else { ByteOrder::Big };
    let layout = match arch {
        Architecture::I386 => StructLayout::Packed32,
        Architecture::Arm => StructLayout::Padded32(order),
        _ => StructLayout::Bits64(order),
    };
    let phys_base = take.short() * PAGE_BYTES;
    let size = (take.short() as usize).min(take.0.len());
    let (info, rest) = take.0.split_at(size);
    let text = String::from_utf8_lossy(info);
    let info = Vmcoreinfo::parse(info);
    let memory = Memory::of(Take(rest));
    let page_size = 4096 << (flags >> 1 & 7).min(6);
    let segments = &[];
    let kernel = Kernel {
        arch,
        layout,
        page_size,
        info: &info,
        phys_base,
        pages_before: 0,
        segments,
        memory: &memory,
    };
    check_translation(&kernel, &text);
    check_log(&kernel, &memory)
}

/// Addresses that may hold something: the hexadecimal numbers in the text.
fn check_translation(kernel: &Kernel<'_>, text: &str) {
    let translator = match Translator::new(kernel) {
        Ok(translator) => translator,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let numbers = text.split(['=', '\n']).filter_map(|text| u64::from_str_radix(text, 16).ok());
    for vaddr in numbers.take(40).chain([0, 1 << 63, u64::MAX, 0xffff_8880_0000_0fff]) {
        let vaddr = VirtAddr::new(vaddr);
        let Ok(mapping) = translator.map(vaddr) else { continue };
        assert!(mapping.bytes > 0);
        assert_eq!(translator.translate(vaddr).ok(), Some(mapping.paddr));
        // Up to the end of a page, translations do not change.
        let step = (PAGE_BYTES - 1 - vaddr.get() % PAGE_BYTES).min(mapping.bytes - 1);
        let last = translator.translate(vaddr + step).ok();
        assert_eq!(last, Some(mapping.paddr.wrapping_add(step)), "{vaddr:#x} and {step:#x} on");
    }
}

fn check_log(kernel: &Kernel<'_>, memory: &Memory) -> String {
    let before = memory.read.load(Ordering::Relaxed);
    let calls_before = memory.calls.load(Ordering::Relaxed);
    let (mut records, mut text_bytes) = (0_u64, 0);
    let mut finder = PanicFinder::default();
    let mut texts: Vec<Vec<u8>> = Vec::new();
    let ended = log::read(kernel, Start::Oldest, &mut |record| {
        records += 1;
        texts.push(record.text.to_vec());
        text_bytes += record.text.len() as u64;
        finder.look(record);
        ControlFlow::Continue(())
    });
    let all = memory.readable_bytes();
    let read = memory.read.load(Ordering::Relaxed) - before;
    let calls = memory.calls.load(Ordering::Relaxed) - calls_before;
    assert!(records <= all, "{records} records of {all} bytes");
    assert!(text_bytes <= 2 * all, "{text_bytes} bytes of text in {all} bytes");
    // A page and the way to it for each field of a record of 24 bytes.
    assert!(read <= (all << 10) + (1 << 20), "{read} bytes read of {all}");
    assert!(calls <= (all << 4) + (1 << 12), "{calls} reads of {all} bytes");
    check_since_clear(kernel, &texts, ended.as_ref().is_ok_and(|ended| ended.lost == 0));
    let Panic { message, cause } = finder.finish();
    for line in [message, cause].into_iter().flatten() {
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
    }

    let mut out = Vec::new();
    let printed =
        log::print(kernel, &mut out, PrintOptions { caller: true, ..PrintOptions::default() });
    let plain = |byte: &u8| (b' '..=b'~').contains(byte) || b"\t\n".contains(byte);
    assert!(out.iter().all(plain), "bytes that a terminal obeys");
    match (ended, printed) {
        (Ok(ended), Ok(printed)) => {
            assert_eq!(ended, printed);
            assert_eq!(ended.records, records);
            assert_eq!(ended.why.is_some(), ended.lost > 0);
            assert!(out.len() as u64 >= records);
        }
        (Err(ended), Err(printed)) => {
            assert_eq!(ended.to_string(), printed.to_string());
            return ended.to_string();
        }
        (ended, printed) => panic!("read: {ended:?}, printed: {printed:?}"),
    }
    String::from_utf8(out).unwrap()
}

/// The records since the last clear are the last ones of all.
fn check_since_clear(kernel: &Kernel<'_>, all: &[Vec<u8>], is_whole: bool) {
    let mut texts: Vec<Vec<u8>> = Vec::new();
    let ended = log::read(kernel, Start::LastClear, &mut |record| {
        texts.push(record.text.to_vec());
        ControlFlow::Continue(())
    });
    let Ok(ended) = ended else { return };
    if ended.start_unknown.is_some() && is_whole {
        assert_eq!(texts, all);
    }
    // A line that the clear cuts, or that comes after a gap, is another one.
    let skipped = all.len().saturating_sub(texts.len());
    assert!(!is_whole || all[skipped..].iter().skip(1).eq(texts.iter().skip(1)));
}
