"""Virtual addresses of loong64, of which drgn 0.3 reads but physical ones.

As in arch/loongarch: windows of the CPU onto physical memory, and page tables of three levels for the rest.
"""

PAGE_SHIFT, INDEX_BITS = 14, 11
LEVELS = (PAGE_SHIFT + 2 * INDEX_BITS, PAGE_SHIFT + INDEX_BITS, PAGE_SHIFT)
PHYSICAL = (1 << 48) - 1
# An entry above the last level that maps memory itself.
HUGE = 1 << 6
# Uncached and cached.
WINDOWS = (0x8000 << 48, 0x9000 << 48)
# The upper half of the address space, which page tables map.
MAPPED = 0xFFFF << 48


def translate(entry_at, root, address):
    """The physical address of a mapped address, and the bytes up to the end of its page; None without a page.

    `entry_at` reads an entry of a table, `root` is the physical address of the highest table.
    """
    table = root
    for shift in LEVELS:
        entry = entry_at(table + (address >> shift & (1 << INDEX_BITS) - 1) * 8)
        if shift == PAGE_SHIFT or entry & HUGE:
            offset = address & (1 << shift) - 1
            # Bit 0 is valid.
            return ((entry & PHYSICAL) >> shift << shift | offset, (1 << shift) - offset) if entry & 1 else None
        # The virtual address of the next table, in a window.
        table = entry & PHYSICAL
    return None
