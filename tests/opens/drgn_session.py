"""drgn_session.py DUMP VMLINUX: what drgn reads: tasks, the log, and the stack of each task, those of idle CPUs as well.

The kernel's addresses are those of the upper half, as on x86_64. "== NAME" starts each part. Where drgn fails, the part ends with its error after "!! ".
"""

import sys

import drgn
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import get_dmesg
from drgn.helpers.linux.sched import idle_task


def part(name, lines):
    print(f"== {name}")
    try:
        for line in lines:
            print(line)
    except (drgn.FaultError, LookupError, ValueError) as error:
        print(f"!! {type(error).__name__}: {error}")


def tasks(program, found):
    """Describes each task; `found` gets those that drgn reads, also if it fails at one of the next."""
    for cpu in for_each_online_cpu(program):
        task = idle_task(program, cpu)
        yield f"{task.comm.string_().decode()} {task.value_():#x}"
        found.append(task)
    for task in for_each_task(program):
        yield f"{task.pid.value_()} {task.comm.string_().decode()} {task.value_():#x}"
        found.append(task)


def log(program):
    yield get_dmesg(program).decode(errors="replace")


def stack(program, task):
    """The frames in the kernel: what drgn finds beyond them is in user memory, which comes last."""
    for frame in program.stack_trace(task):
        if frame.pc >> 63:
            yield frame


def main():
    program = drgn.Program()
    program.set_core_dump(sys.argv[1])
    program.load_debug_info([sys.argv[2]])
    found = []
    part("tasks", tasks(program, found))
    part("log", log(program))
    for task in found:
        part(f"stack of {task.value_():#x}", stack(program, task))


if __name__ == "__main__":
    main()
