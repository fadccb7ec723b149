#!/usr/bin/env python3
"""boot_image.py VMLINUZ OUTPUT: the kernel as QEMU's -kernel wants it.

An EFI image that unpacks itself (arm64, loong64, riscv64: drivers/firmware/efi/libstub/zboot-header.S) becomes
the image in it, since QEMU 10 knows only those packed with gzip. All others are copied.
"""

import shutil
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


def main():
    source, target = sys.argv[1:]
    with open(source, "rb") as file:
        found = packed(file.read())
    if found is None:
        shutil.copyfile(source, target)
        return
    data, codec = found
    # xz says that it ends early: the image has padding.
    done = subprocess.run(UNPACKERS[codec], input=data, capture_output=True)
    if not done.stdout:
        sys.exit(f"{source}: {done.stderr.decode()}")
    with open(target, "wb") as file:
        file.write(done.stdout)


if __name__ == "__main__":
    main()
