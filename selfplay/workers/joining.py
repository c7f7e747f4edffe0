"""How workers and evaluators join a run: they wait for the run and its first checkpoint."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from selfplay.errors import ConfigError, StorageError
from selfplay.networks import Network
from selfplay.run import RunDirectory, is_run, remove_heartbeat, write_heartbeat
from selfplay.runtime.lifetime import Lifetime
from selfplay.runtime.process_config import process_config
from selfplay.settings import Config
from selfplay.settings.config import MACHINE_KEYS
from selfplay.settings.renames import with_current_names
from selfplay.store.place import typed
from selfplay.telemetry import Monitor
from selfplay.workers.trainer_watch import Published, load_published

T = TypeVar("T")

Say = Callable[[str], None]
"""Shows a line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listeners:
    """Shows the messages and the state of a process.

    Attributes:
        say: shows a line.
        monitor: serves state and metrics; it gets the id of the process once that is known.
    """

    say: Say
    monitor: Monitor


_MACHINE_SETTINGS = ", ".join(
    f"{section}.{key}" for section, keys in MACHINE_KEYS.items() for key in keys
)


def silent(role: str) -> Listeners:
    """Returns listeners that show nothing."""
    return Listeners(say=lambda text: None, monitor=Monitor(role=role, id=""))


def wait_for_run(place: str, lifetime: Lifetime, listeners: Listeners) -> RunDirectory | None:
    """Waits for the run at `place` and returns it; None if the lifetime ends before.

    Raises:
        RunError: its run.toml is damaged or of a newer selfplay.
    """
    command = f"selfplay trainer --run {typed(place)} --game GAME"
    return _ask_store(
        lambda: RunDirectory.open(place) if is_run(place) else None,
        lifetime,
        listeners,
        meanwhile=("waiting for the run", f"waiting for the run {place}: {command} makes it"),
    )


def wait_for_store(place: str, lifetime: Lifetime, listeners: Listeners) -> bool | None:
    """Returns whether there is a run at `place`; None if the store never answers."""
    return _ask_store(
        lambda: is_run(place), lifetime, listeners, meanwhile=("waiting for the store", "")
    )


def _ask_store(
    ask: Callable[[], T | None],
    lifetime: Lifetime,
    listeners: Listeners,
    *,
    meanwhile: tuple[str, str],
) -> T | None:
    """Calls `ask` until the store answers and it returns a value; returns the value.

    Args:
        ask: asks the store.
        lifetime: ends the wait.
        listeners: show that the process waits.
        meanwhile: the state of the process, and what to say once unless the store is the reason.
    """
    state, text = meanwhile
    said: list[str] = []

    def look() -> T | None:
        try:
            return ask()
        except StorageError as error:
            if str(error) not in said:
                said.append(str(error))
                listeners.say(f"{error}; trying again")
            return None

    def waiting() -> None:
        listeners.monitor.wait(state)
        if not said:
            said.append(text)
            listeners.say(text)

    return lifetime.wait_for(look, waiting=waiting)


def wait_for_checkpoint(
    run: RunDirectory,
    network: Network,
    lifetime: Lifetime,
    listeners: Listeners,
    *,
    accepted: bool = False,
) -> Published | None:
    """Waits for a checkpoint and returns the newest; None if the lifetime ends before.

    Meanwhile heartbeats show that the process waits.

    Args:
        run: the run.
        network: what the weights are for.
        lifetime: ends the wait.
        listeners: show that the process waits.
        accepted: as for `load_published`.

    Raises:
        CheckpointError: it is damaged.
    """
    said = False
    say, monitor = listeners.say, listeners.monitor

    def look() -> Published | None:
        try:
            return run.checkpoints.read_latest(
                lambda update: load_published(run, update, network, accepted=accepted)
            )
        except StorageError:
            return None

    def waiting() -> None:
        nonlocal said
        monitor.wait("waiting for a checkpoint")
        spoken = {"state": monitor.health.state, "ready": False}
        with contextlib.suppress(StorageError):
            write_heartbeat(run.store, monitor.role, monitor.id, spoken)
        if not said:
            said = True
            say(f"waiting for the first checkpoint of {run.url}")

    published = lifetime.wait_for(look, waiting=waiting)
    if published is None and said:
        with contextlib.suppress(StorageError):
            remove_heartbeat(run.store, monitor.role, monitor.id)
    return published


def worker_config(
    run: RunDirectory,
    config: Config,
    asked: Mapping[str, Mapping[str, Any]],
    say: Say = lambda text: None,
) -> Config:
    """Returns the settings of a worker: those of the run, with the choices for its machine.

    Args:
        run: the run.
        config: in force in the run.
        asked: settings asked of the worker, by section and key.
        say: shows a line, if the run names a backend that this machine cannot use.

    Raises:
        ConfigError: `asked` differs from the run in a setting that a worker may not choose.
    """
    asked = with_current_names(asked)
    own = {
        section: {key: value for key, value in asked[section].items() if key in keys}
        for section, keys in MACHINE_KEYS.items()
        if section in asked
    }
    dictated = config.to_dict()
    wanted = config.updated(asked).to_dict()
    for section, values in asked.items():
        for key in values:
            if key not in own.get(section, ()) and wanted[section][key] != dictated[section][key]:
                raise ConfigError(
                    f"{section}.{key} is {dictated[section][key]!r} in {run.url}, but "
                    f"{wanted[section][key]!r} was asked for",
                    hint=f"the run sets the settings; a worker chooses only {_MACHINE_SETTINGS}",
                )
    named = run.config.search.inference
    return process_config(config.updated(own), asked, named=named, say=say)
