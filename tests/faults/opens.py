"""Whether libkdumpfile opens dumps that were kept, and reads no page of them wrongly.

Run as: opens.py FOLDER, which has pairs of files N.vmcore (an ELF64 core, little-endian) and
N.kdump; with /usr/bin/python3, which has Debian's python3-libkdumpfile.
"""

import glob
import struct
import sys

import kdumpfile
from kdumpfile import exceptions

PAGE = 4096
# What it says of a descriptor of zeros. They stay if the tables cannot be put in order either.
UNWRITTEN = "Wrong page size: 0"


def memory(name):
    """The pages that the core has as a whole, by their number."""
    core = open(name, "rb").read()
    phoff, = struct.unpack_from("<Q", core, 32)
    size, count = struct.unpack_from("<HH", core, 54)
    pages = {}
    for index in range(count):
        kind, _, offset, _, paddr, filesz = struct.unpack_from("<IIQQQQ", core, phoff + index * size)
        if kind != 1:
            continue
        first = -(-paddr // PAGE)
        for pfn in range(first, (paddr + filesz) // PAGE):
            at = offset + pfn * PAGE - paddr
            pages.setdefault(pfn, core[at : at + PAGE])
    return pages


def main(folder):
    cores = {}
    for name in sorted(glob.glob(folder + "/*.kdump")):
        core = open(name[: -len("kdump")] + "name").read()
        if core not in cores:
            cores[core] = memory(core)
        dump = kdumpfile.kdumpfile(file=name)
        right = 0
        for pfn, expected in cores[core].items():
            try:
                found = bytes(dump.read(kdumpfile.KDUMP_MACHPHYSADDR, pfn * PAGE, PAGE))
            except exceptions.NoDataException:
                continue
            except exceptions.CorruptException as error:
                if UNWRITTEN in str(error):
                    continue
                sys.exit("%s: pfn %#x: %s" % (name, pfn, error))
            if found != expected:
                sys.exit("%s: pfn %#x has other bytes" % (name, pfn))
            right += 1
        print("%s: %d pages right" % (name, right))


main(sys.argv[1])
