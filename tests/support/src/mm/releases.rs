//! The releases whose struct page differs, one of each kind: 4.4 to 7.1.
//!
//! From include/linux/mm_types.h, include/linux/page-flags.h, kernel/crash_core.c (kernel/kexec_core.c
//! before 4.13, kernel/vmcore_info.c since 6.9) of each release; the memory models, architectures and
//! sizes are spread over them so that each is met with.

use super::arch::{
    ARM, ARM_LPAE, ARM64_16K, I386, RISCV64, S390X, S390X_ELSEWHERE, X86_64, X86_64_5,
};
use super::kernel::{
    Bits, Hugetlb, Hvo, Kernel, Layout, Model, Names, OrderPlace, Roots, Tails, Types,
};

/// 4.4 to 4.17: `_mapcount` before `lru`, which tails share.
const OLD: Layout = Layout {
    size: 64,
    flags: 0,
    mapping: 8,
    lru: 32,
    head: 32,
    private: 48,
    mapcount: 24,
    refcount: 28,
};

/// 4.18 on.
const NEW: Layout = Layout {
    size: 64,
    flags: 0,
    mapping: 24,
    lru: 8,
    head: 8,
    private: 40,
    mapcount: 48,
    refcount: 52,
};

/// The same on 32 bits.
const NEW_32: Layout = Layout {
    size: 40,
    flags: 0,
    mapping: 12,
    lru: 4,
    head: 4,
    private: 20,
    mapcount: 24,
    refcount: 28,
};

const BITS_4_4: Bits = Bits {
    uptodate: 3,
    lru: 5,
    active: 6,
    head: 14,
    waiters: None,
    slab: Some(7),
    reserved: 10,
    private: 11,
    swapcache: 15,
    swapbacked: 18,
    hwpoison: 22,
};

/// With PG_waiters (62906027091f, 4.10), and PG_swapcache one with PG_owner_priv_1.
const BITS_4_16: Bits = Bits {
    waiters: Some(7),
    slab: Some(8),
    head: 15,
    reserved: 11,
    private: 12,
    swapcache: 9,
    swapbacked: 18,
    hwpoison: 22,
    ..BITS_4_4
};

/// With PG_workingset (1899ad18c607, 4.20), without PG_error in front.
const BITS_5: Bits = Bits {
    uptodate: 2,
    lru: 4,
    active: 5,
    head: 16,
    waiters: Some(7),
    slab: Some(9),
    reserved: 12,
    private: 13,
    swapcache: 10,
    swapbacked: 19,
    hwpoison: 22,
};

/// Reordered so that the low byte of `page[1]`.flags is free (ebc1baf5c9b4).
const BITS_6_6: Bits = Bits {
    uptodate: 3,
    lru: 5,
    active: 8,
    head: 6,
    waiters: Some(7),
    slab: Some(11),
    reserved: 14,
    private: 15,
    swapcache: 12,
    swapbacked: 19,
    hwpoison: 22,
};

/// Without PG_slab (46df8e73a4a3).
const BITS_6_10: Bits =
    Bits { slab: None, reserved: 13, private: 14, swapcache: 11, swapbacked: 18, ..BITS_6_6 };

/// Without PG_error (09022bc19640).
const BITS_6_12: Bits = Bits { swapcache: 10, swapbacked: 17, hwpoison: 20, ..BITS_6_10 };

/// A number, before there were bits: free -128, balloon -256, accounted -512.
const TYPES_4_4: Types = Types {
    buddy: -128,
    offline: None,
    hugetlb: None,
    slab: None,
    unaccepted: None,
    zsmalloc: None,
    others: &[0xffff_fe00, 0xffff_ff00],
};

/// A bit that is clear (6e292b9be7f4): PG_table 0x200, PG_guard 0x400.
const TYPES_5: Types =
    Types { buddy: -129, offline: Some(-257), others: &[0xffff_fdff, 0xffff_fbff], ..TYPES_4_4 };

/// d99e3140a4d3.
const TYPES_6_9: Types = Types { hugetlb: Some(-2049), ..TYPES_5 };

const TYPES_6_10: Types = Types { slab: Some(-4097), ..TYPES_6_9 };

/// Other bits, so that the low 16 are the owner's (8db00ad56461): table, guard.
const TYPES_6_11: Types = Types {
    buddy: -1_073_741_825,
    offline: Some(-536_870_913),
    hugetlb: Some(-67_108_865),
    slab: Some(-33_554_433),
    unaccepted: None,
    zsmalloc: Some(-16_777_217),
    others: &[0xefff_ffff, 0xf7ff_ffff],
};

/// Numbers in the top byte (4ffca5a96678): table, guard, large kmalloc.
const TYPES_6_12: Types = Types {
    buddy: -268_435_456,
    offline: Some(-251_658_240),
    hugetlb: Some(-201_326_592),
    slab: Some(-184_549_376),
    unaccepted: None,
    zsmalloc: Some(-167_772_160),
    others: &[0xf200_0000, 0xf300_0000, 0xf800_0000],
};

const TYPES_6_16: Types = Types { unaccepted: Some(-150_994_944), ..TYPES_6_12 };

/// `mem_section` of x86_64.
const fn sparse(roots: Roots) -> Model {
    Model::Sparse { roots, vmemmap: true, section_bits: 27, memory_bits: 46, section_size: 16 }
}

const NAMES: Names =
    Names { refcount: "_refcount", head: Some("compound_head"), swapbacked: true, utsname: true };

const NAMES_5_10: Names = Names { utsname: false, ..NAMES };

/// The newest of the old: what others are told by their difference from.
pub const V6_1: Kernel = Kernel {
    release: "6.1.0",
    arch: X86_64,
    page: NEW,
    bits: BITS_5,
    types: TYPES_5,
    order: OrderPlace::Page { dtor: 16, order: 17, bytes: 1 },
    hugetlb: Hugetlb::Dtor(2),
    tails: Tails::Pointer,
    hvo: Hvo::FakeHeads,
    model: sparse(Roots::Array),
    orders: 11,
    names: NAMES,
};

/// Destructor and order are ints (with d7f53518f713, which stable kernels have); PG_swapbacked is not told.
pub const V4_4: Kernel = Kernel {
    release: "4.4.0",
    page: OLD,
    bits: BITS_4_4,
    types: TYPES_4_4,
    order: OrderPlace::Page { dtor: 40, order: 44, bytes: 4 },
    hvo: Hvo::None,
    names: Names { refcount: "_count", swapbacked: false, ..NAMES_5_10 },
    ..V6_1
};

/// The symbol is the address of the pointer to the roots, as before a0b1280368d1.
pub const V4_16: Kernel = Kernel {
    release: "4.16.0",
    page: OLD,
    bits: BITS_4_16,
    types: TYPES_4_4,
    order: OrderPlace::Page { dtor: 40, order: 41, bytes: 1 },
    hvo: Hvo::None,
    model: sparse(Roots::Pointer),
    names: NAMES_5_10,
    ..V6_1
};

/// 56 bytes, as without memory cgroups: struct pages straddle pages, in an array a section.
pub const V5_4: Kernel = Kernel {
    release: "5.4.0",
    page: Layout { size: 56, ..NEW },
    hvo: Hvo::None,
    model: Model::Sparse {
        roots: Roots::Array,
        vmemmap: false,
        section_bits: 24,
        memory_bits: 46,
        section_size: 32,
    },
    names: NAMES_5_10,
    ..V6_1
};

/// 80 bytes, as with KMSAN; sections are one array.
pub const V6_3: Kernel = Kernel {
    release: "6.3.0",
    page: Layout { size: 80, ..NEW },
    order: OrderPlace::Folio { dtor: 96, order: 97 },
    hvo: Hvo::None,
    model: Model::Sparse {
        roots: Roots::Sections,
        vmemmap: true,
        section_bits: 26,
        memory_bits: 36,
        section_size: 16,
    },
    ..V6_1
};

/// PG_hugetlb of `page[1]`.
pub const V6_6: Kernel = Kernel {
    release: "6.6.0",
    bits: BITS_6_6,
    order: OrderPlace::Flags,
    hugetlb: Hugetlb::Flag(8),
    ..V6_1
};

/// The same without CONFIG_HUGETLB_PAGE: nothing tells where the order of a compound is.
pub const V6_6_NO_HUGETLB: Kernel = Kernel {
    types: Types { offline: None, ..TYPES_5 },
    hugetlb: Hugetlb::Unknown,
    hvo: Hvo::None,
    ..V6_6
};

/// Hugetlb is a type.
pub const V6_9: Kernel = Kernel {
    release: "6.9.0",
    arch: X86_64_5,
    types: TYPES_6_9,
    hugetlb: Hugetlb::Type,
    model: Model::Sparse {
        roots: Roots::Array,
        vmemmap: true,
        section_bits: 27,
        memory_bits: 48,
        section_size: 32,
    },
    ..V6_6
};

/// Slab is a type as well.
pub const V6_10: Kernel =
    Kernel { release: "6.10.0", arch: X86_64, bits: BITS_6_10, types: TYPES_6_10, ..V6_9 };

/// The bits of types have moved up.
pub const V6_11: Kernel = Kernel { release: "6.11.0", types: TYPES_6_11, ..V6_10 };

/// Types are numbers.
pub const V6_12: Kernel = Kernel { release: "6.12.0", bits: BITS_6_12, types: TYPES_6_12, ..V6_11 };

/// Unaccepted memory.
pub const V6_16: Kernel = Kernel { release: "6.16.0", types: TYPES_6_16, ..V6_12 };

/// `compound_info` is a mask where memory is saved.
pub const V7_1: Kernel = Kernel {
    release: "7.1.0",
    tails: Tails::Mask,
    hvo: Hvo::SharedTails,
    names: Names { head: Some("compound_info"), ..NAMES },
    ..V6_16
};

/// And a pointer elsewhere.
pub const V7_1_POINTER: Kernel =
    Kernel { page: Layout { size: 56, ..NEW }, tails: Tails::Pointer, hvo: Hvo::None, ..V7_1 };

/// 32 bits, one array.
pub const V6_1_I386: Kernel = Kernel {
    arch: I386,
    page: NEW_32,
    order: OrderPlace::Page { dtor: 8, order: 9, bytes: 1 },
    hvo: Hvo::None,
    model: Model::Flat,
    ..V6_1
};

/// 32 bits, and memory that does not begin at 0.
pub const V6_1_ARM: Kernel = Kernel {
    arch: ARM,
    page: Layout { size: 32, ..NEW_32 },
    order: OrderPlace::Page { dtor: 8, order: 9, bytes: 1 },
    hvo: Hvo::None,
    model: Model::Flat,
    ..V6_1
};

/// The same in sections, with a word for memory cgroups.
pub const V6_12_ARM_LPAE: Kernel = Kernel {
    arch: ARM_LPAE,
    page: Layout { size: 36, ..NEW_32 },
    hvo: Hvo::None,
    model: Model::Sparse {
        roots: Roots::Sections,
        vmemmap: false,
        section_bits: 28,
        memory_bits: 36,
        section_size: 8,
    },
    ..V6_12
};

/// 32 bits, shorts, sections.
pub const V4_4_I386: Kernel = Kernel {
    release: "4.4.0",
    arch: I386,
    page: Layout {
        size: 32,
        flags: 0,
        mapping: 4,
        lru: 20,
        head: 20,
        private: 28,
        mapcount: 12,
        refcount: 16,
    },
    order: OrderPlace::Page { dtor: 24, order: 26, bytes: 2 },
    model: Model::Sparse {
        roots: Roots::Sections,
        vmemmap: false,
        section_bits: 29,
        memory_bits: 36,
        section_size: 8,
    },
    ..V4_4
};

/// Big-endian.
pub const V6_12_S390X: Kernel = Kernel { arch: S390X, hvo: Hvo::None, ..V6_12 };

/// The image and the identity mapping are elsewhere than in physical memory.
pub const V6_16_S390X: Kernel = Kernel { arch: S390X_ELSEWHERE, hvo: Hvo::None, ..V6_16 };

/// Big-endian ints in `page[1]`.
pub const V4_4_S390X: Kernel = Kernel {
    arch: S390X,
    model: Model::Sparse {
        roots: Roots::Sections,
        vmemmap: true,
        section_bits: 28,
        memory_bits: 42,
        section_size: 16,
    },
    ..V4_4
};

/// Pages of 16 KiB.
pub const V6_12_ARM64: Kernel = Kernel { arch: ARM64_16K, hvo: Hvo::None, ..V6_12 };

/// Three levels of tables.
pub const V6_12_RISCV: Kernel = Kernel { arch: RISCV64, hvo: Hvo::None, ..V6_12 };

/// All of them, with a name each.
pub const ALL: [(&str, Kernel); 22] = [
    ("4.4", V4_4),
    ("4.4 i386", V4_4_I386),
    ("4.4 s390x", V4_4_S390X),
    ("4.16", V4_16),
    ("5.4", V5_4),
    ("6.1", V6_1),
    ("6.1 i386", V6_1_I386),
    ("6.1 arm", V6_1_ARM),
    ("6.3", V6_3),
    ("6.6", V6_6),
    ("6.9", V6_9),
    ("6.10", V6_10),
    ("6.11", V6_11),
    ("6.12", V6_12),
    ("6.12 s390x", V6_12_S390X),
    ("6.12 arm64", V6_12_ARM64),
    ("6.12 arm lpae", V6_12_ARM_LPAE),
    ("6.12 riscv64", V6_12_RISCV),
    ("6.16", V6_16),
    ("6.16 s390x", V6_16_S390X),
    ("7.1", V7_1),
    ("7.1 pointer", V7_1_POINTER),
];
