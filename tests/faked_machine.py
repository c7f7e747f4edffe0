"""Other machines than this one: what a process sees of cores, quotas, memory, home and clock.

    machine = Machine("a container", cores=32, quota=2.0, blocked=("onnxruntime",))
    environment = machine.environment(folder)

What cannot be faked is the speed: twelve devices share the cores that there are.
"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

SITE = Path(__file__).with_name("faked")

# What the caller's own environment says about cores and caches must not count.
_REMOVED = (
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_NUM_CPU_DEVICES",
    "NPROC",
    "OMP_NUM_THREADS",
    "PYTHONPATH",
    "XDG_CACHE_HOME",
    "XLA_FLAGS",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine to be seen.

    Attributes:
        name: in tables.
        cores: hardware threads.
        allowed: how many of them the process may be scheduled on; None for all.
        threads_per_core: hardware threads of each core.
        quota: CPUs that the control group allows; None for no limit.
        version: of control groups, 1 or 2.
        memory: bytes that the control group allows; None for no limit.
        flags: of the processor, in /proc/cpuinfo.
        blocked: modules that are not installed.
        home: "" for a fresh one, else "read-only".
        is_linux: whether there are /proc and affinities.
        clock_jumps: whether the time of day goes back and forth.
        environ: variables.
    """

    name: str
    cores: int = 2
    allowed: int | None = None
    threads_per_core: int = 1
    quota: float | None = None
    version: int = 2
    memory: int | None = None
    flags: str = "avx2 fma"
    blocked: tuple[str, ...] = ()
    home: str = ""
    is_linux: bool = True
    clock_jumps: bool = False
    environ: dict[str, str] = dataclasses.field(default_factory=dict, hash=False)

    def environment(self, folder: Path, cache: Path | None = None) -> dict[str, str]:
        """Returns the environment of a Python process that is to see it.

        Args:
            folder: for its files, its home and its temporary files; may hold those of before.
            cache: of compiled programs; None for the machine's own.
        """
        root, home, temporary = (folder / name for name in ("root", "home", "temporary"))
        for name, text in self._files().items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        temporary.mkdir(exist_ok=True)
        if self.home == "read-only":
            # For root a folder without write permission is none: but below a file nothing is made.
            (folder / "file").touch()
            home = folder / "file" / "home"
        else:
            home.mkdir(exist_ok=True)
        affinity = (self.allowed or self.cores) if self.is_linux else None
        settings = folder / "machine.json"
        settings.write_text(
            json.dumps(
                {
                    "cores": self.cores,
                    "affinity": affinity,
                    "root": str(root),
                    "blocked": self.blocked,
                    "clock_jumps": self.clock_jumps,
                }
            )
        )
        kept = {name: text for name, text in os.environ.items() if name not in _REMOVED}
        shared = {} if cache is None else {"JAX_COMPILATION_CACHE_DIR": str(cache)}
        return {
            **kept,
            "FAKED_MACHINE": str(settings),
            "HOME": str(home),
            "PYTHONPATH": str(SITE),
            "TMPDIR": str(temporary),
            **shared,
            **self.environ,
        }

    def run(
        self,
        folder: Path,
        *arguments: object,
        python: str = sys.executable,
        cache: Path | None = None,
        typed: str = "",
        timeout: float = 300.0,
    ) -> subprocess.CompletedProcess[str]:
        """Runs `selfplay` with arguments on it, in `folder` and without a terminal.

        Args:
            folder: as in `environment`.
            arguments: of the command.
            python: whose selfplay it is.
            cache: as in `environment`.
            typed: what it reads.
            timeout: seconds after which it is ended.
        """
        return subprocess.run(
            [python, "-m", "selfplay", *map(str, arguments)],
            cwd=folder,
            env=self.environment(folder, cache),
            input=typed,
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=timeout,
            check=False,
        )

    def _files(self) -> dict[str, str]:
        """Returns the files of /proc and /sys."""
        if not self.is_linux:
            return {}
        physical = max(1, self.cores // self.threads_per_core)
        files = {
            "proc/meminfo": "MemTotal: 24000000 kB\nMemAvailable: 20000000 kB\n",
            "proc/cpuinfo": f"model name : Faked Processor\nflags : {self.flags}\n" * self.cores,
        }
        for cpu in range(self.cores):
            siblings = range(cpu % physical, self.cores, physical)
            name = f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
            files[name] = ",".join(map(str, siblings))
        quota = "max" if self.quota is None else str(int(self.quota * 100_000))
        memory = "max" if self.memory is None else str(self.memory)
        if self.version == 2:
            return files | {
                "proc/self/cgroup": "0::/system.slice/job.scope\n",
                "sys/fs/cgroup/system.slice/job.scope/cpu.max": f"{quota} 100000\n",
                "sys/fs/cgroup/system.slice/memory.max": f"{memory}\n",
            }
        return files | {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/1a\n3:memory:/docker/1a\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": quota.replace("max", "-1"),
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": memory.replace("max", str(2**63 - 4096)),
        }
