"""Just enough of the two formats: pages and notes of a 64-bit ELF vmcore, the bitmap of a kdump file."""

import collections
import re
import struct

import pages

PT_LOAD, PT_NOTE = 1, 4
ELF_HEADER, PROGRAM_HEADER = 64, 56


class Vmcore:
    """A 64-bit ELF vmcore of either byte order."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.header = self.file.read(ELF_HEADER)
        if self.header[:5] != b"\x7fELF\x02":
            raise ValueError(f"{path} is not a 64-bit ELF file")
        self.order = "<" if self.header[5] == 1 else ">"
        (offset,) = struct.unpack_from(self.order + "Q", self.header, 32)
        size, number = struct.unpack_from(self.order + "HH", self.header, 54)
        if number == 0xFFFF:
            raise ValueError(f"{path} has more segments than its header can count")
        self.segments = []
        for index in range(number):
            self.file.seek(offset + index * size)
            fields = struct.unpack(self.order + "IIQQQQQQ", self.file.read(PROGRAM_HEADER))
            self.segments.append(fields)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def loads(self):
        """Physical address, file offset and bytes of each segment with memory, by address."""
        loads = [(s[4], s[2], s[5]) for s in self.segments if s[0] == PT_LOAD and s[5]]
        return sorted(loads)

    def notes(self):
        """All bytes of all notes."""
        return b"".join(self._at(s[2], s[5]) for s in self.segments if s[0] == PT_NOTE)

    def _at(self, offset, size):
        self.file.seek(offset)
        return self.file.read(size)

    def memory(self, address, size):
        """Physical memory, which must be in one segment."""
        for start, offset, length in self.loads():
            if start <= address and address + size <= start + length:
                return self._at(offset + address - start, size)
        raise ValueError(f"the vmcore has no memory at {address:#x}")

    def pages(self, page_size):
        """Number and bytes of each page that is whole in a segment."""
        for start, offset, length in self.loads():
            first = -(-start // page_size)
            self.file.seek(offset + first * page_size - start)
            for pfn in range(first, (start + length) // page_size):
                yield pfn, self.file.read(page_size)


def note(order, name, payload):
    """An ELF note."""
    name += b"\0"
    pad = lambda data: data + bytes(-len(data) % 4)
    return struct.pack(order + "III", len(name), len(payload), 0) + pad(name) + pad(payload)


def announced(console):
    """Address and size of the VMCOREINFO note, which the guest's /init prints (/sys/kernel/vmcoreinfo)."""
    found = re.search(r"KERNELS-VMCOREINFO (?:0x)?([0-9a-f]+) ([0-9a-f]+)", console)
    return (int(found[1], 16), int(found[2], 16)) if found else None


def with_vmcoreinfo(source, target, console):
    """Copies a vmcore in the layout of the kernel's /proc/vmcore, with VMCOREINFO.

    Program headers follow the ELF header, and there are no section headers: makedumpfile up to 1.7.8
    ignores e_phoff, and so refuses QEMU's files. QEMU's machines s390x and pseries have no VMCOREINFO
    device, so the note comes from the guest's memory. Returns whether the note had to be added.
    """
    with Vmcore(source) as core:
        return _with_vmcoreinfo(core, target, console)


def _with_vmcoreinfo(core, target, console):
    notes = core.notes()
    missing = b"VMCOREINFO\0" not in notes
    if missing:
        if announced(console) is None:
            raise ValueError("neither the vmcore nor the console has VMCOREINFO")
        found = core.memory(*announced(console))
        name_bytes, text_bytes = struct.unpack_from(core.order + "II", found)
        start = 12 + (name_bytes + 3 & ~3)
        if found[12:22] != b"VMCOREINFO":
            raise ValueError("there is no VMCOREINFO where the console says")
        notes += note(core.order, b"VMCOREINFO", found[start : start + text_bytes])
    loads = [s for s in core.segments if s[0] == PT_LOAD]
    header = bytearray(core.header)
    struct.pack_into(core.order + "QQ", header, 32, ELF_HEADER, 0)
    struct.pack_into(core.order + "HHHHHH", header, 52, ELF_HEADER, PROGRAM_HEADER, len(loads) + 1, 0, 0, 0)
    at = ELF_HEADER + PROGRAM_HEADER * (len(loads) + 1)
    with open(target, "wb") as output:
        output.write(header)
        output.write(struct.pack(core.order + "IIQQQQQQ", PT_NOTE, 0, at, 0, 0, len(notes), len(notes), 4))
        at += len(notes)
        for kind, flags, _, virtual, physical, in_file, in_memory, align in loads:
            fields = (kind, flags, at, virtual, physical, in_file, in_memory, align)
            output.write(struct.pack(core.order + "IIQQQQQQ", *fields))
            at += in_file
        output.write(notes)
        for segment in loads:
            core.file.seek(segment[2])
            left = segment[5]
            while left:
                data = core.file.read(min(left, 1 << 20))
                if not data:
                    raise ValueError("the vmcore is too short")
                left -= len(data)
                if data.count(0) == len(data):
                    output.seek(len(data), 1)
                else:
                    output.write(data)
        output.truncate(at)
    return missing


class Kdump:
    """A plain kdump file of a 64-bit kernel."""

    def __init__(self, path):
        with open(path, "rb") as dump:
            header = dump.read(464)
            if header[:8] != b"KDUMP   ":
                raise ValueError(f"{path} is not a kdump file")
            # header_version is a small number.
            order = "<" if header[8] else ">"
            self.block_size, sub_blocks, bitmap_blocks = struct.unpack_from(order + "III", header, 428)
            # Two bitmaps: of the machine's pages, and of those that the file has.
            half = bitmap_blocks // 2 * self.block_size
            dump.seek(self.block_size * (1 + sub_blocks) + half)
            self.bitmap = dump.read(half)
            # A page descriptor: offset, size, flags of the stored page, flags of the struct page.
            descriptors = dump.read(24 * self.kept.bit_count())
            self.offsets = [offset for offset, *_ in struct.iter_unpack(order + "QIIQ", descriptors)]

    @property
    def kept(self):
        """The pages that the file has, as a page set."""
        return int.from_bytes(self.bitmap, "little")

    def sharing(self):
        """Those pages that share their stored bytes with others, as zero pages do."""
        times = collections.Counter(self.offsets)
        pairs = zip(pages.members(self.kept), self.offsets)
        return pages.page_set(pfn for pfn, offset in pairs if times[offset] > 1)
