"""What the kernel uses each page for, by its struct page.

The rules are those of the kernel's own headers (include/linux/page-flags.h, mm_types.h), written anew:
nothing here looks at VMCOREINFO or at the code of kdumpconv. No dump is needed, so test_pages.py tests
them. What each dump level excludes is from makedumpfile(8).
"""

import collections
import dataclasses

KERNEL, FREE, CACHE, PRIVATE, USER, POISONED, OFFLINE = "kernel free cache private user poisoned offline".split()

# The bits of the dump level. Zero pages (1) stay in the file: they share one stored page.
ZERO_BIT = 1
BITS = {CACHE: 2 | 4, PRIVATE: 4, USER: 8, FREE: 16}
# Excluded at every level: reading them may stop the machine, or give nothing.
ALWAYS = {POISONED, OFFLINE}
LEVELS = range(32)

# struct page.mapping: PAGE_MAPPING_ANON (FOLIO_MAPPING_ANON).
MAPPING_ANON = 1


@dataclasses.dataclass
class Layout:
    """Where the members of struct page are, and the numbers of its flags and types, from debug information."""

    size: int
    byte_order: str
    flags: int
    mapping: int
    private: int
    page_type: int
    # compound_info, or its old name compound_head.
    compound: int
    # enum pageflags: numbers of bits; flags that the kernel was built without are missing.
    bits: dict
    # enum pagetype (6.12 and later): the top byte of page_type. Before: None.
    types: dict = None
    # Before 6.12 hugetlb pages are marked in their first tail: offset of compound_dtor and its value.
    dtor: int = None
    hugetlb_dtor: int = None

    def word(self, data, at):
        return int.from_bytes(data[at : at + 8], self.byte_order)

    def half(self, data, at):
        return int.from_bytes(data[at : at + 4], self.byte_order)


# Before 6.12: a type clears its bit in page_type, whose top bits are set (PAGE_TYPE_BASE).
OLD_BASE = 0xF0000000
OLD_TYPES = {"buddy": 0x80, "offline": 0x100}
# A _mapcount below -128 is no count (PAGE_MAPCOUNT_RESERVE).
OLD_RESERVE = -128


def has_type(layout, value, name):
    """Whether a page_type says that the page has this type."""
    if layout.types is not None:
        return name in layout.types and value >> 24 == layout.types[name]
    return name in OLD_TYPES and value & (OLD_BASE | OLD_TYPES[name]) == OLD_BASE


def has_any_type(layout, value):
    """Whether a page_type is a type, not the number of mappings."""
    if layout.types is not None:
        # PGTY_mapcount_underflow, 0xff, is not a type.
        return 0x80 <= value >> 24 < 0xFF
    signed = value - (1 << 32) if value >> 31 else value
    return signed < OLD_RESERVE


class Memory:
    """The struct pages of a kernel: fills `uses`, from pfn to what the page is used for.

    `sections` are (first pfn, address of its struct page, bytes of consecutive struct pages).
    """

    def __init__(self, layout, sections):
        self.layout = layout
        self.sections = sections
        self.uses = {}
        self.free_blocks = {}
        self.problems = []
        self._by_address = [(address, len(data), pfn) for pfn, address, data in sections]
        for pfn, address, data in sections:
            self._classify(pfn, address, data)
        self._spread_free_blocks()

    def _pfn_of(self, address):
        for start, length, pfn in self._by_address:
            if start <= address < start + length and (address - start) % self.layout.size == 0:
                return pfn + (address - start) // self.layout.size
        return None

    def _head_of(self, info, address):
        """The address of the head of the compound page whose tail has this compound_info."""
        # A pointer with bit 0 set; since 7.1 in some kernels a mask for the tail's own address.
        low_bits = (1 << 64) - info
        is_mask = low_bits >= self.layout.size and low_bits & (low_bits + 1) == 0
        return address & info if is_mask else info - 1

    def _classify(self, first, address, data):
        layout = self.layout
        heads = {}
        for at in range(0, len(data), layout.size):
            pfn = first + at // layout.size
            info = layout.word(data, at + layout.compound)
            flags = layout.word(data, at + layout.flags)
            poisoned = self.flag(flags, "hwpoison")
            if info & 1:
                head = self._head_of(info, address + at)
                if head not in heads:
                    heads[head] = self._use_of_head(head)
                use, whole = heads[head]
                if use is None:
                    self.problems.append(f"pfn {pfn:#x} is a tail without a head")
                self.uses[pfn] = POISONED if poisoned or whole else use or KERNEL
                continue
            use = self._use(data, at, pfn)
            # A huge page of hugetlb is marked on its head, whichever page of it is broken.
            self.uses[pfn] = POISONED if poisoned else use

    def _use_of_head(self, head):
        """What a head's compound page is used for; whether all of it counts as poisoned."""
        pfn = self._pfn_of(head)
        if pfn is None:
            return None, False
        for first, address, data in self.sections:
            if first <= pfn < first + len(data) // self.layout.size:
                at = head - address
                use = self._use(data, at, pfn)
                poisoned = self.flag(self.layout.word(data, at + self.layout.flags), "hwpoison")
                return use, poisoned and self._is_hugetlb(data, at)
        return None, False

    def flag(self, flags, name):
        bit = self.layout.bits.get(name)
        return bit is not None and flags >> bit & 1 == 1

    def _is_hugetlb(self, data, at):
        layout = self.layout
        if layout.types is not None:
            return has_type(layout, layout.half(data, at + layout.page_type), "hugetlb")
        if layout.dtor is None or not self.flag(layout.word(data, at + layout.flags), "head"):
            return False
        first_tail = at + layout.size
        return first_tail < len(data) and data[first_tail + layout.dtor] == layout.hugetlb_dtor

    def _use(self, data, at, pfn):
        """What a page that is no tail is used for."""
        layout = self.layout
        flags = layout.word(data, at + layout.flags)
        kind = layout.half(data, at + layout.page_type)
        # In kernels with PG_slab, page_type is the slab's own.
        if self.flag(flags, "slab"):
            return KERNEL
        if has_type(layout, kind, "buddy"):
            self.free_blocks[pfn] = layout.word(data, at + layout.private)
            return FREE
        if has_type(layout, kind, "unaccepted"):
            return FREE
        if has_type(layout, kind, "offline"):
            return OFFLINE
        if self._is_hugetlb(data, at):
            return USER
        if has_any_type(layout, kind):
            return KERNEL
        if layout.word(data, at + layout.mapping) & MAPPING_ANON:
            return USER
        in_swap_cache = self.flag(flags, "swapcache") and self.flag(flags, "swapbacked")
        if self.flag(flags, "lru") or in_swap_cache:
            return PRIVATE if self.flag(flags, "private") else CACHE
        return KERNEL

    def _spread_free_blocks(self):
        """Only the first page of a free block is marked; it has the block's order."""
        for pfn, order in self.free_blocks.items():
            if order > 30 or pfn & ((1 << order) - 1):
                self.problems.append(f"the free block at pfn {pfn:#x} has the order {order}")
                continue
            for page in range(pfn, pfn + (1 << order)):
                if self.uses.get(page) not in (KERNEL, FREE, POISONED):
                    self.problems.append(f"pfn {page:#x}, in the free block at {pfn:#x}, is {self.uses.get(page)}")
                if self.uses.get(page) == KERNEL:
                    self.uses[page] = FREE

    def free_pages(self):
        """Pages on the free lists, as their struct pages say."""
        return sum(1 << order for order in self.free_blocks.values())

    def count(self):
        return collections.Counter(self.uses.values())


def is_excluded(use, level):
    """Whether a dump level excludes the pages of a use."""
    return use in ALWAYS or bool(level & BITS.get(use, 0))


def page_set(pfns):
    """A set of pages as a number: bit 0 is pfn 0."""
    bits = bytearray()
    for pfn in pfns:
        if pfn >> 3 >= len(bits):
            bits.extend(bytes((pfn >> 3) + 1 - len(bits)))
        bits[pfn >> 3] |= 1 << (pfn & 7)
    return int.from_bytes(bits, "little")


def members(pages, limit=None):
    """The numbers of the pages in a set, in order."""
    found = []
    bits = pages.to_bytes((pages.bit_length() + 7) // 8, "little")
    for index, byte in enumerate(bits):
        if byte:
            found.extend(index * 8 + bit for bit in range(8) if byte >> bit & 1)
            if limit and len(found) >= limit:
                return found[:limit]
    return found


def by_use(uses):
    """For each use, its pages as a page set."""
    found = collections.defaultdict(list)
    for pfn, use in uses.items():
        found[use].append(pfn)
    return {use: page_set(pfns) for use, pfns in found.items()}


def expected(present, uses):
    """For each level, the pages that a dump keeps: page sets."""
    of = by_use(uses)
    kept = []
    for level in LEVELS:
        pages = present
        for use, pfns in of.items():
            if is_excluded(use, level):
                pages &= ~pfns
        kept.append(pages)
    return kept
