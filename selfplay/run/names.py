"""What RUN and RUN@UPDATE stand for, wherever the run lies."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from selfplay.errors import CheckpointError, RunError
from selfplay.run.store import Place, Store, is_remote, local_path, location, open_store

if TYPE_CHECKING:
    from selfplay.run.checkpoints import Checkpoints

RUN_FILE = "run.toml"


def is_run(place: Place | Store) -> bool:
    """Returns whether a directory or store holds a run.

    Raises:
        StorageError: a store elsewhere cannot be reached.
    """
    return open_store(place).exists(RUN_FILE)


def open_checkpoints(place: Place | Store) -> "Checkpoints":
    """Returns the checkpoints of a run, to read them."""
    path = place.path if isinstance(place, Store) else local_path(place)
    if path is not None:
        from selfplay.run.directory_checkpoints import DirectoryCheckpoints

        return DirectoryCheckpoints(path)
    from selfplay.run.remote_checkpoints import RemoteCheckpoints

    return RemoteCheckpoints(open_store(place))


def find_checkpoint(text: str) -> tuple[str, int]:
    """Returns the run and the update that "RUN" (the newest) or "RUN@UPDATE" means.

    Raises:
        RunError: RUN is not a run.
        CheckpointError: it has no such checkpoint, or none yet.
    """
    run, update = split_checkpoint_name(text)
    if not is_run(run):
        raise no_run(run)
    available = open_checkpoints(run).updates()
    if not available:
        raise CheckpointError(
            f"{run} has no checkpoint yet", hint="the first one comes within a minute of training"
        )
    if update is None:
        return run, available[-1]
    if update not in available:
        shown = ", ".join(map(str, available[-10:]))
        raise CheckpointError(
            f"{run} has no checkpoint {update}",
            hint=f"complete checkpoints are: {'..., ' if len(available) > 10 else ''}{shown}",
        )
    return run, update


def no_run(place: Place | Store) -> RunError:
    """Returns the error for a place that holds no run."""
    store = open_store(place)
    there = store.path is None or store.path.exists()
    return RunError(
        f"{store.url} is not a selfplay run" if there else f"{store.url} does not exist",
        hint="name a directory made by `selfplay train`, such as runs/connect_four",
    )


def split_checkpoint_name(text: str) -> tuple[str, int | None]:
    """Returns the run and the update of "RUN[@UPDATE]"; None stands for the newest.

    Raises:
        CheckpointError: what follows the @ is not a number.
    """
    if is_remote(text):
        # Before the host an @ ends the name of a user.
        match = re.fullmatch(r"(.+)@([0-9]+)", text, re.DOTALL)
        return (location(match[1]), int(match[2])) if match else (location(text), None)
    if _is_path(text):
        return text, None
    run, at, update = text.rpartition("@")
    if not at:
        return text, None
    if not re.fullmatch(r"[0-9]+", update):
        raise CheckpointError(
            f"{text!r} names no checkpoint: {update!r} is not an update number",
            hint=f"write {typed(f'{run}@UPDATE')}, or {typed(run)} for the newest",
        )
    return run, int(update)


def split_simulations(text: str) -> tuple[str, int | None]:
    """Returns "RUN[@UPDATE]" and the simulations of "RUN[@UPDATE][:simulations]", None for none.

    A path that exists is a run, whatever it ends in.
    """
    match = re.fullmatch(r"(.+):([0-9]+)", text, re.DOTALL)
    return (text, None) if match is None or _is_path(text) else (match[1], int(match[2]))


def typed(place: Place) -> str:
    """Returns a path or URL as it is typed in a shell, so that commands in hints can be copied."""
    text = str(place)
    if text.startswith("-"):
        # Else it would be taken for an option.
        text = f"./{text}"
    if text.isprintable():
        return shlex.quote(text)
    # A tab or a line break would not survive the way from the screen to the shell.
    escaped = "".join(
        char
        if char.isprintable()
        else (f"\\x{ord(char):02x}" if char.isascii() else f"\\u{ord(char):04x}")
        for char in text.replace("\\", "\\\\").replace("'", "\\'")
    )
    return f"$'{escaped}'"


def _is_path(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        # Too long for a name, for example.
        return False
