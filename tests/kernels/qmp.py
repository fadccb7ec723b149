#!/usr/bin/env python3
"""qmp.py SOCKET balloon MIB | dump FOLDER: what the host asks QEMU for.

dump stops the guest, writes FOLDER/vmcore (ELF) and FOLDER/kdump (kdump-zlib) of the same moment, and quits.
"""

import json
import socket
import sys

MIB = 1 << 20


class Qmp:
    def __init__(self, path):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(600)
        connection.connect(path)
        self.stream = connection.makefile("rw")
        self.stream.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        print(json.dumps({"execute": command, "arguments": arguments}), file=self.stream, flush=True)
        for line in self.stream:
            answer = json.loads(line)
            if "error" in answer:
                sys.exit(f"qmp: {command}: {answer['error']['desc']}")
            # Other lines are events.
            if "return" in answer:
                return answer["return"]
        sys.exit(f"qmp: QEMU ended before it answered {command}")


def main():
    path, verb, argument = sys.argv[1:]
    qmp = Qmp(path)
    if verb == "balloon":
        qmp.ask("balloon", value=int(argument) * MIB)
        return
    qmp.ask("stop")
    for name, kind in [("vmcore", "elf"), ("kdump", "kdump-zlib")]:
        qmp.ask("dump-guest-memory", paging=False, protocol=f"file:{argument}/{name}", format=kind)
    qmp.ask("quit")


main()
