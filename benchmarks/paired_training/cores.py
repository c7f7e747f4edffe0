"""Which CPU core runs which process."""

import os
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")


def usable_cores(root: Path = _TOPOLOGY) -> list[int | None]:
    """Returns a core for each process that may run at once.

    One hardware thread of each physical core that this process may use, as far as a quota allows
    so many; None for each where the system cannot pin a process to a core, as on macOS.
    """
    from selfplay.machine import device_cores

    count = device_cores().count
    if not hasattr(os, "sched_getaffinity"):
        return [None] * count
    chosen: list[int | None] = []
    taken: set[str] = set()
    for cpu in sorted(os.sched_getaffinity(0)):
        file = root / f"cpu{cpu}" / "topology" / "thread_siblings_list"
        siblings = file.read_text().strip() if file.exists() else str(cpu)
        if siblings not in taken:
            taken.add(siblings)
            chosen.append(cpu)
    return chosen[:count]


def pin(core: int | None) -> None:
    """Lets this process and what it starts run on one core only; None changes nothing."""
    if core is not None:
        os.sched_setaffinity(0, {core})
