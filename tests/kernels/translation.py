"""Page tables of the architectures of which drgn 0.3 reads but physical addresses: loong64 and riscv64."""

import dataclasses

# An entry that the CPU may use, on both.
VALID = 1


@dataclasses.dataclass
class Tables:
    """How the page tables of an architecture look."""

    page_shift: int
    index_bits: int
    levels: int

    def translate(self, entry_at, root, address):
        """The physical address, and the bytes up to the end of its page; None without a page.

        `entry_at` reads an entry at a physical address, `root` is that of the highest table.
        """
        table = root
        for level in reversed(range(self.levels)):
            shift = self.page_shift + level * self.index_bits
            entry = entry_at(table + (address >> shift & (1 << self.index_bits) - 1) * 8)
            if level == 0 or self.is_page(entry):
                if not entry & VALID:
                    return None
                offset = address & (1 << shift) - 1
                return self.physical(entry) >> shift << shift | offset, (1 << shift) - offset
            table = self.physical(entry)
            if not table:
                return None
        return None


class Loong64(Tables):
    """arch/loongarch/include/asm/pgtable-bits.h, with 16 KiB pages."""

    # Windows of the CPU onto physical memory, uncached and cached, of so many bytes.
    WINDOWS = (0x8000 << 48, 0x9000 << 48)
    WINDOW = 1 << 48
    # What page tables map: the upper half of the address space.
    MAPPED = 0xFFFF << 48
    HUGE = 1 << 6

    def __init__(self):
        super().__init__(page_shift=14, index_bits=11, levels=3)

    def is_page(self, entry):
        return bool(entry & self.HUGE)

    def physical(self, entry):
        # Of the next table it is the address in a window.
        return (entry & self.WINDOW - 1) >> 12 << 12


class Riscv64(Tables):
    """arch/riscv/include/asm/pgtable.h: Sv39, Sv48, Sv57."""

    WINDOWS = ()
    MAPPED = 0xFF << 56
    READ_WRITE_EXECUTE = 0b1110

    def __init__(self, va_bits):
        super().__init__(page_shift=12, index_bits=9, levels=(va_bits - 12) // 9)

    def is_page(self, entry):
        return bool(entry & self.READ_WRITE_EXECUTE)

    def physical(self, entry):
        return (entry >> 10 & (1 << 44) - 1) << 12
