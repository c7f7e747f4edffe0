"""How many cores and how much memory a process may use: by fake files, on any machine."""

import os
from pathlib import Path
from typing import Any

import pytest

from selfplay.machine import (
    MOST_DEVICES,
    Cores,
    available_memory,
    cpu_quota,
    device_cores,
    host_memory,
    usable_cores,
)


def see(
    monkeypatch: pytest.MonkeyPatch,
    *,
    cores: int,
    allowed: int | None = None,
    affinity: bool = True,
) -> None:
    """Makes this process see so many cores, and be allowed on the first of them."""
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    if affinity:
        found = set(range(allowed or cores))
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: found, raising=False)
    else:
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


POD = "/kubepods.slice/kubepods-pod1.slice/cri-containerd-2.scope"
QUOTAS: dict[str, tuple[dict[str, str], float | None]] = {
    "version 2, own namespace": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"},
        2.5,
    ),
    "version 2, nested, the one above counts": (
        {
            "proc/self/cgroup": f"0::{POD}\n",
            f"sys/fs/cgroup{POD}/cpu.max": "max 100000\n",
            "sys/fs/cgroup/kubepods.slice/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/cpu.max": "max 100000\n",
        },
        4.0,
    ),
    "version 2, nested, the lowest counts": (
        {
            "proc/self/cgroup": f"0::{POD}\n",
            f"sys/fs/cgroup{POD}/cpu.max": "150000 50000\n",
            "sys/fs/cgroup/kubepods.slice/cpu.max": "800000 100000\n",
        },
        3.0,
    ),
    "version 1, own namespace": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/\n3:memory:/\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
        2.0,
    ),
    "version 1, the path of the host": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        0.5,
    ),
    "version 1, no limit": (
        {
            "proc/self/cgroup": "4:cpu:/\n0::/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    "both, version 2 beside": (
        {
            "proc/self/cgroup": "4:cpu:/job\n0::/job\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "600000\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/unified/job/cgroup.procs": "1\n",
        },
        6.0,
    ),
    "no /proc, as on macOS": ({}, None),
    "a group outside the namespace": (
        {"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"},
        1.0,
    ),
    "nonsense": ({"proc/self/cgroup": "x\n\n", "sys/fs/cgroup/cpu.max": "many 0\n"}, None),
}


@pytest.mark.parametrize("name", QUOTAS)
def test_quotas_are_read_wherever_they_are_set(name: str, tmp_path: Path) -> None:
    files, quota = QUOTAS[name]
    write(tmp_path, files)
    assert cpu_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("machine", "quota", "environ", "count", "reason"),
    [
        ({"cores": 12}, None, {}, 12, "this machine has 12"),
        ({"cores": 24, "allowed": 6}, None, {}, 6, "it may run on 6 of the 24 of this machine"),
        ({"cores": 32}, "200000 100000", {}, 2, "its control group allows 2 CPUs"),
        # Rounded down, but never to none.
        ({"cores": 32}, "290000 100000", {}, 2, "its control group allows 2.9 CPUs"),
        ({"cores": 32}, "50000 100000", {}, 1, "its control group allows 0.5 CPUs"),
        ({"cores": 2}, "800000 100000", {}, 2, "this machine has 2"),
        ({"cores": 16}, None, {"OMP_NUM_THREADS": "4,2"}, 4, "OMP_NUM_THREADS is 4"),
        ({"cores": 16}, None, {"SLURM_CPUS_PER_TASK": "3"}, 3, "SLURM_CPUS_PER_TASK is 3"),
        ({"cores": 2}, None, {"OMP_NUM_THREADS": "64"}, 2, "this machine has 2"),
        ({"cores": 2}, None, {"OMP_NUM_THREADS": "0"}, 2, "this machine has 2"),
        ({"cores": 2}, None, {"OMP_NUM_THREADS": "all"}, 2, "this machine has 2"),
        ({"cores": 10, "affinity": False}, None, {}, 10, "this machine has 10"),
    ],
)
def test_the_least_counts_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    machine: dict[str, Any],
    quota: str | None,
    environ: dict[str, str],
    count: int,
    reason: str,
) -> None:
    see(monkeypatch, **machine)
    if quota is not None:
        write(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": quota})
    found = Cores(count=count, reason=reason)
    assert usable_cores(environ, tmp_path) == found
    assert device_cores(environ, tmp_path) == found


def siblings(cores: int, threads: int) -> dict[str, str]:
    """Returns the files of a machine whose cores have so many hardware threads each."""
    return {
        f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": ",".join(
            str(cpu % cores + cores * thread) for thread in range(threads)
        )
        for cpu in range(cores * threads)
    }


def test_hardware_threads_of_a_core_count_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tmp_path, siblings(6, 2))
    see(monkeypatch, cores=12)
    assert usable_cores({}, tmp_path).count == 12
    assert device_cores({}, tmp_path) == Cores(count=6, reason="12 hardware threads are on 6 cores")
    # CPU 0 to 6: all six cores, one of them twice.
    see(monkeypatch, cores=12, allowed=7)
    assert device_cores({}, tmp_path).count == 6
    see(monkeypatch, cores=12, allowed=4)
    assert device_cores({}, tmp_path).count == 4
    # Half of the files cannot be read: nothing is known.
    for cpu in range(6):
        (tmp_path / f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").unlink()
    see(monkeypatch, cores=12)
    assert device_cores({}, tmp_path).count == 12


@pytest.mark.parametrize(("cores", "count"), [(24, 24), (64, MOST_DEVICES), (96, MOST_DEVICES)])
def test_one_process_takes_no_more_devices_than_pay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cores: int, count: int
) -> None:
    see(monkeypatch, cores=cores)
    write(tmp_path, siblings(cores, 1))
    found = device_cores({}, tmp_path)
    assert found.count == count
    assert ("gain little" in found.reason) == (cores > MOST_DEVICES)
    assert usable_cores({}, tmp_path).count == cores


def test_memory_is_that_of_the_smallest_group(tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": "MemTotal:       64000000 kB\nMemAvailable: 5 kB\n"})
    assert host_memory(tmp_path) == 64_000_000 * 1024
    write(
        tmp_path,
        {
            "proc/self/cgroup": f"0::{POD}\n3:memory:/job/task\n",
            f"sys/fs/cgroup{POD}/memory.max": "max\n",
            "sys/fs/cgroup/kubepods.slice/memory.max": "9000000000\n",
            "sys/fs/cgroup/memory/job/task/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert host_memory(tmp_path) == 9_000_000_000
    write(tmp_path, {"sys/fs/cgroup/memory/job/memory.limit_in_bytes": "4000000000\n"})
    assert host_memory(tmp_path) == 4_000_000_000


def test_available_memory_is_what_a_control_group_leaves(tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": "MemTotal: 64000000 kB\nMemAvailable: 9000000 kB\n"})
    assert available_memory(tmp_path) == 9_000_000 * 1024
    write(
        tmp_path,
        {
            "proc/self/cgroup": f"0::{POD}\n3:memory:/job\n",
            f"sys/fs/cgroup{POD}/memory.max": "max\n",
            "sys/fs/cgroup/kubepods.slice/memory.max": "9000000000\n",
            "sys/fs/cgroup/kubepods.slice/memory.current": "8500000000\n",
            "sys/fs/cgroup/kubepods.slice/memory.stat": "anon 1\ninactive_file 500000000\n",
        },
    )
    assert available_memory(tmp_path) == 1_000_000_000
    version_1 = "sys/fs/cgroup/memory/job"
    write(
        tmp_path,
        {
            f"{version_1}/memory.limit_in_bytes": "800000000\n",
            f"{version_1}/memory.usage_in_bytes": "700000000\n",
            f"{version_1}/memory.stat": "inactive_file 7\ntotal_inactive_file 100000000\n",
        },
    )
    assert available_memory(tmp_path) == 200_000_000
    write(tmp_path, {f"{version_1}/memory.usage_in_bytes": "990000000\n"})
    assert available_memory(tmp_path) == 0


def test_this_machine_says_how_much_memory_it_has(tmp_path: Path) -> None:
    for root in (Path("/"), tmp_path):
        # Without /proc, by POSIX.
        found = host_memory(root)
        assert found is not None
        assert 1e8 < found < 1e14


def test_a_machine_that_says_nothing_has_memory_without_a_known_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", refuse)
    assert host_memory(tmp_path) is None
