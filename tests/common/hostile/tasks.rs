//! The memory of a kernel with tasks, with edits of any kind. The search for tasks ends, and what it
//! finds are pages in order.
//!
//! The input: byte order; then the edits, as in [`Edits::one`].

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use kdumpconv::kernel::kernel_types::{self, KernelTypes};
use kdumpconv::kernel::physical::{MissingReason, PhysicalMemory, Unreadable};
use kdumpconv::kernel::symbols::Symbols;
use kdumpconv::kernel::tasks::{self as kernel_tasks, task_pages};
use kdumpconv::kernel::translate::{Kernel, Translator};
use kdumpconv::pages::ranges::contains;
use kdumpconv::pages::{PhysAddr, PhysRange};
use kdumpconv::{Architecture, ByteOrder, StructLayout, Vmcoreinfo};
use support::elf::Endian;
use support::machine::Memory;
use support::tasks::{BTF, INIT_TASK, PAGE, machine, types};

use super::Take;

pub const BIG_ENDIAN: u8 = 1;

/// Maximum number of edits.
const MOST_EDITS: usize = 64;

/// ppc64's linear map, which needs no tables.
const LINEAR: u64 = 0xc000_0000_0000_0000;

/// A sound kernel.
struct Sound {
    memory: Memory,
    endian: Endian,
    info: String,
    btf_bytes: u64,
    /// Where words are that are not 0, outside the types.
    words: Vec<u64>,
    pages: Vec<u64>,
}

impl Sound {
    fn new(endian: Endian) -> Self {
        let mut kernel = machine(endian, LINEAR);
        let places = kernel.places.values().flat_map(|place| place.clone().step_by(8));
        let is_word = |at: &u64| {
            let mut word = [0; 8];
            kernel.memory.read(*at, &mut word).is_ok() && word != [0; 8]
        };
        let words = places.filter(is_word).collect();
        let types = types(endian, &[]);
        let info = kernel.describe(&types);
        Sound {
            endian,
            info: format!("{info}SYMBOL(swapper_pg_dir)=c000000000100000\nNUMBER(RADIX_MMU)=1\n"),
            btf_bytes: types.build().len() as u64,
            words,
            pages: kernel.memory.chunks().collect(),
            memory: kernel.memory,
        }
    }

    fn of(endian: Endian) -> &'static Self {
        static KERNELS: [OnceLock<Sound>; 2] = [OnceLock::new(), OnceLock::new()];
        KERNELS[usize::from(endian == Endian::Big)].get_or_init(|| Sound::new(endian))
    }
}

/// Memory that counts its reads.
struct Counted {
    memory: Memory,
    calls: AtomicU64,
}

impl PhysicalMemory for Counted {
    fn read_physical(&self, paddr: PhysAddr, buf: &mut [u8]) -> Result<(), Unreadable> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let hole = |at| Unreadable { paddr: PhysAddr::new(at), why: MissingReason::Hole };
        self.memory.read(paddr.get(), buf).map_err(hole)
    }

    fn readable_bytes(&self) -> u64 {
        self.memory.bytes()
    }
}

struct Edits<'a> {
    sound: &'static Sound,
    memory: Memory,
    take: Take<'a>,
}

impl Edits<'_> {
    fn pick(&mut self, list: &[u64]) -> u64 {
        list[self.take.short() as usize % list.len()]
    }

    /// An address or any other number.
    fn number(&mut self) -> u64 {
        let sound = self.sound;
        match self.take.byte() % 4 {
            0 => self.take.wild(),
            1 => LINEAR + self.pick(&sound.words),
            2 => LINEAR + self.pick(&sound.pages) + u64::from(self.take.byte()),
            _ => LINEAR + self.pick(&sound.words) / PAGE * PAGE + 2,
        }
    }

    /// One edit: of a pointer, of a byte of the types, of any words, or a page goes.
    fn one(&mut self) {
        let sound = self.sound;
        match self.take.byte() % 8 {
            0..=3 => {
                let (at, number) = (self.pick(&sound.words), self.number());
                self.memory.write_int(at, sound.endian, 8, number);
            }
            4 | 5 => {
                let at = BTF + self.take.short() % sound.btf_bytes;
                self.memory.write(at, &[self.take.byte()]);
            }
            6 => {
                let at = self.pick(&sound.words);
                let count = u64::from(self.take.byte());
                let (number, step) = (self.number(), u64::from(self.take.byte()));
                for nth in 0..count {
                    let number = number.wrapping_add(nth * step);
                    self.memory.write_int(at / 8 * 8 + nth * 8, sound.endian, 8, number);
                }
            }
            _ => {
                let page = self.pick(&sound.pages);
                self.memory.forget(page);
            }
        }
    }
}

pub fn check(bytes: &[u8]) {
    let mut take = Take(bytes);
    let is_big = take.byte() & BIG_ENDIAN != 0;
    let sound = Sound::of(if is_big { Endian::Big } else { Endian::Little });
    let mut edits = Edits { sound, memory: sound.memory.clone(), take };
    for _ in 0..MOST_EDITS {
        if edits.take.0.is_empty() {
            break;
        }
        edits.one();
    }
    let memory = Counted { memory: edits.memory, calls: AtomicU64::new(0) };
    let found = search(sound, &memory, is_big);
    let (calls, all) = (memory.calls.load(Ordering::Relaxed), memory.memory.bytes());
    assert!(calls <= all, "{calls} reads of {all} bytes");
    let Some(pages) = found else { return };
    assert!(pages.is_sorted_by(|a, b| a.end < b.start), "{pages:x?}");
    let is_whole = |range: &PhysRange| {
        !range.is_empty() && range.start.get() % PAGE == 0 && range.end.get() % PAGE == 0
    };
    assert!(pages.iter().all(is_whole), "{pages:x?}");
    assert!(contains(&pages, PhysAddr::new(INIT_TASK)), "{pages:x?}");
    assert_eq!(search(sound, &memory, is_big), Some(pages), "each time the same");
}

fn search(sound: &Sound, memory: &Counted, is_big: bool) -> Option<Vec<PhysRange>> {
    let info = Vmcoreinfo::parse(sound.info.as_bytes());
    let order = if is_big { ByteOrder::Big } else { ByteOrder::Little };
    let kernel = Kernel {
        arch: Architecture::Ppc64,
        layout: StructLayout::Bits64(order),
        page_size: PAGE,
        info: &info,
        phys_base: 0,
        pages_before: 0,
        segments: &[],
        memory,
    };
    let translator = Translator::new(&kernel).unwrap();
    let wanted = [kernel_types::WANTED.as_slice(), &kernel_tasks::WANTED].concat();
    let symbols = Symbols::find(&kernel, &translator, &wanted);
    let types = KernelTypes::find(&kernel, &translator, &symbols);
    match types.and_then(|types| task_pages(&kernel, &translator, &symbols, &types)) {
        Ok(pages) => Some(pages),
        Err(why) => {
            assert!(!why.to_string().is_empty());
            None
        }
    }
}
