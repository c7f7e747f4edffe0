"""How a process joins a run: it waits for the run, claims an id, and waits for a checkpoint."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from selfplay.errors import ConfigError, StorageError
from selfplay.networks import Network
from selfplay.registry import GameSpec
from selfplay.run import RunDirectory, is_run, remove_heartbeat, write_heartbeat
from selfplay.runtime.components import Components
from selfplay.runtime.lifetime import Lifetime
from selfplay.runtime.process_config import process_config
from selfplay.settings import Config
from selfplay.settings.config import MACHINE_KEYS
from selfplay.settings.renames import with_current_names
from selfplay.store.place import typed
from selfplay.telemetry import Monitor
from selfplay.workers.process_ids import claimed_id
from selfplay.workers.trainer_watch import Published, load_published
from selfplay.workers.worker_components import plan_worker_memory, worker_components

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """The settings of every process that works with the weights of a run.

    Attributes:
        id: its name; None for the name of the host and the first free number.
        game: where the game of the run is now; None for where the run has it.
        settings: of `--set` and the environment, by section. Only some may differ from those of the
            run.
    """

    id: str | None = None
    game: GameSpec | None = None
    settings: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joined:
    """A run that a process has joined.

    Attributes:
        run: the run.
        id: the name of the process, which no other one of its role has.
        components: made from the run's game and `worker_config`.
        first: the checkpoint to begin with.
    """

    run: RunDirectory
    id: str
    components: Components
    first: Published


@contextlib.contextmanager
def joined(
    place: str,
    options: ProcessOptions,
    lifetime: Lifetime,
    listeners: Listeners,
    *,
    calibrates: bool = True,
) -> Iterator[Joined | None]:
    """Joins the run at `place` for the time of the context; waits for it and its first checkpoint.

    Args:
        place: the run, a path or a URL. It may not exist yet.
        options: the settings of the process.
        lifetime: ends the wait; then the context gets None.
        listeners: show that the process waits; their monitor knows the role, and gets the id.
        calibrates: as for `make_components`.

    Raises:
        ConfigError: the settings contradict those of the run, or there is too little memory.
        RunError: the id is taken, or the game has changed.
        CheckpointError: the checkpoint is damaged.
    """
    run = wait_for_run(place, lifetime, listeners)
    if run is None:
        yield None
        return
    # Errors in the settings are reported at once.
    config = worker_config(run, run.config, options.settings, listeners.say)
    with claimed_id(run, listeners.monitor.role, options.id, lifetime=lifetime) as id:
        listeners.monitor.id = id
        components = worker_components(run.make_game(options.game), config, calibrates=calibrates)
        plan_worker_memory(components).check()
        first = wait_for_checkpoint(run, components.network, lifetime, listeners, accepted=True)
        if first is None:
            yield None
            return
        lifetime.heard()
        # The settings in force may differ from those that the run was created with.
        config = worker_config(run, first.config, options.settings)
        components = worker_components(
            components.game, config, like=components, calibrates=calibrates
        )
        plan_worker_memory(components).check()
        yield Joined(run=run, id=id, components=components, first=first)


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
