//! What is kept on request though its class is excluded: the user stacks of threads.

use std::collections::BTreeSet;

use kdumpconv::{Codec, DumpLevel, KeepSet, OpenOptions, Pfn, SelectRequest, Selection, select};
use support::mm::kernel::Hvo;
use support::mm::threads::{KERNEL_THREAD, Thread, USER32_CS};
use support::mm::types::types;
use support::mm::{Kernel, Member, Mm, Owner, Use, releases};

use super::judge::{Judge, open};
use super::rules::{ANON, usual};
use crate::common::{options, plain};

/// Where the stacks end up; the pointer is within the page.
const TOP: u64 = 0x7ffd_0410_0000;
const POINTER: u64 = TOP + 0xef8;

/// The machine's dump, whose kernel has types and these threads.
fn judge(mut mm: Mm, threads: &[Thread]) -> Judge {
    let info = mm.core().info;
    let mut btf = types(&mm.kernel, &info);
    let init_task = mm.put_threads(&mut btf, threads);
    mm.fill(Use::Kernel);
    let lines = mm.put_types_and(&btf, &[('D', "init_task", init_task)]);
    dump(mm, &(info + &lines))
}

fn dump(mm: Mm, info: &str) -> Judge {
    let mut core = mm.core();
    core.builder.segments.retain(|segment| segment.as_load().is_some());
    core.builder = core.builder.vmcoreinfo(info);
    Judge { dump: open(&core, &OpenOptions::default()), mm }
}

fn select_with(judge: &Judge, level: u32, threads: usize, keep: bool) -> Selection {
    let keep = KeepSet::default().user_stacks(keep);
    let level = DumpLevel::new(level).unwrap();
    select(&judge.dump, &SelectRequest::new(level).threads(threads).keep(keep)).unwrap()
}

fn pfns(found: &Selection) -> BTreeSet<u64> {
    found.excluded.runs().flat_map(|run| run.iter()).map(Pfn::get).collect()
}

/// Exactly these pages are kept at level 31, and the counts say so.
fn keeps(judge: &Judge, kept: &[u64], warnings: &[&str]) {
    let all: BTreeSet<u64> = judge.mm.left_out(31).into_iter().collect();
    let without = select_with(judge, 31, 1, false);
    assert_eq!(pfns(&without), all, "{:?}", without.warnings);
    assert_eq!((without.census.kept_on_request, without.warnings.len()), (0, 0));
    let kept: BTreeSet<u64> = kept.iter().copied().collect();
    for threads in [1, 2] {
        let found = select_with(judge, 31, threads, true);
        assert_eq!(found.warnings, warnings);
        assert_eq!(all.difference(&pfns(&found)).copied().collect::<BTreeSet<_>>(), kept);
        assert_eq!(pfns(&found).difference(&all).count(), 0);
        assert_eq!(found.census.kept_on_request, kept.len() as u64);
        assert_eq!(found.census.excluded(), found.excluded.count());
        assert_eq!(found.level.bits(), 31);
    }
}

/// `count` pages, each after the other in the process, from `start` on.
fn pages(mm: &mut Mm, start: u64, count: u64) -> Vec<(u64, u64)> {
    (0..count).map(|nth| (start + nth * 4096, mm.place(ANON))).collect()
}

fn only_pfns(pages: &[(u64, u64)]) -> Vec<u64> {
    pages.iter().map(|(_, pfn)| *pfn).collect()
}

/// Kernels with 4 and with 5 levels of page tables.
const X86_64: [Kernel; 3] = [releases::V6_1, releases::V6_9, releases::V6_12];

#[test]
fn pages_from_the_stack_pointer_on_are_kept_and_no_more_than_128() {
    for kernel in X86_64 {
        let mut mm = usual(kernel);
        let mut long = pages(&mut mm, TOP, 140);
        let gap = long.remove(2);
        let below = (TOP - 4096, mm.place(ANON));
        let short = pages(&mut mm, 0xffff_d000, 2);
        let kept = [only_pfns(&long[..127]), only_pfns(&short)].concat();
        let program = Thread::new(POINTER, [vec![below], long].concat());
        // Of 32 bits, in a kernel with FRED.
        let small = Thread { cs: USER32_CS, padding: 16, ..Thread::new(0xffff_d010, short) };
        let judge = judge(mm, &[program, small]);
        assert!(judge.mm.left_out(31).contains(&gap.1));
        keeps(&judge, &kept, &[]);
    }
}

#[test]
fn threads_of_the_kernel_have_no_user_stack_and_others_without_one_are_counted() {
    for kernel in X86_64 {
        let mut mm = usual(kernel);
        let mut thread =
            |change: fn(Thread) -> Thread| change(Thread::new(POINTER, pages(&mut mm, TOP, 2)));
        let sound = thread(|thread| thread);
        let kept = only_pfns(&sound.pages);
        let mut threads = vec![
            // It borrowed the process's memory.
            thread(|thread| Thread { flags: KERNEL_THREAD, cs: 0, ss: 0, ..thread }),
            // Of io_uring.
            thread(|thread| Thread { sp: 0, ..thread }),
            sound,
            thread(|thread| Thread { sp: u64::MAX - 7, ..thread }),
        ];
        let one = ["the user stack of 1 thread is not kept: it was not found"];
        keeps(&judge(mm.clone(), &threads), &kept, &one);
        let mut thread =
            |change: fn(Thread) -> Thread| change(Thread::new(POINTER, pages(&mut mm, TOP, 2)));
        threads.push(thread(|thread| Thread { ss: 0x18, ..thread }));
        threads.push(thread(|thread| Thread { cs: 0x10, ..thread }));
        // Nothing is there, or what no dump has.
        threads.push(Thread::new(POINTER, Vec::new()));
        threads.push(Thread::new(POINTER, vec![(TOP, 0xf_ffff)]));
        let five = ["the user stacks of 5 threads are not kept: they were not found"];
        let judge = judge(mm, &threads);
        keeps(&judge, &kept, &five);
        // What is excluded is proven nevertheless.
        let strict = options(Codec::Raw, 31, 1).keep(KeepSet::default().user_stacks(true));
        let (_, report) = plain(&judge.dump, &strict.strict(true)).unwrap();
        assert_eq!(report.warnings, five);
    }
}

#[test]
fn pages_of_a_stack_are_kept_alone_of_a_huge_page_and_never_if_poisoned_or_free() {
    for kernel in X86_64 {
        let mut mm = usual(kernel);
        let anon =
            |order| Use::Anon { order, lru: true, swapcache: false, ksm: false, waiters: false };
        let huge = mm.place(anon(9));
        let file = mm.place(Use::File { order: 0, private: false, waiters: false });
        let (broken, whole) = (mm.place(ANON), mm.place(anon(3)));
        let free = mm.place(Use::Buddy { order: 3 });
        let poison = 1 << kernel.bits.hwpoison;
        mm.poke(whole + 2, Member::Flags, poison);
        // A page of its own class that is broken as well.
        let lru = 1 << kernel.bits.lru | 1 << kernel.bits.swapbacked | 1 << kernel.bits.uptodate;
        mm.poke(broken, Member::Flags, lru | poison);
        let stack = [huge + 5, file, broken, free + 1, whole + 1, whole + 2, huge + 511];
        let stack = (0..).zip(stack).map(|(nth, pfn)| (TOP + nth * 4096, pfn)).collect();
        let judge = judge(mm, &[Thread::new(POINTER, stack)]);
        keeps(&judge, &[huge + 5, file, whole + 1, huge + 511], &[]);
    }
}

/// The struct page of its head says it, for all pages of a huge page.
#[test]
fn pages_of_a_poisoned_huge_page_of_hugetlb_are_never_kept() {
    for (kernel, order) in [(releases::V6_6, 9), (releases::V6_6, 16), (releases::V7_1, 16)] {
        let kernel = Kernel { hvo: Hvo::None, ..kernel };
        for is_poisoned in [false, true] {
            let mut mm = if order == 16 { Mm::large(kernel) } else { usual(kernel) };
            let huge = mm.place(Use::Hugetlb { order, owner: Owner::Process });
            if is_poisoned {
                mm.poke(huge, Member::Flags, 1 << kernel.bits.head | 1 << kernel.bits.hwpoison);
            }
            let stack = [huge, huge + 1, huge + (1 << order) - 1];
            let pages = (0..).zip(stack).map(|(nth, pfn)| (TOP + nth * 4096, pfn)).collect();
            let judge = judge(mm, &[Thread::new(POINTER, pages)]);
            keeps(&judge, if is_poisoned { &[] } else { &stack }, &[]);
        }
    }
}

#[test]
fn who_asks_for_what_cannot_be_found_is_told_why() {
    let mut mm = usual(releases::V6_12_ARM64);
    mm.fill(Use::Kernel);
    let info = mm.core().info;
    let lines = mm.put_types(&types(&mm.kernel, &info));
    keeps(
        &dump(mm, &(info + &lines)),
        &[],
        &["user stacks are not kept: they can be found on x86_64 only"],
    );
    let mut mm = usual(releases::V6_12);
    mm.fill(Use::Kernel);
    let info = mm.core().info;
    let no_types = dump(mm.clone(), &info);
    keeps(&no_types, &[], &["user stacks are not kept: the kernel's types (BTF) were not found"]);
    // Nothing that a process has is excluded, so its stack is kept as well.
    for level in [0, 1, 16] {
        assert_eq!(select_with(&no_types, level, 1, true).warnings, [""; 0], "{level}");
    }
    let lines = mm.put_types(&types(&mm.kernel, &info));
    keeps(
        &dump(mm, &(info + &lines)),
        &[],
        &["user stacks are not kept: BTF: it has no task_struct.flags"],
    );
}

#[test]
fn page_tables_in_circles_end() {
    for kernel in X86_64 {
        let mut mm = usual(kernel);
        let stack = pages(&mut mm, TOP, 1);
        let info = mm.core().info;
        let mut btf = types(&kernel, &info);
        let threads = vec![Thread::new(POINTER, stack); 20];
        let init_task = mm.put_threads(&mut btf, &threads);
        mm.fill(Use::Kernel);
        // Each entry of each table leads to the table itself.
        for first in mm.blocks(|what| what == Use::KernelCompound { order: 7 }) {
            for table in (first + 16..first + 128).step_by(16) {
                let itself = table * 4096;
                mm.patches.push((itself, (itself | 0x67).to_le_bytes().repeat(512)));
            }
        }
        let lines = mm.put_types_and(&btf, &[('D', "init_task", init_task)]);
        let judge = dump(mm, &(info + &lines));
        keeps(&judge, &[], &[]);
    }
}

/// Offset of `index` in a struct page of x86_64.
const INDEX: u64 = 32;

/// A page of a file, with its place in the file and its first bytes.
fn file_page(mm: &mut Mm, what: Use, index: u64, start: &[u8]) -> u64 {
    let pfn = mm.place(what);
    let place = mm.struct_place(pfn).1;
    mm.patches.push((place + INDEX, index.to_le_bytes().to_vec()));
    mm.patches.push((pfn * 4096, start.to_vec()));
    pfn
}

#[test]
fn first_pages_of_elf_files_are_kept_and_no_other_pages() {
    let file = |order, private| Use::File { order, private, waiters: false };
    for kernel in [releases::V6_1, releases::V6_12] {
        let mut mm = usual(kernel);
        let elf = b"\x7fELF\x02\x01\x01";
        let kept = [
            file_page(&mut mm, file(0, false), 0, elf),
            file_page(&mut mm, file(0, true), 0, elf),
            file_page(&mut mm, file(3, false), 0, elf),
        ];
        let others = [
            file_page(&mut mm, file(0, false), 1, elf),
            file_page(&mut mm, file(0, false), 0, b"#!/bin/sh"),
            file_page(&mut mm, ANON, 0, elf),
            file_page(&mut mm, Use::Buddy { order: 0 }, 0, elf),
        ];
        // Of pages without a patch, the index is 0, but they do not begin like ELF files.
        let poisoned = file_page(&mut mm, file(0, false), 0, elf);
        mm.poke(poisoned, Member::Flags, 1 << kernel.bits.lru | 1 << kernel.bits.hwpoison);
        mm.fill(Use::Kernel);
        let info = mm.core().info;
        for (line, is_known) in [("OFFSET(page.index)=32\n", true), ("", false)] {
            let mut mm = mm.clone();
            let btf = types(&mm.kernel, &(info.clone() + line));
            let lines = mm.put_types_and(&btf, &[]);
            let judge = dump(mm, &(info.clone() + &lines));
            let all = pfns(&select_with(&judge, 31, 1, false));
            assert!(kept.iter().chain(&others).all(|pfn| all.contains(pfn)));
            for threads in [1, 2] {
                let keep = KeepSet::default().elf_headers(true);
                let request = SelectRequest::new(DumpLevel::new(31).unwrap()).keep(keep);
                let found = select(&judge.dump, &request.threads(threads)).unwrap();
                let expected: BTreeSet<u64> = kept.iter().copied().filter(|_| is_known).collect();
                assert_eq!(&all - &pfns(&found), expected);
                assert_eq!(found.census.kept_on_request, expected.len() as u64);
                assert_eq!(found.census.excluded(), found.excluded.count());
                assert_eq!(found.warnings.len(), usize::from(!is_known), "{:?}", found.warnings);
            }
        }
    }
}
