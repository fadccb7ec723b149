#!/usr/bin/env python3
"""drgn_judge.py VMCORE DUMP [VMLINUX]: what drgn makes of DUMP, held against VMCORE.

DUMP must open with the same VMCOREINFO, and each page of VMCORE that can be read from it must have the same bytes.
With VMLINUX, the lists of tasks must be the same, too. Exit code 0: no objection.
"""

import re
import struct
import sys

import drgn


def loads(path, page):
    """Physical start and end of the segments of a 64-bit core, in whole pages."""
    with open(path, "rb") as core:
        header = core.read(64)
        assert header[:5] == b"\x7fELF\x02", f"{path} is no 64-bit ELF file"
        order = "<" if header[5] == 1 else ">"
        offset, size, number = (*struct.unpack_from(order + "Q", header, 32), *struct.unpack_from(order + "HH", header, 54))
        for i in range(number):
            core.seek(offset + i * size)
            kind, _, _, _, start, bytes_, _, _ = struct.unpack(order + "IIQQQQQQ", core.read(56))
            if kind == 1 and bytes_:
                yield -(-start // page) * page, (start + bytes_) // page * page


def opened(path):
    program = drgn.Program()
    program.set_core_dump(path)
    if len(sys.argv) > 3:
        program.load_debug_info([sys.argv[3]])
    return program


def read(program, address, size):
    try:
        return program.read(address, size, physical=True)
    except drgn.FaultError:
        return None


def main():
    vmcore, dump = (opened(path) for path in sys.argv[1:3])
    info = [program["VMCOREINFO"].string_() for program in (vmcore, dump)]
    page = int(re.search(rb"^PAGESIZE=(\d+)$", info[0], re.MULTILINE)[1])
    same = missing = wrong = 0
    for start, end in loads(sys.argv[1], page):
        for chunk in range(start, end, 16 * page):
            size = min(16 * page, end - chunk)
            expected = read(vmcore, chunk, size)
            found = read(dump, chunk, size)
            if found == expected is not None:
                same += size // page
                continue
            for i in range(0, size, page):
                found = read(dump, chunk + i, page)
                if found is None:
                    missing += 1
                elif found == read(vmcore, chunk + i, page):
                    same += 1
                else:
                    wrong += 1
                    print(f"page at {chunk + i:#x} differs")
    if info[0] != info[1] or b"OSRELEASE=" not in info[0]:
        wrong += 1
        print("VMCOREINFO differs")
    print(f"{same} pages the same, {missing} left out, {wrong} objections")
    if len(sys.argv) > 3:
        from drgn.helpers.linux.pid import for_each_task

        tasks = [[(t.pid.value_(), t.comm.string_()) for t in for_each_task(p)] for p in (vmcore, dump)]
        print(f"{len(tasks[1])} tasks")
        if tasks[0] != tasks[1] or len(tasks[0]) < 20:
            wrong += 1
            print(f"another list of tasks than {sys.argv[1]} has, which has {len(tasks[0])}")
    sys.exit(1 if wrong or not same else 0)


main()
