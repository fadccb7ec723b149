#!/usr/bin/env python3
"""boot_image.py VMLINUZ OUTPUT: the kernel as QEMU's -kernel wants it.

An EFI image that unpacks itself (arm64, loong64, riscv64: drivers/firmware/efi/libstub/zboot-header.S) becomes
the image in it, since QEMU 10 knows only those packed with gzip. All others are copied.
"""

import os
import struct
import subprocess
import sys

UNPACKERS = {b"gzip": ["gzip", "-dc"], b"zstd": ["zstd", "-dcq", "--long=31"], b"xzkern": ["xz", "-dc"]}


def packed(image):
    """The packed image and its codec, or None if this is no such file."""
    if image[:2] != b"MZ" or image[4:8] != b"zimg":
        return None
    start, length = struct.unpack_from("<II", image, 8)
    codec = image[24:56].split(b"\0")[0]
    # zstd22 is zstd at its highest level.
    return image[start : start + length], b"zstd" if codec.startswith(b"zstd") else codec


def unpacked(image):
    """The image itself."""
    found = packed(image)
    if found is None:
        return image
    data, codec = found
    # Unpackers complain of the padding at the end.
    done = subprocess.run(UNPACKERS[codec], input=data, capture_output=True)
    if not done.stdout:
        sys.exit(f"boot_image: {done.stderr.decode()}")
    return done.stdout


def main():
    source, target = sys.argv[1:]
    with open(source, "rb") as file:
        image = unpacked(file.read())
    # The name comes last: what was cut short is done again.
    with open(f"{target}.new", "wb") as file:
        file.write(image)
    os.replace(f"{target}.new", target)


if __name__ == "__main__":
    main()
