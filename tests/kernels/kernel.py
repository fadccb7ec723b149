"""What drgn reads from a vmcore with the debug information of its kernel."""

import re

import drgn
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.mm import for_each_valid_page_range
from drgn.helpers.linux.mmzone import for_each_online_pgdat
from drgn.helpers.linux.pid import for_each_task

import pages
import translation

# Bytes of struct pages that are read at once.
CHUNK = 1 << 20


def vmcoreinfo(program, pattern, base):
    """A number of VMCOREINFO."""
    return int(re.search(pattern, program["VMCOREINFO"].string_().decode())[1], base)


def add_virtual_memory(program):
    """Lets drgn read virtual addresses of the architectures that it cannot translate."""
    root = vmcoreinfo(program, r"SYMBOL\(swapper_pg_dir\)=([0-9a-f]+)", 16)
    if program.platform.arch == drgn.Architecture.LOONGARCH64:
        tables = translation.Loong64()
        root &= tables.WINDOW - 1
    elif program.platform.arch == drgn.Architecture.RISCV64:
        tables = translation.Riscv64(vmcoreinfo(program, r"NUMBER\(VA_BITS\)=(\d+)", 10))
        root -= vmcoreinfo(program, r"NUMBER\(va_kernel_pa_offset\)=0x([0-9a-f]+)", 16)
    else:
        return

    def entry_at(address):
        return int.from_bytes(program.read(address, 8, physical=True), "little")

    def read_window(_, size, at, __):
        return program.read(at, size, physical=True)

    def read_mapped(address, size, *_):
        data = b""
        while len(data) < size:
            found = tables.translate(entry_at, root, address + len(data))
            if found is None:
                raise drgn.FaultError("not mapped", address + len(data))
            start, left = found
            data += program.read(start, min(left, size - len(data)), physical=True)
        return data

    for window in tables.WINDOWS:
        program.add_memory_segment(window, tables.WINDOW, read_window, False)
    program.add_memory_segment(tables.MAPPED, (1 << 64) - tables.MAPPED, read_mapped, False)


def opened(core, vmlinux):
    program = drgn.Program()
    program.set_core_dump(core)
    add_virtual_memory(program)
    program.load_debug_info([vmlinux])
    return program


def enumerator(program, name):
    """A constant of the kernel, or None in kernels that do not have it."""
    try:
        return program.constant(name).value_()
    except LookupError:
        return None


def layout(program):
    """struct page, from debug information alone."""
    page = program.type("struct page")

    def offset(*names):
        for name in names:
            try:
                return drgn.offsetof(page, name)
            except LookupError:
                continue
        return None

    flags = ["lru", "head", "slab", "private", "swapcache", "swapbacked", "hwpoison"]
    bits = {flag: enumerator(program, f"PG_{flag}") for flag in flags}
    names = ["buddy", "offline", "unaccepted", "hugetlb"]
    types = {name: enumerator(program, f"PGTY_{name}") for name in names}
    types = {name: number for name, number in types.items() if number is not None}
    little = program.platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN
    return pages.Layout(
        size=drgn.sizeof(page),
        byte_order="little" if little else "big",
        flags=offset("flags"),
        mapping=offset("mapping"),
        private=offset("private"),
        page_type=offset("page_type"),
        compound=offset("compound_info", "compound_head"),
        bits={flag: bit for flag, bit in bits.items() if bit is not None},
        types=types or None,
        dtor=offset("compound_dtor"),
        hugetlb_dtor=enumerator(program, "HUGETLB_PAGE_DTOR"),
    )


def memory(program):
    """All struct pages of the kernel, classified."""
    size = drgn.sizeof(program.type("struct page"))
    sections = []
    for first, end, mem_map in for_each_valid_page_range(program):
        start = mem_map.value_()
        begin, data = first, bytearray()
        for pfn in range(first, end, CHUNK // size):
            number = min(CHUNK // size, end - pfn)
            try:
                data += program.read(start + pfn * size, number * size)
            except drgn.FaultError:
                # Memory that was never there has no struct pages in parts of its section.
                if data:
                    sections.append((begin, start + begin * size, bytes(data)))
                begin, data = pfn + number, bytearray()
                continue
        if data:
            sections.append((begin, start + begin * size, bytes(data)))
    return pages.Memory(layout(program), sections)


def zones(program):
    for node in for_each_online_pgdat(program):
        for zone in node.node_zones:
            if zone.spanned_pages:
                yield zone


def free_by_counters(program):
    """Free pages as the counters of the zones' lists say."""
    total = 0
    for zone in zones(program):
        for order, area in enumerate(zone.free_area):
            total += area.nr_free.value_() << order
    return total


def free_by_lists(program, size, first_page):
    """Free blocks, pfn and order, as found on the zones' lists. `first_page` is the address of pfn 0's struct page."""
    blocks = {}
    member = "buddy_list" if program.type("struct page").has_member("buddy_list") else "lru"
    for zone in zones(program):
        for order, area in enumerate(zone.free_area):
            for head in area.free_list:
                for page in list_for_each_entry("struct page", head.address_of_(), member):
                    blocks[(page.value_() - first_page) // size] = order
    return blocks


def tasks(program):
    return sorted((task.pid.value_(), task.comm.string_()) for task in for_each_task(program))
