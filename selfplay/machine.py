"""What this process may use of the machine it runs on: CPU cores and memory. Host code."""

import ctypes
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

MOST_DEVICES = 32
"""CPU devices in one process by default. Each evaluation passes Python's one lock, and an update
waits for the slowest device: for more cores, more processes (workers) suit better."""

HINTS = ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK", "PYTHON_CPU_COUNT")
"""Environment variables by which users and schedulers limit the cores of a process."""

_ROOT = Path("/")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cores:
    """How many cores, at least 1, and what limits their number.

    Attributes:
        count: the number.
        reason: such as "its control group allows 2.5 CPUs".
    """

    count: int
    reason: str


def usable_cores(environ: Mapping[str, str] | None = None, root: Path = _ROOT) -> Cores:
    """Returns how many hardware threads this process may keep busy.

    The least of: the CPUs it may be scheduled on, the CPU quota of its control group or of one
    above it (version 1 and 2; rounded down), and the environment variables OMP_NUM_THREADS,
    SLURM_CPUS_PER_TASK and PYTHON_CPU_COUNT.

    Args:
        environ: the environment; by default that of this process.
        root: where `proc` and `sys` lie.
    """
    environ = os.environ if environ is None else environ
    there = os.cpu_count() or 1
    allowed = len(_affinity() or range(there))
    reason = f"this machine has {there}"
    if allowed < there:
        reason = f"it may run on {allowed} of the {there} of this machine"
    found = [Cores(count=allowed, reason=reason)]
    quota = cpu_quota(root)
    if quota is not None:
        found.append(
            Cores(count=max(1, int(quota)), reason=f"its control group allows {quota:g} CPUs")
        )
    for name in HINTS:
        # OpenMP takes a list, too: one number for each level of nesting.
        text = environ.get(name, "").split(",")[0].strip()
        if text.isdecimal() and int(text) > 0:
            found.append(Cores(count=int(text), reason=f"{name} is {text}"))
    return min(found, key=lambda cores: cores.count)


def whole_cores(environ: Mapping[str, str] | None = None, root: Path = _ROOT) -> Cores:
    """Returns the usable cores, where two hardware threads of a core count once.

    Both compute with the same arithmetic units.

    Args:
        environ: as in `usable_cores`.
        root: likewise.
    """
    found = [usable_cores(environ, root)]
    physical = _physical_cores(root)
    if physical is not None:
        threads = len(_affinity() or ())
        found.append(
            Cores(count=physical, reason=f"{threads} hardware threads are on {physical} cores")
        )
    return min(found, key=lambda cores: cores.count)


def device_cores(environ: Mapping[str, str] | None = None, root: Path = _ROOT) -> Cores:
    """Returns how many CPU devices a process presents unless it is told otherwise.

    One for each of `whole_cores`, at most `MOST_DEVICES`.

    Args:
        environ: as in `usable_cores`.
        root: likewise.
    """
    most = Cores(count=MOST_DEVICES, reason=f"more than {MOST_DEVICES} gain little in one process")
    return min((whole_cores(environ, root), most), key=lambda cores: cores.count)


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Returns how many CPUs the control groups of this process allow it; None for no limit."""
    quotas = []
    for folder in _control_groups("cpu", root):
        # Version 2: "200000 100000", or "max 100000". Version 1: two files, -1 for no limit.
        texts = _read(folder / "cpu.max").split() or [
            _read(folder / "cpu.cfs_quota_us").strip(),
            _read(folder / "cpu.cfs_period_us").strip(),
        ]
        if len(texts) == 2 and all(text.isdecimal() for text in texts) and int(texts[1]):
            quotas.append(int(texts[0]) / int(texts[1]))
    return min(quotas, default=None)


def host_memory(root: Path = _ROOT) -> int | None:
    """Returns the bytes that this machine has, or fewer where a control group allows fewer.

    None where neither says anything.
    """
    found = []
    for folder in _control_groups("memory", root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(folder / name).strip()
            if text.isdecimal():
                found.append(int(text))
    total = _meminfo("MemTotal", root)
    if total is None:
        total = _installed_memory()
    return min(found if total is None else [*found, total], default=None)


def available_memory(root: Path = _ROOT) -> int | None:
    """Returns the bytes that this process can still get; None where the system does not say.

    They are free on this machine or can be freed at once, and no control group forbids them.

    Args:
        root: where `proc` and `sys` lie.
    """
    found = []
    for folder in _control_groups("memory", root):
        for limit, usage, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            texts = [_read(folder / name).strip() for name in (limit, usage)]
            if all(text.isdecimal() for text in texts):
                # Files that were read count as used, but are dropped when memory is needed.
                used = int(texts[1]) - _statistic(folder / "memory.stat", cache)
                found.append(max(0, int(texts[0]) - max(0, used)))
    free = _meminfo("MemAvailable", root)
    return min(found if free is None else [*found, free], default=None)


def return_freed_memory() -> None:
    """Returns memory that this process has freed to the system, where the C library can do that.

    glibc keeps it otherwise: after a compilation by XLA a hundred megabytes and more.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _affinity() -> set[int] | None:
    """Returns the CPUs this process may be scheduled on; None where the system does not say."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def _physical_cores(root: Path) -> int | None:
    """Returns how many cores the allowed hardware threads are on; None if it cannot be read."""
    groups = set()
    for cpu in _affinity() or ():
        topology = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        siblings = _read(topology / "thread_siblings_list").strip()
        if not siblings:
            return None
        groups.add(siblings)
    return len(groups) or None


def _control_groups(controller: str, root: Path) -> Iterator[Path]:
    """Yields the folders of this process's control groups, and of all groups above them."""
    lines = _read(root / "proc/self/cgroup").splitlines()
    # A container often sees its own group as the top.
    for line in (*lines, "0::/", f"1:{controller}:/"):
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            tops = [".", "unified"]
        elif controller in controllers.split(","):
            tops = [controllers, controller]
        else:
            continue
        path = PurePosixPath(group)
        if ".." in path.parts or not path.is_absolute():
            continue
        for top in dict.fromkeys(tops):
            for one in (path, *path.parents):
                yield root / "sys/fs/cgroup" / top / one.relative_to("/")


def _meminfo(name: str, root: Path) -> int | None:
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    return None


def _statistic(file: Path, name: str) -> int:
    """Returns a number of a control group's statistics; 0 if it is not there."""
    lines = (line.split() for line in _read(file).splitlines())
    return next((int(line[1]) for line in lines if len(line) == 2 and line[0] == name), 0)


def _installed_memory() -> int | None:
    """Returns the bytes of memory by POSIX, for systems without /proc."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
