"""Makes a Python process see another machine; Python runs it before anything else.

Its folder is first on PYTHONPATH, and FAKED_MACHINE names a JSON file: `cores`, `affinity` (CPUs it
may be scheduled on; null where the system does not say), `root` (where files of `FILES` lie
instead), `blocked` (modules that are not installed), `clock_jumps`.
"""

import builtins
import importlib.machinery
import io
import json
import os
import time
from typing import Any

FILES = (
    "/proc/self/cgroup",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
)


def main() -> None:
    """Replaces what would tell the truth."""
    with open(os.environ["FAKED_MACHINE"], encoding="utf-8") as file:
        machine = json.load(file)
    see_cores(machine["cores"], machine["affinity"])
    redirect_files(machine["root"])
    if machine["blocked"]:
        block_modules(frozenset(machine["blocked"]))
    if machine["clock_jumps"]:
        make_clock_jump()


def see_cores(cores: int, affinity: int | None) -> None:
    """Shows so many CPUs, the first `affinity` of which may be used."""
    os.cpu_count = lambda: cores
    if hasattr(os, "process_cpu_count"):
        os.process_cpu_count = lambda: affinity or cores
    if affinity is None:
        del os.sched_getaffinity
    else:
        os.sched_getaffinity = lambda process: set(range(affinity))


def redirect_files(root: str) -> None:
    """Opens files that describe the machine below `root`; those that are not there do not exist."""
    truth = io.open

    def opened(file, *arguments, **keywords):
        if isinstance(file, str | os.PathLike):
            name = os.fspath(file)
            if isinstance(name, str) and name.startswith(FILES):
                file = root + name
        return truth(file, *arguments, **keywords)

    io.open = builtins.open = opened


def block_modules(names: frozenset[str]) -> None:
    """Lets no such module be found."""
    finder = importlib.machinery.PathFinder
    truth: Any = vars(finder)["find_spec"].__func__

    def find_spec(cls, fullname, path=None, target=None):
        return None if fullname in names else truth(cls, fullname, path, target)

    setattr(finder, "find_spec", classmethod(find_spec))  # noqa: B010


def make_clock_jump() -> None:
    """Sets the clock five minutes back and forth again, every two seconds."""
    truth = time.time
    time.time = lambda: truth() + 300.0 * (int(time.monotonic() / 2) % 3 - 1)


main()
