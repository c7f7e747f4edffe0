"""Starts the processes of a fleet on this machine, each with its share and its log."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from selfplay.fleet.engines.addresses import free_address
from selfplay.fleet.engines.shares import Share
from selfplay.fleet.fleet import Fleet, Process
from selfplay.fleet.watched import Handle, Starter
from selfplay.store.files import storage_errors

_LONGEST_LOG = 20_000_000
"""Bytes; a longer log is set aside when its process starts again."""

_HERE = "127.0.0.1"

# -P: as for the console script, the current folder is no place for modules.
PROGRAM: tuple[str, ...] = (sys.executable, "-P", "-m", "selfplay")


class LocalHandle(Handle):
    """A process of this machine, the leader of a session of its own."""

    def __init__(self, popen: "subprocess.Popen[bytes]") -> None:
        self._popen = popen

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def poll(self) -> int | None:
        """Returns its exit code, None while it runs."""
        return self._popen.poll()

    def ask(self) -> None:
        """Sends SIGTERM."""
        self._popen.terminate()

    def kill(self) -> None:
        """Sends SIGKILL."""
        self._popen.kill()


class LocalStarter(Starter):
    """Starts processes of a fleet on this machine, each with its share and its log."""

    def __init__(self, fleet: Fleet, shares: Mapping[str, Share], logs: Path, *, gpus: bool):
        """Starts nothing yet.

        Args:
            fleet: what runs.
            shares: of the processes, by name.
            logs: the folder for logs, which exists.
            gpus: whether this machine has GPUs.
        """
        self._fleet = fleet
        self._shares = shares
        self._logs = logs
        self._gpus = gpus
        self._coordinator = free_address(_HERE)

    def words(self, process: Process) -> list[str]:
        """Returns the arguments of `selfplay`."""
        group = self._fleet.group_options(process.role, self._coordinator, process.index)
        return self._fleet.command(process.role, *self._shares[process.name].options, *group)

    def environment(self, process: Process) -> dict[str, str]:
        """Returns the variables that differ from those of the launcher."""
        return self._shares[process.name].environment(os.environ, gpus_here=self._gpus)

    def start(self, process: Process) -> LocalHandle:
        """Starts a process in a session of its own, so that Ctrl-C reaches the supervisor alone.

        The trainer starts before the others of its group, which then find it at a new port.
        """
        if process.name == "trainer":
            self._coordinator = free_address(_HERE)
        file = self.log(process)
        child = (sys.executable, "-P", "-m", "selfplay.fleet.engines.child", str(os.getpid()))
        with storage_errors(file):
            if file.exists() and file.stat().st_size > _LONGEST_LOG:
                file.replace(file.with_suffix(".old.log"))
            with file.open("ab") as log:
                popen = subprocess.Popen(
                    [*child, *PROGRAM, *self.words(process)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={
                        **self._fleet.environment(os.environ),
                        **self.environment(process),
                        "PYTHONUNBUFFERED": "1",
                    },
                )
        return LocalHandle(popen)

    def log(self, process: Process) -> Path:
        """Returns the log of a process."""
        return self._logs / f"{process.name}.log"

    def last_words(self, process: Process) -> str:
        """Returns the last error in its log, else its last line."""
        return last_words(self.log(process))


def last_words(log: Path) -> str:
    """Returns the error at the end of a log with its hint, else the last line; "" without a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4000))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    lines = [line.strip() for line in lines if line.strip()]
    marked = [index for index, line in enumerate(lines[-3:]) if line.startswith("error: ")]
    if marked:
        said = lines[-3:][marked[-1] :]
        return "; ".join(line.removeprefix("error: ").removeprefix("hint: ") for line in said)
    return lines[-1][:300] if lines else ""
