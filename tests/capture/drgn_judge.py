#!/usr/bin/env python3
"""drgn_judge.py VMCORE DUMP [VMLINUX]: what drgn makes of DUMP, held against VMCORE.

DUMP must open with the same VMCOREINFO, and each page of VMCORE that can be read from it must have the same bytes.
With VMLINUX, the lists of tasks must be the same, too. Exit code 0: no objection.
"""

import struct
import sys

import drgn

PAGE = 4096
CHUNK = 16 * PAGE


def loads(path):
    """Physical start and end of the segments of an x86_64 core, in whole pages."""
    with open(path, "rb") as core:
        header = core.read(64)
        assert header[:6] == b"\x7fELF\x02\x01", f"{path} is no 64-bit little-endian ELF file"
        offset, size, number = (*struct.unpack_from("<Q", header, 32), *struct.unpack_from("<HH", header, 54))
        for i in range(number):
            core.seek(offset + i * size)
            kind, _, _, _, start, bytes_, _, _ = struct.unpack("<IIQQQQQQ", core.read(56))
            if kind == 1 and bytes_:
                yield -(-start // PAGE) * PAGE, (start + bytes_) // PAGE * PAGE


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
    same = missing = wrong = 0
    for start, end in loads(sys.argv[1]):
        for chunk in range(start, end, CHUNK):
            size = min(CHUNK, end - chunk)
            expected = read(vmcore, chunk, size)
            found = read(dump, chunk, size)
            if found == expected is not None:
                same += size // PAGE
                continue
            for i in range(0, size, PAGE):
                found = read(dump, chunk + i, PAGE)
                if found is None:
                    missing += 1
                elif found == read(vmcore, chunk + i, PAGE):
                    same += 1
                else:
                    wrong += 1
                    print(f"page at {chunk + i:#x} differs")
    info = [program["VMCOREINFO"].string_() for program in (vmcore, dump)]
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
