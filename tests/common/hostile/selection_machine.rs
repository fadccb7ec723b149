//! A machine of each kernel release, built once, whose vmcore can be edited page by page.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use kdumpconv::ReadAt;
use support::btf::BtfBuilder;
use support::elf::Endian;
use support::mm::kernel::{Hvo, OrderPlace};
use support::mm::threads::Thread;
use support::mm::{Kernel, Mm, Owner, Use, releases, types};

const PAGE: u64 = 4096;

/// Space for a growing VMCOREINFO: empty lines at its end.
const ROOM: usize = 512;

/// A machine's vmcore, and the locations of things in it.
pub struct Machine {
    pub name: &'static str,
    pub mm: Mm,
    /// All pages.
    pub pfns: Vec<u64>,
    /// First pages of blocks of several pages.
    pub heads: Vec<u64>,
    /// Pages that can be proven to be kernel pages.
    pub held: BTreeSet<u64>,
    /// Physical addresses of the page table entries that lead to struct pages.
    pub entries: Vec<u64>,
    /// Virtual and physical address of each piece of `mem_section` or `mem_map`.
    pub tables: Vec<(u64, u64)>,
    /// Physical addresses of all non-zero words of the image and the page tables.
    pub words: Vec<u64>,
    /// Virtual and physical address of each page's struct page.
    structs: BTreeMap<u64, (u64, u64)>,
    pub info: String,
    info_at: u64,
    info_room: usize,
    bytes: u64,
    pieces: BTreeMap<u64, Vec<u8>>,
    /// Physical addresses, and the file offset of the first.
    loads: Vec<(Range<u64>, u64)>,
}

/// Machines whose kernels have types in their images.
const TYPED: [(&str, Kernel); 3] = [
    ("6.1, types", releases::V6_1),
    ("6.16 s390x, types", releases::V6_16_S390X),
    ("7.1, types", releases::V7_1),
];

/// Number of machines: one for each release, those with types, two with a huge page of 256 MiB, and one
/// with threads of processes.
pub const MACHINES: usize = releases::ALL.len() + TYPED.len() + 3;

/// The n-th machine.
pub fn machine(nth: usize) -> &'static Machine {
    static MACHINES: [OnceLock<Machine>; self::MACHINES] =
        [const { OnceLock::new() }; self::MACHINES];
    let nth = nth % MACHINES.len();
    MACHINES[nth].get_or_init(|| Machine::new(nth))
}

/// A machine with a huge page that is scanned in several parts.
fn gigantic(kernel: Kernel) -> Mm {
    let mut mm = Mm::large(kernel);
    mm.place(Use::Hugetlb { order: 16, owner: Owner::Process });
    let anon = Use::Anon { order: 0, lru: true, swapcache: false, ksm: false, waiters: false };
    for _ in 0..300 {
        mm.place(anon);
        mm.place(Use::Buddy { order: 1 });
        mm.place(Use::File { order: 2, private: false, waiters: false });
    }
    mm.fill(Use::Kernel);
    mm
}

/// A machine with threads, whose stacks are in pages of several classes, and its types.
fn threads(kernel: Kernel) -> (Mm, BtfBuilder, u64) {
    let mut mm = Mm::new(kernel);
    let anon = |order| Use::Anon { order, lru: true, swapcache: false, ksm: false, waiters: false };
    let top = 0x7ffd_0000_0000;
    let threads: Vec<Thread> = (0..6)
        .map(|nth| {
            let huge = mm.place(anon(3));
            let file = mm.place(Use::File { order: 0, private: false, waiters: false });
            let free = mm.place(Use::Buddy { order: 1 });
            let alone: Vec<u64> = (0..nth * 30).map(|_| mm.place(anon(0))).collect();
            let pages = [vec![huge + 2, file, free, huge], alone].concat();
            let pages = (0..).zip(pages).map(|(nth, pfn)| (top + nth * PAGE, pfn)).collect();
            Thread { padding: nth % 2 * 16, ..Thread::new(top + 8 * nth, pages) }
        })
        .collect();
    let mut btf = types::types(&kernel, &mm.core().info);
    let init_task = mm.put_threads(&mut btf, &threads);
    mm.fill(Use::Kernel);
    (mm, btf, init_task)
}

impl Machine {
    fn new(nth: usize) -> Machine {
        if nth == MACHINES - 1 {
            let (mut mm, btf, init_task) = threads(releases::V6_12);
            let lines = mm.put_types_and(&btf, &[('D', "init_task", init_task)]);
            return Machine::of("6.12, threads", mm, &lines);
        }
        let typed = nth.checked_sub(releases::ALL.len() + 2);
        let typed = typed.map(|nth| TYPED[nth]);
        let (name, mut mm) = match (releases::ALL.get(nth), typed) {
            (Some((name, kernel)), _) => (*name, Mm::populated(*kernel)),
            (None, Some((name, kernel))) => (name, Mm::populated(kernel)),
            (None, None) if nth % 2 == 0 => {
                ("6.6, large", gigantic(Kernel { hvo: Hvo::None, ..releases::V6_6 }))
            }
            (None, None) => ("7.1, large", gigantic(releases::V7_1)),
        };
        let lines = typed.map(|_| mm.put_types(&types::types(&mm.kernel, &mm.core().info)));
        Machine::of(name, mm, &lines.unwrap_or_default())
    }

    /// The machine with this memory, and these lines besides those that VMCOREINFO usually has.
    fn of(name: &'static str, mm: Mm, lines: &str) -> Machine {
        let kernel = mm.kernel;
        let mut core = mm.core();
        core.info += lines;
        let (page, size) = (kernel.arch.page_bytes(), kernel.page.size as u64);
        core.builder.segments.retain(|segment| segment.as_load().is_some());
        let info = core.info.clone() + &"\n".repeat(ROOM);
        let builder = core.builder.clone().vmcoreinfo(&info);
        let (bytes, pieces) = builder.sparse();
        let pieces: BTreeMap<u64, Vec<u8>> = pieces.into_iter().collect();
        let start = |piece: &[u8]| piece.windows(10).position(|part| part == b"OSRELEASE=");
        let info_at = pieces.iter().find_map(|(at, piece)| Some(at + start(piece)? as u64));
        let layout = builder.layout();
        let loads = (0..).zip(builder.loads());
        let loads = loads.map(|(nth, load)| {
            let place = layout.data(layout.load(nth));
            (load.paddr..load.paddr + (place.end - place.start) as u64, place.start as u64)
        });

        let stretches = mm.stretches();
        let place = |pfn: u64| {
            let is_here =
                |stretch: &&(u64, u64, u64, u64)| (stretch.0..stretch.0 + stretch.1).contains(&pfn);
            let (first, _, vaddr, paddr) = stretches.iter().find(is_here).unwrap();
            (vaddr + (pfn - first) * size, paddr + (pfn - first) * size)
        };
        let pfns = mm.all_pages();
        let structs: BTreeMap<u64, (u64, u64)> =
            pfns.iter().map(|&pfn| (pfn, place(pfn))).collect();
        let pages = |bytes: &Range<u64>| bytes.start / page..bytes.end.div_ceil(page);
        let mut held: BTreeSet<u64> = core.held.iter().flat_map(pages).collect();
        for (pfn, what) in &mm.uses {
            // Memory freed by sharing holds no struct pages.
            if let Use::Hugetlb { order, .. } = what {
                if kernel.saves(*order) {
                    let (_, paddr) = structs[pfn];
                    pages(&(paddr..paddr + (size << order))).for_each(|pfn| {
                        held.remove(&pfn);
                    });
                }
            }
        }
        let own = &mm.kernels_own()[0];
        let own = own.start * page..own.end * page;
        let mut words = Vec::new();
        for chunk in core.memory.chunks().filter(|chunk| own.contains(chunk)) {
            let mut bytes = [0; PAGE as usize];
            core.memory.read(chunk, &mut bytes).unwrap();
            let set = (chunk..).step_by(8).zip(bytes.chunks(8));
            words.extend(set.filter(|(_, word)| word.iter().any(|b| *b != 0)).map(|(at, _)| at));
        }
        Machine {
            name,
            heads: mm
                .uses
                .iter()
                .filter(|(_, what)| what.order(&kernel) > 0)
                .map(|x| *x.0)
                .collect(),
            pfns,
            held,
            entries: core.struct_entries,
            tables: core.tables,
            words,
            structs,
            info: core.info,
            info_at: info_at.unwrap(),
            info_room: info.len(),
            bytes,
            pieces,
            loads: loads.collect(),
            mm,
        }
    }

    /// Virtual and physical address of a page's struct page.
    pub fn struct_place(&self, pfn: u64) -> (u64, u64) {
        self.structs[&pfn]
    }

    /// Offset and size of the fields of struct page that matter.
    pub fn fields(&self) -> Vec<(usize, usize)> {
        let (page, long) = (&self.mm.kernel.page, self.mm.kernel.arch.long);
        let longs = [page.flags, page.mapping, page.lru, page.lru + long, page.head, page.private];
        let mut fields: Vec<(usize, usize)> = longs.iter().map(|at| (*at, long)).collect();
        fields.extend([(page.mapcount, 4), (page.refcount, 4)]);
        match self.mm.kernel.order {
            OrderPlace::Page { dtor, order, bytes } => {
                fields.extend([(dtor, bytes), (order, bytes)]);
            }
            OrderPlace::Folio { dtor, order } => {
                fields.extend([(dtor - page.size, 1), (order - page.size, 1)]);
            }
            OrderPlace::Flags => fields.push((page.flags, 1)),
        }
        fields
    }

    fn offset(&self, paddr: u64) -> Option<u64> {
        let (range, at) = self.loads.iter().find(|(range, _)| range.contains(&paddr))?;
        Some(at + paddr - range.start)
    }

    fn read(&self, buf: &mut [u8], offset: u64) {
        buf.fill(0);
        let end = offset + buf.len() as u64;
        let first = self.pieces.range(..=offset).next_back().map_or(0, |(&at, _)| at);
        for (&at, bytes) in self.pieces.range(first..end) {
            let (start, stop) = (at.max(offset), (at + bytes.len() as u64).min(end));
            if start < stop {
                let from = &bytes[(start - at) as usize..(stop - at) as usize];
                buf[(start - offset) as usize..(stop - offset) as usize].copy_from_slice(from);
            }
        }
    }
}

/// The vmcore of a machine with some bytes replaced.
#[derive(Clone)]
pub struct Vmcore {
    pub machine: &'static Machine,
    /// Replaced blocks of 4 KiB of the file.
    pages: BTreeMap<u64, Vec<u8>>,
    read: Arc<AtomicU64>,
}

impl Vmcore {
    pub fn new(machine: &'static Machine) -> Vmcore {
        Vmcore { machine, pages: BTreeMap::new(), read: Arc::default() }
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The bytes of the file that hold memory.
    pub fn memory_bytes(&self) -> u64 {
        self.machine.loads.iter().map(|(range, _)| range.end - range.start).sum()
    }

    /// Overwrites memory, as far as it is present.
    pub fn write(&mut self, paddr: u64, bytes: &[u8]) {
        for (at, byte) in (paddr..).zip(bytes) {
            if let Some(offset) = self.machine.offset(at) {
                self.put(offset, *byte);
            }
        }
    }

    fn put(&mut self, offset: u64, byte: u8) {
        let page = self.pages.entry(offset / PAGE).or_insert_with(|| {
            let mut bytes = vec![0; PAGE as usize];
            self.machine.read(&mut bytes, offset / PAGE * PAGE);
            bytes
        });
        page[(offset % PAGE) as usize] = byte;
    }

    /// The bytes of present memory.
    pub fn bytes(&self, paddr: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        if let Some(offset) = self.machine.offset(paddr) {
            self.read_at(&mut bytes, offset).unwrap();
        }
        bytes
    }

    /// An integer in memory.
    pub fn int(&self, paddr: u64, count: usize) -> u64 {
        let bytes = self.bytes(paddr, count);
        let number = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        match self.machine.mm.kernel.arch.endian {
            Endian::Little => bytes.iter().rev().fold(0, number),
            Endian::Big => bytes.iter().fold(0, number),
        }
    }

    /// Replaces VMCOREINFO, as far as it fits.
    pub fn set_info(&mut self, info: &str) {
        let room = self.machine.info_room;
        let filled = info.bytes().chain(std::iter::repeat(b'\n')).take(room);
        for (at, byte) in (self.machine.info_at..).zip(filled) {
            self.put(at, byte);
        }
    }
}

impl ReadAt for Vmcore {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(self.machine.bytes.saturating_sub(offset)).unwrap();
        let len = buf.len().min(rest);
        let buf = &mut buf[..len];
        self.machine.read(buf, offset);
        let end = offset + len as u64;
        for (page, bytes) in self.pages.range(offset / PAGE..end.div_ceil(PAGE)) {
            let at = page * PAGE;
            let (start, stop) = (at.max(offset), (at + PAGE).min(end));
            let from = &bytes[(start - at) as usize..(stop - at) as usize];
            buf[(start - offset) as usize..(stop - offset) as usize].copy_from_slice(from);
        }
        self.read.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }

    fn size(&self) -> Option<u64> {
        Some(self.machine.bytes)
    }
}
