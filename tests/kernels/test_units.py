"""python3 -m unittest discover -s tests/kernels: what the judge consists of, without a kernel or a dump."""

import struct
import tempfile
import unittest

import boot_image
import console
import files
import pages
import table
import translation

SIZE = 64
START = 0xFFFFEA0000000000
BITS = {"lru": 4, "head": 6, "slab": 9, "private": 13, "swapcache": 10, "swapbacked": 19, "hwpoison": 21}
TYPES = {"buddy": 0xF0, "offline": 0xF1, "unaccepted": 0xF7, "hugetlb": 0xF4}
# No page_type: a _mapcount of -1.
UNMAPPED = 0xFFFFFFFF
TABLE = 0xF2000000


def layout(**changes):
    members = {"flags": 0, "compound": 8, "mapping": 24, "private": 40, "page_type": 48}
    return pages.Layout(**{"size": SIZE, "byte_order": "little", **members, "bits": BITS, "types": TYPES, **changes})


def page(*flags, compound=0, mapping=0, private=0, page_type=UNMAPPED, order="<", dtor=0):
    data = bytearray(SIZE)
    struct.pack_into(order + "QQ", data, 0, sum(1 << BITS[flag] for flag in flags), compound)
    struct.pack_into(order + "QQQI", data, 24, mapping, 0, private, page_type)
    data[16] = dtor
    return bytes(data)


def tail(head, **more):
    """A tail of the compound page whose head has this pfn."""
    return page(compound=(START + head * SIZE) | 1, **more)


def classified(*struct_pages, first=0, **changes):
    return pages.Memory(layout(**changes), [(first, START + first * SIZE, b"".join(struct_pages))])


def uses(*struct_pages, **changes):
    memory = classified(*struct_pages, **changes)
    return [memory.uses[pfn] for pfn in sorted(memory.uses)]


class Rules(unittest.TestCase):
    def test_a_page_on_the_lru_lists_is_cache_unless_it_is_anonymous(self):
        found = uses(page("lru"), page("lru", "private"), page("lru", mapping=0x1001), page())
        self.assertEqual(found, [pages.CACHE, pages.PRIVATE, pages.USER, pages.KERNEL])

    def test_a_page_in_the_swap_cache_needs_both_flags(self):
        found = uses(page("swapcache"), page("swapcache", "swapbacked"))
        self.assertEqual(found, [pages.KERNEL, pages.CACHE])

    def test_a_movable_page_of_the_kernel_is_not_anonymous(self):
        self.assertEqual(uses(page(mapping=0x1002), page(mapping=0x1003)), [pages.KERNEL, pages.USER])

    def test_a_page_with_a_type_is_the_kernels_whatever_its_mapping_seems(self):
        found = uses(page(page_type=TABLE, mapping=0x1001), page(page_type=0xF1000000))
        self.assertEqual(found, [pages.KERNEL, pages.OFFLINE])

    def test_a_number_of_mappings_is_not_a_type(self):
        self.assertEqual(uses(page("lru", page_type=3), page("lru", page_type=UNMAPPED)), [pages.CACHE] * 2)

    def test_the_first_page_of_a_free_block_is_marked_for_all_of_it(self):
        memory = classified(page(page_type=0xF0000000, private=2), page(), page(), page(), page())
        self.assertEqual([memory.uses[pfn] for pfn in range(5)], [pages.FREE] * 4 + [pages.KERNEL])
        self.assertEqual((memory.free_pages(), memory.problems), (4, []))

    def test_a_free_block_that_is_not_aligned_or_that_is_in_use_is_a_problem(self):
        for struct_pages in [
            (page(), page(page_type=0xF0000000, private=1), page()),
            (page(page_type=0xF0000000, private=1), page("lru")),
        ]:
            self.assertEqual(len(classified(*struct_pages).problems), 1)

    def test_a_tail_is_what_its_head_is(self):
        found = uses(page("head", mapping=0x1001), tail(0), page("head", "lru"), tail(2))
        self.assertEqual(found, [pages.USER] * 2 + [pages.CACHE] * 2)

    def test_a_tail_may_have_a_mask_instead_of_a_pointer(self):
        mask = (1 << 64) - (2 * SIZE) | 1
        self.assertEqual(uses(page("head", mapping=0x1001), page(compound=mask), first=4), [pages.USER] * 2)

    def test_a_tail_without_a_head_is_a_problem(self):
        self.assertEqual(len(classified(page(), tail(7)).problems), 1)

    def test_a_poisoned_tail_is_poisoned_alone(self):
        slab = 0xF5000000
        found = uses(page("head", page_type=slab), tail(0), page("head", page_type=slab), tail(2))
        self.assertEqual(found, [pages.KERNEL] * 4)
        poisoned = bytearray(tail(0))
        poisoned[0:8] = (1 << BITS["hwpoison"]).to_bytes(8, "little")
        found = uses(page("head", page_type=slab), bytes(poisoned), tail(0))
        self.assertEqual(found, [pages.KERNEL, pages.POISONED, pages.KERNEL])

    def test_a_poisoned_hugetlb_page_is_poisoned_as_a_whole(self):
        hugetlb = 0xF4000000
        found = uses(page("head", "hwpoison", page_type=hugetlb), tail(0), page("head", page_type=hugetlb), tail(2))
        self.assertEqual(found, [pages.POISONED] * 2 + [pages.USER] * 2)

    def test_old_types_are_bits_that_are_cleared(self):
        found = uses(
            page(page_type=0xFFFFFF7F, private=0), page(page_type=0xFFFFFEFF), page(page_type=0xFFFFFDFF, mapping=1), types=None
        )
        self.assertEqual(found, [pages.FREE, pages.OFFLINE, pages.KERNEL])

    def test_old_hugetlb_pages_are_marked_in_their_first_tail(self):
        old = {"types": None, "dtor": 16, "hugetlb_dtor": 2}
        self.assertEqual(uses(page("head"), tail(0, dtor=2), **old), [pages.USER] * 2)
        self.assertEqual(uses(page("head"), tail(0, dtor=1), **old), [pages.KERNEL] * 2)

    def test_an_old_slab_page_is_the_kernels_whatever_else_it_says(self):
        self.assertEqual(uses(page("slab", mapping=1, page_type=0xFFFFFF7F), types=None), [pages.KERNEL])

    def test_big_endian_struct_pages(self):
        self.assertEqual(uses(page("lru", order=">"), byte_order="big"), [pages.CACHE])


class Levels(unittest.TestCase):
    def test_each_level_excludes_the_classes_of_its_bits(self):
        order = [pages.KERNEL, pages.FREE, pages.CACHE, pages.PRIVATE, pages.USER, pages.POISONED, pages.OFFLINE]
        kept = pages.expected(0x1FF, dict(enumerate(order)))
        # Pages 7 and 8 have no struct page.
        self.assertEqual(len(kept), 32)
        told = {level: pages.members(kept[level]) for level in (0, 1, 2, 4, 8, 16, 31)}
        everything = [0, 1, 2, 3, 4, 7, 8]
        without = lambda *pfns: [pfn for pfn in everything if pfn not in pfns]
        self.assertEqual(told, {
            0: everything, 1: everything, 2: without(2), 4: without(2, 3), 8: without(4), 16: without(1), 31: [0, 7, 8],
        })

    def test_page_sets(self):
        pfns = [0, 7, 8, 1000]
        self.assertEqual(pages.members(pages.page_set(pfns)), pfns)
        self.assertEqual(pages.members(pages.page_set(pfns), 2), [0, 7])
        self.assertEqual(pages.page_set([]), 0)


def vmcore(order, loads, notes):
    """An ELF file with section headers before its program headers, as QEMU writes it."""
    start = 64 + 64
    at = start + 56 * (len(loads) + 1)
    header = b"\x7fELF\x02" + bytes([1 if order == "<" else 2, 1]) + bytes(9)
    header += struct.pack(order + "HHIQQQIHHHHHH", 4, 22, 1, 0, start, 64, 0, 64, 56, len(loads) + 1, 64, 1, 0)
    programs = struct.pack(order + "IIQQQQQQ", 4, 0, at, 0, 0, len(notes), len(notes), 0)
    data = notes
    for address, content in loads:
        programs += struct.pack(order + "IIQQQQQQ", 1, 7, at + len(data), 0, address, len(content), len(content), 0)
        data += content
    return header + bytes(64) + programs + data


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def written(self, data):
        path = f"{self.folder}/input"
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_pages_are_those_that_are_whole(self):
        path = self.written(vmcore("<", [(0x5800, b"a" * 0x800 + b"b" * 0x1000 + b"c")], b""))
        with files.Vmcore(path) as core:
            self.assertEqual(list(core.pages(0x1000)), [(6, b"b" * 0x1000)])

    def test_a_note_is_added_from_the_memory(self):
        for order in "<>":
            found = files.note(order, b"VMCOREINFO", b"OSRELEASE=7.3.4\n")
            memory = bytes(0x100) + found + bytes(0x1000 - 0x100 - len(found))
            path = self.written(vmcore(order, [(0x4000, memory)], files.note(order, b"CORE", b"regs")))
            console = f"KERNELS-VMCOREINFO 0x4100 {len(found):x}\r\n"
            target = f"{self.folder}/output"
            self.assertTrue(files.with_vmcoreinfo(path, target, console))
            with files.Vmcore(target) as copy:
                self.assertIn(b"OSRELEASE=7.3.4\n", copy.notes())
                self.assertIn(b"regs", copy.notes())
                self.assertEqual(copy.memory(0x4000, 0x1000), memory)
                # Program headers follow the header; there are no sections.
                self.assertEqual(struct.unpack_from(order + "QQ", copy.header, 32), (64, 0))
            # A second time there is nothing to add.
            self.assertFalse(files.with_vmcoreinfo(target, f"{self.folder}/again", ""))

    def test_a_vmcore_without_vmcoreinfo_anywhere_is_refused(self):
        path = self.written(vmcore("<", [(0x4000, bytes(0x1000))], b""))
        with self.assertRaises(ValueError):
            files.with_vmcoreinfo(path, f"{self.folder}/output", "nothing")

    def test_the_pages_of_a_kdump_file(self):
        for order in "<>":
            header = bytearray(0x1000)
            header[:8] = b"KDUMP   "
            struct.pack_into(order + "I", header, 8, 6)
            struct.pack_into(order + "III", header, 428, 0x1000, 1, 2)
            bitmap = bytes([0b1011]) + bytes(0xFFF)
            descriptors = b"".join(struct.pack(order + "QIIQ", offset, 9, 0, 0) for offset in (0x9000, 0xA000, 0x9000))
            path = self.written(bytes(header) + bytes(0x1000) + bytes([0xFF]) + bytes(0xFFF) + bitmap + descriptors)
            dump = files.Kdump(path)
            self.assertEqual((dump.block_size, dump.kept, dump.sharing()), (0x1000, 0b1011, 0b1001))


class Objections(unittest.TestCase):
    def test_what_is_said_at_several_levels_is_said_once(self):
        found = table.Findings()
        for level in (0, 1, 2, 5):
            found.add("ELF", level, "1 page kept")
        found.add("kdump", 5, "1 page kept")
        self.assertEqual(found.texts(), ["ELF, levels 0-2, 5: 1 page kept", "kdump, level 5: 1 page kept"])


class Console(unittest.TestCase):
    TEXT = "SLOF \r\n[    0.000000] one\r\n[    1.500000][    T1] two \r\nls: no such file\r\n[   12.000001] three\r\n"

    def test_the_kernels_lines_are_found_among_others(self):
        self.assertEqual(console.records(self.TEXT), ["[    0.000000] one", "[    1.500000][    T1] two", "[   12.000001] three"])

    def test_a_record_may_follow_what_firmware_wrote(self):
        self.assertEqual(console.records("#1 SMP PREEMPT D[    1.499695] EEH\n"), ["[    1.499695] EEH"])

    def test_a_record_of_several_lines_has_its_time_once_in_the_log(self):
        log = console.records("[    1.000000] one\n               two\n                three\n  x\n")
        printed = console.records("[    1.000000] one\n[    1.000000] two\n[    1.000000]  three\n")
        self.assertEqual(log, printed)

    def test_a_line_may_be_on_the_console_twice(self):
        self.assertEqual(console.differences(["a", "b"], ["a", "a", "b"]), [])

    def test_what_one_lacks_is_said(self):
        self.assertEqual(console.differences(["a", "b"], ["a"]), ["only in the log: b"])
        self.assertEqual(console.differences(["a"], ["a", "b"]), ["only on the console: b"])

    def test_another_order_is_a_difference(self):
        self.assertEqual(console.differences(["b", "a"], ["a", "b"]), ["only in the log: a"])

    def test_a_record_that_the_log_has_twice_is_a_difference(self):
        self.assertEqual(console.differences(["a", "a"], ["a"]), ["only in the log: a"])


class Translation(unittest.TestCase):
    def test_loong64_has_three_levels_and_huge_pages(self):
        window = 0x9000 << 48
        # A table at 0x4000 leads to one at 0x8000, that to one at 0xC000 and to a huge page.
        memory = {
            0x4000 + 2047 * 8: window | 0x8000,
            0x8000 + 3 * 8: window | 0xC000,
            0x8000 + 4 * 8: 0xAC000000 | 1 << 6 | 1,
            0xC000 + 5 * 8: 0xA0014000 | 0xD3,
            0xC000 + 6 * 8: 0,
        }
        base = (1 << 64) - (1 << 36)
        address = lambda middle, last, offset: base | middle << 25 | last << 14 | offset
        read = lambda address: translation.Loong64().translate(memory.get, 0x4000, address)
        self.assertEqual(read(address(3, 5, 0x10)), (0xA0014010, 0x3FF0))
        self.assertEqual(read(address(4, 5, 0x10)), (0xAC000000 + (5 << 14) + 0x10, (1 << 25) - (5 << 14) - 0x10))
        self.assertIsNone(read(address(3, 6, 0)))

    def test_riscv64_has_levels_by_its_address_bits(self):
        entry = lambda address, flags: address >> 12 << 10 | flags
        memory = {
            0x1000 + 511 * 8: entry(0x2000, 1),
            0x2000 + 1 * 8: entry(0x3000, 1),
            0x2000 + 2 * 8: entry(0x80200000, 0b1111),
            0x3000 + 4 * 8: entry(0x87654000, 0b0111),
            0x3000 + 5 * 8: 0,
        }
        read = lambda address: translation.Riscv64(39).translate(memory.get, 0x1000, address)
        base = (1 << 64) - (1 << 30)
        self.assertEqual(read(base | 1 << 21 | 4 << 12 | 0x20), (0x87654020, 0xFE0))
        self.assertEqual(read(base | 2 << 21 | 4 << 12 | 0x20), (0x80204020, (1 << 21) - 0x4020))
        self.assertIsNone(read(base | 1 << 21 | 5 << 12))
        self.assertEqual([translation.Riscv64(bits).levels for bits in (39, 48, 57)], [3, 4, 5])


class Table(unittest.TestCase):
    def test_differences_have_their_kind_and_number(self):
        found = table.differences([0b0111, 0b0011], [0b1011, 0b1011], {2: pages.FREE, 3: pages.USER})
        self.assertEqual(found, ["excludes 1 user page", "keeps 1 free page"])
        self.assertEqual(table.differences([0b01], [0b11], {}), ["excludes 1 page without a struct page"])
        self.assertEqual(table.differences([1], [1], {}), [])

    def test_a_row_has_the_columns_of_the_head(self):
        row = table.row("case", "7.3.4", 16384, 100, 40, {pages.FREE: 60}, "equal", 300, True)
        self.assertEqual(row.count("|"), table.head()[0].count("|"))
        self.assertIn("| 16 KiB | 40 of 100 | 60 | 0 |", row)
        self.assertTrue(row.endswith("| passed |"))


class BootImage(unittest.TestCase):
    def test_an_image_that_unpacks_itself_is_recognised(self):
        header = b"MZ\0\0zimg" + struct.pack("<II", 64, 3) + bytes(8) + b"zstd22".ljust(32, b"\0") + bytes(8)
        self.assertEqual(boot_image.packed(header + b"abcdef"), (b"abc", b"zstd"))
        self.assertIsNone(boot_image.packed(b"MZ\0\0" + bytes(60)))


if __name__ == "__main__":
    unittest.main()
