//! The memory of a sound machine with edits of any kind. Whatever is then excluded, the counts add
//! up, the result does not depend on threads, and no proven kernel page is excluded.
//!
//! The input: machine, and whether user stacks are kept ([`KEEP`]); dump level, named classes, and whether only struct pages are edited; the
//! edits, as in [`Edits::one`].

use std::time::{Duration, Instant};

use kdumpconv::DumpLevel;
use kdumpconv::pages::Pfn;
use kdumpconv::{Class, ClassSet, KeepSet, SelectRequest, Selection, select};
use kdumpconv::{Dump, OpenOptions};
use support::machine::int;
use support::mm::struct_page::ZFS_MARK;

use super::Take;
use super::selection_machine::{MACHINES, Machine, Vmcore, machine};

/// Added to the number of the machine: user stacks are kept.
const KEEP: u8 = 128;

/// Maximum number of edits.
const MOST_EDITS: usize = 64;

/// Lines of VMCOREINFO that say how to read a struct page, but not where it is.
const OF_STRUCT_PAGE: [&str; 7] = [
    "NUMBER(PG_",
    "NUMBER(PAGE_BUDDY",
    "NUMBER(PAGE_OFFLINE",
    "NUMBER(PAGE_ZSMALLOC",
    "NUMBER(HUGETLB_PAGE_DTOR",
    "OFFSET(page.",
    "OFFSET(folio.",
];

/// A vmcore that is being edited.
struct Edits<'a> {
    core: Vmcore,
    lines: Vec<String>,
    take: Take<'a>,
    /// Number of kinds of edit; the first 7 edit only struct pages.
    kinds: u8,
    /// Whether the data that leads to kernel pages is unchanged.
    leads: bool,
    /// Whether the data that says how to read a struct page is unchanged too.
    format: bool,
}

fn unsigned(number: i64) -> u64 {
    u64::from_le_bytes(number.to_le_bytes())
}

impl Edits<'_> {
    fn machine(&self) -> &'static Machine {
        self.core.machine
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        let nth = self.take.short() as usize;
        list.get(nth.checked_rem(list.len())?).copied()
    }

    /// A page: a kernel page, a head, or any.
    fn page(&mut self) -> u64 {
        let (machine, choice) = (self.machine(), self.take.short() as usize);
        let nth = choice & 0x3fff;
        match choice >> 14 {
            0 => *machine.held.iter().nth(nth % machine.held.len()).unwrap(),
            1 => machine.heads[nth % machine.heads.len()],
            _ => machine.pfns[nth % machine.pfns.len()],
        }
    }

    /// A number to replace `old`.
    fn number(&mut self, old: u64) -> u64 {
        let machine = self.machine();
        let kernel = &machine.mm.kernel;
        match self.take.byte() % 11 {
            0 => (0..8).fold(0, |sum, _| sum << 8 | u64::from(self.take.byte())),
            1 => self.take.short(),
            2 => {
                let bit = self.take.byte();
                (1u64 << (bit & 63)).wrapping_sub(u64::from(bit >> 6))
            }
            3 => old ^ (1 << (self.take.byte() & 63)),
            4 => old.wrapping_add(self.take.byte().into()).wrapping_sub(128),
            5 => {
                let page = self.page();
                machine.struct_place(page).0 | u64::from(self.take.byte() & 3)
            }
            6 => self.pick(&machine.tables).unwrap().0 | u64::from(self.take.byte() & 3),
            7 => {
                let to = self.pick(&machine.words).unwrap();
                let low = self.take.byte();
                (to / 4096 * 4096) | if low == 0 { 0x63 } else { u64::from(low) }
            }
            8 => {
                let types = kernel.types;
                let types = [
                    Some(types.buddy),
                    types.offline,
                    types.hugetlb,
                    types.slab,
                    types.unaccepted,
                    types.zsmalloc,
                ];
                unsigned(self.pick(&types).flatten().unwrap_or(-1))
            }
            9 => ZFS_MARK,
            _ => kernel.arch.object(3) | u64::from(self.take.byte() & 3),
        }
    }

    /// Overwrites memory.
    fn write(&mut self, paddr: u64, bytes: &[u8]) {
        let page = self.machine().mm.kernel.arch.page_bytes();
        let own = &self.machine().mm.kernels_own()[0];
        let end = paddr + bytes.len() as u64;
        self.leads &= paddr >= page && (end <= own.start * page || own.end * page <= paddr);
        self.core.write(paddr, bytes);
    }

    /// Overwrites a word or less.
    fn set(&mut self, paddr: u64, bytes: usize) {
        let number = self.number(self.core.int(paddr, bytes));
        let endian = self.machine().mm.kernel.arch.endian;
        self.write(paddr, &int(endian, bytes, number));
    }

    /// One edit.
    fn one(&mut self) {
        let machine = self.machine();
        let size = machine.mm.kernel.page.size;
        match self.take.byte() & self.kinds {
            // Edits a field of a struct page.
            0..=4 => {
                let page = self.page();
                let fields = machine.fields();
                let (offset, bytes) = fields[usize::from(self.take.byte()) % fields.len()];
                self.set(machine.struct_place(page).1 + offset as u64, bytes);
            }
            // Overwrites bytes of a struct page.
            5 => {
                let page = self.page();
                let offset = usize::from(self.take.byte()) % size;
                let count = 1 + usize::from(self.take.byte()) % (size - offset);
                let bytes: Vec<u8> = (0..count).map(|_| self.take.byte()).collect();
                self.write(machine.struct_place(page).1 + offset as u64, &bytes);
            }
            // Copies a struct page to several others.
            6 | 7 => {
                let (from, to) = (self.page(), self.page());
                let bytes = self.core.bytes(machine.struct_place(from).1, size);
                let step = u64::from(self.take.byte()) + 1;
                for page in (to..).step_by(step as usize).take(usize::from(self.take.byte())) {
                    if machine.pfns.binary_search(&page).is_ok() {
                        self.write(machine.struct_place(page).1, &bytes);
                    }
                }
            }
            // Edits the kernel's data and page tables.
            8 | 9 => {
                let at = self.pick(&machine.words).unwrap();
                self.set(at, machine.mm.kernel.arch.long);
            }
            10 => {
                if let Some(at) = self.pick(&machine.entries) {
                    self.set(at, 8);
                }
            }
            11 => {
                let (_, at) = self.pick(&machine.tables).unwrap();
                let nth = u64::from(self.take.byte());
                let long = machine.mm.kernel.arch.long;
                self.set(at + nth * long as u64, long);
            }
            // Edits any memory.
            12 => {
                let paddr = self.take.short() << 12 | self.take.short() & 0xfff;
                let count = usize::from(self.take.byte());
                let bytes: Vec<u8> = (0..count).map(|_| self.take.byte()).collect();
                self.write(paddr, &bytes);
            }
            what => self.edit_line(what),
        }
    }

    fn edit_line(&mut self, what: u8) {
        let nth = usize::from(self.take.byte()) % self.lines.len();
        let line = self.lines[nth].clone();
        let Some((key, value)) = line.split_once('=') else { return };
        if OF_STRUCT_PAGE.iter().any(|start| key.starts_with(start)) {
            self.format = false;
        } else {
            self.leads = false;
        }
        let is_hex = key.starts_with("SYMBOL");
        self.lines[nth] = if what < 15 {
            let old = if is_hex {
                u64::from_str_radix(value, 16).ok()
            } else {
                value.parse().ok().map(unsigned)
            };
            let number = self.number(old.unwrap_or(0));
            match what {
                _ if is_hex => format!("{key}={number:x}"),
                13 => format!("{key}={number}"),
                _ => format!("{key}={}", i64::from_le_bytes(number.to_le_bytes())),
            }
        } else {
            let other = usize::from(self.take.byte());
            match self.lines.get(other).and_then(|line| line.split_once('=')) {
                Some((_, value)) => format!("{key}={value}"),
                None => String::new(),
            }
        };
    }
}

/// Builds all machines, so that no single input is charged for that time and memory.
pub fn prepare() {
    for nth in 0..MACHINES {
        machine(nth);
    }
}

/// Checks an input.
pub fn check(bytes: &[u8]) {
    look(bytes);
}

/// Checks an input; returns the number of excluded pages.
pub fn look(bytes: &[u8]) -> u64 {
    let mut take = Take(bytes);
    let byte = take.byte();
    let machine = machine(usize::from(byte & !KEEP));
    let keep = KeepSet::default().user_stacks(byte & KEEP != 0);
    let choice = take.byte();
    let level = DumpLevel::new(u32::from(choice & 31)).unwrap();
    let named = [(64, Class::Zfs), (128, Class::Zsmalloc)];
    let named = named.into_iter().filter(|(bit, _)| choice & bit != 0).map(|(_, class)| class);
    let classes: ClassSet = named.collect();
    let kinds = if choice & 32 == 0 { 15 } else { 7 };
    let lines = machine.info.lines().map(str::to_owned).collect();
    let mut edits =
        Edits { core: Vmcore::new(machine), lines, take, kinds, leads: true, format: true };
    for _ in 0..MOST_EDITS {
        if edits.take.0.is_empty() {
            break;
        }
        edits.one();
    }
    if !(edits.leads && edits.format) {
        edits.core.set_info(&(edits.lines.join("\n") + "\n"));
    }
    let core = edits.core.clone();
    let dump = match Dump::open(Box::new(core.clone()), &OpenOptions::default()) {
        Ok(dump) => dump,
        Err(error) => {
            // The headers are unchanged.
            assert!(!edits.leads, "{}: {error}", machine.name);
            return 0;
        }
    };
    let before = core.bytes_read();
    let start = Instant::now();
    let at = |level, threads| {
        let request = SelectRequest::new(level).classes(classes).threads(threads).keep(keep);
        select(&dump, &request).expect("no codec is needed")
    };
    let one = at(level, 1);
    let time = start.elapsed();
    let read = core.bytes_read() - before;
    assert!(read <= 64 * core.memory_bytes(), "{}: {read} bytes are read", machine.name);
    assert!(time < Duration::from_secs(20), "{}: {time:?}", machine.name);
    check_sums(&dump, &one, level, classes);
    check_own(&edits, &one);
    let two = at(level, 2);
    assert!(one.excluded.runs().eq(two.excluded.runs()), "{}: one thread, two", machine.name);
    assert_eq!(one.census, two.census);
    assert_eq!((one.level, &one.warnings), (two.level, &two.warnings));
    check_levels(&one, &at(DumpLevel::new(DumpLevel::MAX).unwrap(), 1));
    if byte & KEEP == 0 {
        check_vmemmap(&edits, &dump, &one);
    } else {
        let without = SelectRequest::new(level).classes(classes);
        check_kept(&one, &select(&dump, &without).expect("no codec is needed"));
    }
    one.excluded.count()
}

/// The classes are the same at each level, but for struct pages of pages that are not kept, and the
/// highest level excludes all that others do.
fn check_levels(found: &Selection, at_most: &Selection) {
    for (ours, most) in found.census.classes.iter().zip(&at_most.census.classes) {
        if ours.class == Class::Vmemmap {
            assert!(ours.pages <= most.pages || most.disabled.is_some(), "{ours:?}, {most:?}");
            continue;
        }
        assert_eq!(
            (ours.class, ours.pages, &ours.disabled),
            (most.class, most.pages, &most.disabled)
        );
    }
    for pfn in found.excluded.runs().flatten().map(Pfn::get) {
        assert!(
            at_most.excluded.contains(Pfn::new(pfn)),
            "pfn {pfn:#x} is kept at the highest level"
        );
    }
}

/// Keeping user stacks excludes nothing more; what it keeps is counted, and neither poisoned nor free.
fn check_kept(found: &Selection, without: &Selection) {
    let excluded = |pfn: &Pfn| without.excluded.contains(*pfn);
    assert!(found.excluded.runs().flatten().all(|pfn| excluded(&pfn)));
    let kept = without.excluded.count() - found.excluded.count();
    assert_eq!(kept, found.census.kept_on_request, "{found:?}");
    for class in [Class::Free, Class::Offline, Class::Zfs, Class::Zsmalloc] {
        let excluded = |it: &Selection| it.census.class(class).unwrap().excluded;
        assert_eq!(excluded(found), excluded(without), "{class:?}");
    }
    assert_eq!((found.level, found.classes), (without.level, without.classes));
}

/// Without the class vmemmap a dump lacks more pages: only such as hold struct pages, as long as
/// something leads to the right ones.
fn check_vmemmap(edits: &Edits<'_>, dump: &Dump, found: &Selection) {
    let classes = found.classes.union(ClassSet::from_iter([Class::Vmemmap]));
    let less = select(dump, &SelectRequest::new(found.level).classes(classes)).unwrap();
    let excluded = |of: &Selection| of.census.class(Class::Vmemmap).unwrap().excluded;
    let more = excluded(&less) - excluded(found);
    assert_eq!(less.excluded.count(), found.excluded.count() + more);
    assert_eq!(less.census.excluded(), less.excluded.count());
    assert!(less.classes == classes || !less.warnings.is_empty());
    if !edits.leads {
        return;
    }
    let (mm, page) = (&edits.machine().mm, edits.machine().mm.kernel.arch.page_bytes());
    let structs: Vec<_> = mm
        .stretches()
        .into_iter()
        .map(|(_, pages, _, paddr)| {
            paddr / page..=(paddr + pages * mm.kernel.page.size as u64) / page
        })
        .collect();
    let more = less.excluded.runs().flatten().filter(|pfn| !found.excluded.contains(*pfn));
    for pfn in more.map(Pfn::get) {
        assert!(structs.iter().any(|pages| pages.contains(&pfn)), "no struct pages: {pfn:#x}");
    }
}

/// Excluded pages are pages of the dump and of the excluded classes.
fn check_sums(dump: &Dump, found: &Selection, asked: DumpLevel, named: ClassSet) {
    let (_, pages) = dump.counts();
    let census = &found.census;
    assert_eq!(census.pages, pages);
    assert_eq!(census.struct_pages + census.unknown, pages, "{census:?}");
    let excluded = found.excluded.count();
    assert_eq!(census.excluded(), excluded, "{census:?}");
    let classed: u64 = census.classes.iter().map(|share| share.pages).sum();
    assert!(classed <= pages, "{census:?}");
    let of_dump: u64 = dump
        .kept()
        .map(|run| found.excluded.runs_within(run))
        .fold(0, |sum, runs| sum + runs.map(|run| run.end - run.start).sum::<u64>());
    assert_eq!(of_dump, excluded, "pages are excluded that the dump does not have");
    let kept: u64 = found.kept(dump).map(|run| run.end - run.start).sum();
    assert_eq!(kept + excluded, pages);

    assert_eq!(found.level.bits() & !asked.bits(), 0, "more than {asked:?}: {:?}", found.level);
    assert_eq!(census.classes.iter().map(|share| share.class).collect::<Vec<_>>(), Class::ALL);
    for share in &census.classes {
        let is_asked = share.class.is_excluded_by(asked) || named.contains(share.class);
        if share.disabled.is_some() || !is_asked {
            assert_eq!(share.excluded, 0, "{share:?}");
        }
        if share.disabled.is_some() {
            assert_eq!(share.pages, 0, "{share:?}");
        }
    }
    assert!(found.classes.iter().all(|class| named.contains(class)), "{:?}", found.classes);
    if found.level != asked || found.classes != named {
        assert!(
            !found.warnings.is_empty(),
            "{asked:?}, {named:?} became {:?}, {:?} in silence",
            found.level,
            found.classes
        );
    }
}

/// Kernel pages are kept as long as something leads to them, except for poisoned ones.
fn check_own(edits: &Edits<'_>, found: &Selection) {
    if !edits.leads {
        return;
    }
    let machine = edits.machine();
    let lost: Vec<u64> = machine
        .held
        .iter()
        .copied()
        .filter(|pfn| found.excluded.contains(Pfn::new(*pfn)))
        .collect();
    let broken = found.census.class(Class::Hwpoison).map_or(0, |share| share.excluded);
    let (name, count) = (machine.name, lost.len());
    assert!(count as u64 <= broken, "{name}: {count} pages of the kernel's own, {lost:x?}");
    if edits.format {
        let kernel = &machine.mm.kernel;
        for pfn in lost {
            let at = machine.struct_place(pfn).1 + kernel.page.flags as u64;
            let flags = edits.core.int(at, kernel.arch.long);
            assert!(flags >> kernel.bits.hwpoison & 1 != 0, "{name}: the kernel's own {pfn:#x}");
        }
    }
}

/// Inputs that exclude pages, and edits of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    // A free page's type on a kernel page, a struct page copied to others, a table's entry, a line.
    let edits: [&[u8]; 6] = [
        &[0, 5, 0, 6, 8, 0, 0],
        &[1, 7, 0x80, 1, 9, 1],
        &[6, 3, 0x40, 9, 0x80, 3, 40],
        &[10, 9, 0, 3, 12],
        &[13, 9, 1, 40, 0],
        &[15, 30, 31],
    ];
    let mut seeds = Vec::new();
    for (nth, edit) in (0..).zip(edits) {
        let release = nth * 7 % 19;
        seeds.push([&[release, (31 - nth) | (nth % 4) << 6], edit].concat());
        let threads = MACHINES as u8 - 1;
        seeds.push([&[KEEP | threads, 31 | (nth % 4) << 6], edit].concat());
    }
    seeds
}
