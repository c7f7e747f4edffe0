"""Processes of this machine that this process did not start: who they are, and signals to them."""

import contextlib
import dataclasses
import os
import signal
import subprocess
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProcessId:
    """A process by its id and start, which no later process of the same id shares.

    Attributes:
        pid: the id.
        started: when it started, as the system writes it.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """Returns that of a process that runs now, None if there is none."""
        started = _started(pid)
        return None if started is None else cls(pid=pid, started=started)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return _started(self.pid) == self.started

    def send(self, number: signal.Signals) -> bool:
        """Sends a signal to this process and to no other; returns whether it was there."""
        if not hasattr(os, "pidfd_open"):
            if not self.alive:
                return False
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
                return True
            return False
        try:
            descriptor = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            # The descriptor means one process for ever; its start says whether it is ours.
            if not self.alive:
                return False
            signal.pidfd_send_signal(descriptor, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)


def _started(pid: int) -> str | None:
    """Returns when a process started, None if it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _started_by_ps(pid)
    except OSError:
        return None
    # The name of the program is in brackets and may hold anything.
    fields = text.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None
    return f"{_boot()}-{fields[19]}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _started_by_ps(pid: int) -> str | None:
    """Returns the same on systems without /proc."""
    asked = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    try:
        done = subprocess.run(
            asked, capture_output=True, text=True, check=False, env={"LC_ALL": "C", **os.environ}
        )
    except OSError:
        return None
    text = done.stdout.strip()
    return None if not text or text.startswith("Z") else text.partition(" ")[2].strip()
