"""What RUN and RUN@UPDATE stand for, wherever the run lies."""

import re
from pathlib import Path

from selfplay.errors import CheckpointError, RunError
from selfplay.store.open import open_store
from selfplay.store.place import Place, is_remote, location, typed
from selfplay.store.store import Store

RUN_FILE = "run.toml"


def is_run(place: Place | Store) -> bool:
    """Returns whether a directory or store holds a run.

    Raises:
        StorageError: a store elsewhere cannot be reached.
    """
    return open_store(place).exists(RUN_FILE)


def find_checkpoint(text: str) -> tuple[str, int]:
    """Returns the run and the update that "RUN" (the newest) or "RUN@UPDATE" means.

    Raises:
        RunError: RUN is not a run.
        CheckpointError: it has no such checkpoint, or none yet.
    """
    run, update = split_checkpoint_name(text)
    if not is_run(run):
        raise no_run(run)
    # Here, because checkpoints bring JAX: `is_run` is for health probes too, which must be quick.
    from selfplay.checkpoints import open_checkpoints

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


def _is_path(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        # Too long for a name, for example.
        return False
