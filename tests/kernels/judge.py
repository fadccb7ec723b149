#!/usr/bin/env python3
"""judge.py FOLDER KDUMPCONV MAKEDUMPFILE: judges what kdumpconv makes of one kernel's dumps.

FOLDER has vmcore and kdump, QEMU's dumps of the same moment, console, vmlinux and release; MAKEDUMPFILE is -
where it does not run. Prints one row of the table; standard error has the objections. Exit code 0: no objection.
"""

import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

import drgn

import console
import files
import kernel
import pages
import table

SHOWN = 6
# Levels at which every page of our files is read and compared.
VERIFIED = [1, 16, 31]


def log_failed(command, done):
    tail = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
    return f"{' '.join(map(str, command))}: exit code {done.returncode}: {tail}"


class Case:
    def __init__(self, folder, kdumpconv, makedumpfile, work):
        self.folder = folder
        self.kdumpconv = kdumpconv
        self.makedumpfile = None if makedumpfile == "-" else makedumpfile
        self.work = work
        self.objections = []
        self.remarks = []
        self.findings = table.Findings()
        self.core = os.path.join(folder, "vmcore")
        self.kdump = os.path.join(folder, "kdump")
        with open(os.path.join(folder, "console"), errors="replace", newline="\n") as file:
            self.console = file.read()
        self.described = os.path.join(work, "described")
        added = files.with_vmcoreinfo(self.core, self.described, self.console)
        # The memory of these has it, and kdumpconv must find it there.
        self.find = ["--find-vmcoreinfo"] if added else []

    def run(self, command):
        """Runs a command of kdumpconv; its exit code must be 0."""
        command = [self.kdumpconv, *command]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            self.objections.append(log_failed(command[1:], done))
        return done

    # What the pages are.

    def read_kernel(self):
        self.program = kernel.opened(self.described, os.path.join(self.folder, "vmlinux"))
        text = self.program["VMCOREINFO"].string_().decode()
        self.page_size = int(re.search(r"^PAGESIZE=(\d+)$", text, re.MULTILINE)[1])
        self.memory = kernel.memory(self.program)
        self.objections.extend(self.memory.problems[:SHOWN])
        self.judge_free()
        present, zero = [], []
        with files.Vmcore(self.core) as core:
            for pfn, data in core.pages(self.page_size):
                present.append(pfn)
                if data.count(0) == len(data):
                    zero.append(pfn)
        self.present = pages.page_set(present)
        self.zero = pages.page_set(zero)
        self.expected = pages.expected(self.present, self.memory.uses)
        self.uses = self.memory.count()

    def judge_free(self):
        """Three ways to find the free pages agree: struct pages, counters of the zones, the zones' lists."""
        found, counted = self.memory.free_pages(), kernel.free_by_counters(self.program)
        if found != counted:
            self.objections.append(f"{found} free pages, but the zones count {counted}")
        first, address, _ = self.memory.sections[0]
        size = self.memory.layout.size
        lists = kernel.free_by_lists(self.program, size, address - first * size)
        if lists != self.memory.free_blocks:
            self.objections.append("the zones' lists have other free blocks than the struct pages say")

    # What kdumpconv keeps.

    def explain(self, pfns):
        shown = [f"{pfn:#x} ({self.memory.uses.get(pfn, 'no struct page')})" for pfn in pages.members(pfns, SHOWN)]
        more = ", ..." if pfns.bit_count() > SHOWN else ""
        return f"{pfns.bit_count()} pages: {', '.join(shown)}{more}"

    def convert(self, source, level):
        """Our kdump file of a source, or None."""
        target = os.path.join(self.work, "ours")
        done = self.run(["-q", "-f", "--no-sync", "-l", "-d", str(level), *self.find, source, target])
        if done.returncode != 0:
            return None
        warnings = [line for line in done.stderr.splitlines() if not line.startswith("kdumpconv: VMCOREINFO")]
        if warnings:
            self.findings.add(os.path.basename(source), level, warnings[0])
        return target

    def judge_level(self, name, source, level):
        target = self.convert(source, level)
        if target is None:
            return
        dump = files.Kdump(target)
        if dump.block_size != self.page_size:
            self.findings.add(name, level, f"blocks of {dump.block_size} bytes")
            return
        expected = self.expected[level]
        if lost := expected & ~dump.kept:
            self.findings.add(name, level, f"excluded against the rules: {self.explain(lost)}")
        if more := dump.kept & ~expected:
            self.findings.add(name, level, f"kept against the rules: {self.explain(more)}")
        zero = self.zero & expected if level & pages.ZERO_BIT else 0
        # A single zero page shares with nobody.
        if dump.sharing() != zero and zero.bit_count() > 1:
            self.findings.add(name, level, f"other zero pages: {self.explain(dump.sharing() ^ zero)}")

    def judge_levels(self):
        for level in pages.LEVELS:
            self.judge_level("vmcore", self.core, level)
            self.judge_level("kdump", self.kdump, level)

    def judge_verify(self):
        self.last = None
        for level in VERIFIED:
            target = self.convert(self.core, level)
            if target is None:
                continue
            against = self.described if self.find else self.core
            done = self.run(["verify", target, "--against", against])
            unproven = re.search(r"([1-9]\d* by a class that cannot be proven)", done.stdout + done.stderr)
            if unproven:
                self.findings.add("verify", level, unproven[1])
            self.last = target

    def judge_tasks(self):
        """drgn finds all tasks in our smallest file. As ELF: of kdump files it cannot read all architectures."""
        elf = os.path.join(self.work, "elf")
        if self.last is None or self.run(["elf", "-q", "-f", "--no-sync", self.last, elf]).returncode != 0:
            return
        whole = kernel.tasks(self.program)
        try:
            some = kernel.tasks(kernel.opened(elf, os.path.join(self.folder, "vmlinux")))
        except drgn.FaultError as error:
            self.objections.append(f"drgn cannot list the tasks in our file: {error}")
            return
        if whole != some or len(whole) < 10:
            self.objections.append(f"drgn lists {len(some)} tasks in our file, {len(whole)} in the vmcore")

    # What makedumpfile keeps.

    def theirs(self, level):
        target = os.path.join(self.work, f"theirs-{level}")
        command = [self.makedumpfile, "-f", "-d", str(level), self.described, target]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            return log_failed(command[1:], done)
        kept = files.Kdump(target).kept
        os.remove(target)
        return kept

    def judge_makedumpfile(self):
        """All levels. Where it decides otherwise than we, the rules above have decided for us: that is a remark."""
        if self.makedumpfile is None:
            return "none that runs"
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(self.theirs, pages.LEVELS))
        if failed := [result for result in results if isinstance(result, str)]:
            self.remarks.append(f"makedumpfile: {failed[0]}")
            return f"fails at {len(failed)} levels"
        found = table.differences(results, self.expected, self.memory.uses)
        self.remarks.extend(f"makedumpfile {text}" for text in found)
        return "; ".join(found) or "equal"

    # The log.

    def judge_log(self):
        done = self.run(["dmesg", *self.find, self.core])
        log, printed = console.records(done.stdout), console.records(self.console)
        found = console.differences(log, printed)
        if len(log) < 100 or not any("sysrq triggered crash" in line for line in log):
            self.objections.append(f"dmesg: {len(log)} lines, without the panic")
        self.objections.extend(f"dmesg: {line}" for line in found[:SHOWN])
        if len(found) > SHOWN:
            self.objections.append(f"dmesg: {len(found)} lines in all")
        return len(log)


def main():
    with tempfile.TemporaryDirectory(dir=os.environ.get("KERNELS_WORK")) as work:
        case = Case(*sys.argv[1:4], work)
        case.read_kernel()
        case.judge_levels()
        case.judge_verify()
        case.judge_tasks()
        theirs = case.judge_makedumpfile()
        lines = case.judge_log()
        case.objections.extend(case.findings.texts())
        kept, present = case.expected[31].bit_count(), case.present.bit_count()
        with open(os.path.join(case.folder, "release"), encoding="ascii") as file:
            release = file.read().strip()
        name = os.path.basename(os.path.normpath(case.folder))
        print(table.row(name, release, case.page_size, present, kept, case.uses, theirs, lines, not case.objections))
        for remark in case.remarks:
            print(f"    {remark}", file=sys.stderr)
        for objection in case.objections:
            print(f"    OBJECTION: {objection}", file=sys.stderr)
        sys.exit(1 if case.objections else 0)


if __name__ == "__main__":
    main()
