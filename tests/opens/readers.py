"""What crash and drgn answer about a dump, and why it is less than about another one."""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 900
COMMANDS = ["sys", "ps", "log", "bt -a"]

# crash names the dump, and warns that it is incomplete.
DUMP_LINE = re.compile(r"^ *DUMPFILE: .*\n", re.MULTILINE)
WARNING = re.compile(r"^\n?WARNING: .*:\n(?: {9}\S.*\n|   NOTE: .*\n)+\n?", re.MULTILINE)


def without_file(text):
    """crash's answers without what it says of the file itself."""
    return WARNING.sub("", DUMP_LINE.sub("", text))


class Answers:
    """`text` is what is compared; `opened` says whether the reader came so far; `error` is its own reason if not."""

    def __init__(self, text, opened, error):
        self.text = text
        self.opened = opened
        self.error = error

    def differ(self, whole):
        """Why these answers are not those about the whole dump; None if they are."""
        if self.text == whole.text:
            return None
        if self.error:
            return self.error
        known = set(whole.text.splitlines())
        new = [line.strip() for line in self.text.splitlines() if line not in known]
        complaints = [line for line in new if line.startswith("!! ") or re.match(r"[a-z]+: ", line)]
        for lines in (complaints, new):
            if lines:
                return f"{len(new)} other lines, first {lines[0]}"
        return f"lines missing: {len(whole.text.splitlines()) - len(self.text.splitlines())}"


class Crash:
    name = "crash"

    def __init__(self, program, options, vmlinux, work):
        self.command = [program, *options]
        self.vmlinux = vmlinux
        self.work = work
        self.script = os.path.join(work, "commands")
        with open(self.script, "w", encoding="ascii") as file:
            file.write("\n".join([*COMMANDS, "quit", ""]))

    def run(self, dump, options):
        # No .crashrc: its home is a folder that has none.
        done = subprocess.run(
            [*self.command, *options, "-i", self.script, self.vmlinux, dump],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=self.work, env={**os.environ, "HOME": self.work}, timeout=SECONDS,
        )  # fmt: skip
        return done.returncode, done.stdout.decode(errors="replace")

    def answers(self, dump):
        code, text = self.run(dump, ["-s"])
        opened = code == 0 and re.search(r"^ *KERNEL: ", text, re.MULTILINE) is not None
        return Answers(without_file(text), opened, None if opened else self.reason(dump))

    def reason(self, dump):
        """Why it does not open: it says so, and what it read last, only when it is debugged."""
        code, text = self.run(dump, ["-d8"])
        said = re.findall(r"^(?:crash: |<readmem: ).*", text, re.MULTILINE)
        return said[-1] if said else f"exit code {code}: {' '.join(text.split())[-120:]}"


class Drgn:
    name = "drgn"

    def __init__(self, vmlinux):
        self.vmlinux = vmlinux

    def answers(self, dump):
        command = [sys.executable, os.path.join(HERE, "drgn_session.py"), dump, self.vmlinux]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=SECONDS
        )
        if done.returncode != 0:
            return Answers(done.stdout, False, done.stderr.strip().splitlines()[-1])
        tasks = done.stdout.partition("== log")[0]
        failed = re.search(r"^!! (.*)", tasks, re.MULTILINE)
        return Answers(done.stdout, failed is None, failed and failed[1])
