"""Whole dumps, and dumps that end early: in each way in which a conversion comes to an end."""

import os
import signal
import subprocess
import time

FULL_TMPFS = """
set -e
mkdir -p disk
mount -t tmpfs -o size="$1" tmpfs disk
shift
code=0
"$@" disk/dump || code=$?
for file in disk/dump disk/dump.incomplete; do [ ! -e $file ] || cp $file .; done
exit $code
"""


class Failed(Exception):
    """A conversion that did not end as it must."""


class Cutter:
    """Makes dumps of a vmcore with the given options."""

    def __init__(self, kdumpconv, core, options, work):
        self.convert = [kdumpconv, "-q", "--no-sync", "-f", *options]
        self.unflatten = [kdumpconv, "unflatten", "-q", "--no-sync", "-f"]
        self.core = core
        self.work = work
        self.dump = os.path.join(work, "dump")
        self.whole = os.path.join(work, "whole")
        self.ended([*self.convert, core, self.whole], [0])
        self.bytes = os.path.getsize(self.whole)
        with open(os.path.join(work, "stream"), "wb") as stream:
            subprocess.run([*self.convert, "-F", core], stdout=stream, check=True)
        self.stream_bytes = os.path.getsize(os.path.join(work, "stream"))

    def ended(self, command, codes, **arguments):
        """Runs a command, which must end with one of the exit codes."""
        done = subprocess.run(command, cwd=self.work, capture_output=True, text=True, errors="replace", **arguments)
        self.check(done.returncode, codes, done.stderr)

    def check(self, code, codes, words):
        if code not in codes:
            raise Failed(f"exit code {code}: {' '.join(words.split())[-120:]}")

    def left(self):
        """The file that is left: under its own name a complete dump, perhaps of a lower level."""
        found = [path for path in (self.dump, self.dump + ".incomplete") if os.path.exists(path)]
        if len(found) != 1:
            raise Failed(f"{len(found)} files are left")
        if is_marked_incomplete(found[0]) != found[0].endswith(".incomplete"):
            raise Failed(f"{os.path.basename(found[0])}: the header says otherwise")
        return found[0]

    def cut(self, way, share):
        """A dump that ends at `share` of the whole."""
        for path in (self.dump, self.dump + ".incomplete"):
            if os.path.exists(path):
                os.remove(path)
        ways[way](self, share)
        return self.left()

    def by_limit(self, share):
        limit = ["-L", str(int(self.bytes * share))]
        self.ended([*self.convert, *limit, self.core, self.dump], [4])

    def by_full_disk(self, share):
        script = ["unshare", "--mount", "sh", "-c", FULL_TMPFS, "sh", str(int(self.bytes * share))]
        self.ended([*script, *self.convert, self.core], [4])

    def by_signal(self, share):
        wanted = self.bytes * share
        process = subprocess.Popen([*self.convert, self.core, self.dump], stderr=subprocess.PIPE, text=True)
        while process.poll() is None and written(process.pid) < wanted:
            time.sleep(0.0002)
        process.send_signal(signal.SIGTERM)
        words = process.communicate()[1]
        self.check(process.returncode, [0, 128 + signal.SIGTERM], words)

    def by_closed_pipe(self, share):
        stream = os.path.join(self.work, "stream")
        with open(stream, "wb") as file:
            producer = subprocess.Popen(
                [*self.convert, "-F", self.core], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            subprocess.run(
                ["head", "-c", str(int(self.stream_bytes * share))], stdin=producer.stdout, stdout=file, check=True
            )
            producer.stdout.close()
            producer.wait()
        self.ended([*self.unflatten, stream, self.dump], [4])


ways = {
    "-L": Cutter.by_limit,
    "full tmpfs": Cutter.by_full_disk,
    "SIGTERM": Cutter.by_signal,
    "closed pipe": Cutter.by_closed_pipe,
}


def is_marked_incomplete(dump):
    """Bit 3 of `status` in a disk_dump_header of a 64-bit machine, DUMP_DH_COMPRESSED_INCOMPLETE."""
    with open(dump, "rb") as file:
        file.seek(424)
        return bool(file.read(1)[0] & 8)


def written(pid):
    """Bytes that a process has written, 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/io", encoding="ascii") as file:
            return int(file.read().split("wchar:")[1].split()[0])
    except (OSError, IndexError):
        return 0
