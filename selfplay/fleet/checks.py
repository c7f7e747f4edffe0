"""What must hold before a fleet is launched, whatever the engine."""

import re
import socket
import time
from collections.abc import Collection
from pathlib import Path

from selfplay.errors import ConfigError, RunError
from selfplay.fleet.fleet import Fleet
from selfplay.run.heartbeats import Heartbeat, read_heartbeats
from selfplay.run.names import is_run
from selfplay.settings import load_config
from selfplay.store.place import local_path

_WATCH_SECONDS = 12.0
"""More than two heartbeats."""

SHARED_FILE_SYSTEMS = re.compile(
    r"nfs\d?|lustre|gpfs|beegfs|ceph|cifs|smb3|afs|9p|panfs|wekafs|glusterfs|fuse\..*|orangefs"
)


def game_file(game: str | None) -> tuple[Path, str] | None:
    """Returns the file of a game and ":Class" after it, None for a game that is no file.

    Args:
        game: as in `Fleet.game`.
    """
    found = re.fullmatch(r"(.+\.py)(:\w+)?", game or "")
    return None if found is None else (Path(found[1]), found[2] or "")


def check_run(fleet: Fleet, *, look: bool = True) -> None:
    """Raises unless there is a run, or a game and settings to create one.

    Args:
        fleet: what is to run.
        look: whether to look into the store, which may not be reachable from here.

    Raises:
        RunError: there is no run, and no game is named.
        ConfigError: the file of the game is missing, or a setting of a new run is out of range.
        StorageError: the store cannot be reached.
    """
    file = game_file(fleet.game)
    if file is not None and not file[0].is_file():
        raise ConfigError(f"there is no game file {file[0]}", hint="name a file: --game mine.py")
    if not look or is_run(fleet.run):
        return
    load_config(preset=fleet.preset, environ={}, overrides=fleet.settings)
    if fleet.game is None and fleet.init_from is None:
        raise RunError(
            f"{fleet.run} is not a selfplay run",
            hint="name its game, and the run is created: --game GAME",
        )


def check_no_trainer(run: str, own_pids: Collection[int] = ()) -> None:
    """Raises `RunError` if a process trains the run already.

    Args:
        run: the run.
        own_pids: processes of this machine that belong to the fleet and are going to end.

    Raises:
        RunError: there is a trainer.
        StorageError: the store cannot be reached.
    """
    host = socket.gethostname()
    alive = [one for one in _trainers(run) if one.host != host or one.pid not in own_pids]
    here = [one for one in alive if one.host == host]
    foreign = {one.name: one.time for one in alive if one not in here}
    # One that was killed a moment ago still looks alive from another machine.
    deadline = time.monotonic() + _WATCH_SECONDS
    while foreign and not here and time.monotonic() < deadline:
        time.sleep(0.5)
        here = [one for one in _trainers(run) if one.time != foreign.get(one.name, one.time)]
    if here:
        raise RunError(
            f"another process (pid {here[0].pid} on {here[0].host}) is training {run}",
            hint="wait until it ends, stop it, or name another run",
        )


def _trainers(run: str) -> list[Heartbeat]:
    return [beat for beat in read_heartbeats(run, role="trainer") if beat.alive]


def file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """Returns the kind of file system that a path is on, such as "nfs4"; "" if unknown.

    Args:
        path: need not exist.
        mounts: the table of the kernel.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found = ("", "")
    target = path.absolute()
    target = next((one for one in (target, *target.parents) if one.exists()), target).resolve()
    for fields in (line.split() for line in lines):
        if len(fields) < 3:
            continue
        where = re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields[1])
        # Of mounts on the same folder the last one is seen.
        if target.is_relative_to(where) and len(where) >= len(found[0]):
            found = (where, fields[2])
    return found[1]


def check_shared(run: str, *, nodes: int, what: str) -> None:
    """Raises unless the nodes of a cluster can see the run.

    Args:
        run: the run.
        nodes: how many nodes there are.
        what: what to call the nodes, such as "the nodes of Slurm".

    Raises:
        RunError: it is a directory on a disk of this machine, and there are several nodes.
    """
    path = local_path(run)
    if path is None or nodes < 2:
        return
    kind = file_system(path)
    if kind and not SHARED_FILE_SYSTEMS.fullmatch(kind):
        raise RunError(
            f"{run} is on a disk of this machine ({kind}), which {what} cannot see",
            hint="use a bucket, Redis or a shared directory; if they do see it, add --shared",
        )
