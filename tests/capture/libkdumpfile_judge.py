#!/usr/bin/python3
"""libkdumpfile_judge.py VMCORE DUMP [PAGES]: what libkdumpfile makes of DUMP, held against VMCORE.

Every page that DUMP has must be in VMCORE, with the same bytes; VMCOREINFO must be the same, and the registers of
the CPUs where libkdumpfile knows the architecture's (0.5.1 does not know riscv64's and loongarch64's). With PAGES, DUMP must have so many. The last line has the addresses of some pages, of those that
are not zeros, for others to read. Exit code 0: no objection.
"""

import sys

import kdumpfile
from kdumpfile.exceptions import NoDataException

CHUNK = 64


def opened(path):
    dump = kdumpfile.kdumpfile(file=path)
    dump.attr["addrxlat.ostype"] = "linux"
    return dump


def pages(dump):
    """Numbers of the pages that the file has, as (first, end)."""
    bitmap = dump.attr["file.pagemap"]
    end = 0
    while True:
        try:
            first = bitmap.find_set(end)
        except NoDataException:
            return
        # libkdumpfile 0.5.1 ends a page that a segment has in part before it starts.
        end = max(bitmap.find_clear(first), first + 1)
        for start in range(first, end, CHUNK):
            yield start, min(start + CHUNK, end)


def read(dump, first, end, size):
    return bytes(dump.read(kdumpfile.KDUMP_MACHPHYSADDR, first * size, (end - first) * size))


def texts(attribute, name=""):
    """Name and text of all attributes below one."""
    if hasattr(attribute, "items"):
        for key, value in attribute.items():
            yield from texts(value, f"{name}.{key}")
        return
    try:
        # A blob.
        yield name, memoryview(attribute).tobytes()
    except TypeError:
        yield name, str(attribute)


def main():
    vmcore, dump = (opened(path) for path in sys.argv[1:3])
    size = dump.attr["arch.page_size"]
    objections = []
    same = 0
    sample = []
    for first, end in pages(dump):
        ours = read(dump, first, end, size)
        try:
            theirs = read(vmcore, first, end, size)
        except NoDataException:
            theirs = b""
        if ours == theirs:
            same += end - first
        else:
            # Page by page: VMCORE may have but a part of one.
            for pfn in range(first, end):
                page = read(dump, pfn, pfn + 1, size)
                try:
                    if page == read(vmcore, pfn, pfn + 1, size):
                        same += 1
                    else:
                        objections.append(f"page {pfn:#x} differs")
                except NoDataException:
                    objections.append(f"page {pfn:#x} is not in {sys.argv[1]}")
        if ours[:size].strip(b"\0"):
            sample.append(first * size)
    if len(sys.argv) > 3 and same + len(objections) != int(sys.argv[3]):
        objections.append(f"{same} pages instead of {sys.argv[3]}")
    for name in ("cpu", "linux.vmcoreinfo"):
        one, other = (dict(texts(d.attr[name])) if name in d.attr else None for d in (vmcore, dump))
        if one != other or not (one or name == "cpu"):
            objections.append(f"{name} differs: {len(one)} attributes, {len(other)}")
    for objection in objections[:16]:
        print(objection)
    print(f"{same} pages the same, {len(objections)} objections")
    step = max(len(sample) // 8, 1)
    print("sample", *(f"{address:#x}" for address in sample[::step][:8]))
    sys.exit(1 if objections or not same else 0)


main()
