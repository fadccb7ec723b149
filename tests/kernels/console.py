"""The kernel's log, held against what the guest's console printed."""

import re

# "[    1.234567] text"; kernels may print who wrote a record after the time.
RECORD = re.compile(r"\[ *\d+\.\d{6}\](\[[^]]*\])? ")


def records(text):
    """The lines of a log, or of a console, that a kernel printed.

    A log indents the further lines of a record, where the console repeats the time. Firmware may have written
    before a record, in the same line.
    """
    lines = []
    for line in text.splitlines():
        line = line.rstrip("\r\n ")
        if found := RECORD.match(line) or RECORD.search(line):
            lines.append(line[found.start() :])
            prefix = found[0]
        elif lines and line.startswith(" " * len(prefix)):
            lines.append(prefix + line[len(prefix) :])
    return lines


def differences(log, console):
    """Lines of the log that the console does not have in this order, and lines of the console that the log lacks.

    A console may have a line twice, when the next console takes over from the early one.
    """
    objections = []
    at = 0
    for line in log:
        try:
            at = console.index(line, at) + 1
        except ValueError:
            objections.append(f"only in the log: {line}")
    known = set(log)
    objections.extend(f"only on the console: {line}" for line in console if line not in known)
    return objections
