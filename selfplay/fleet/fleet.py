"""What a fleet is made of, and the command line of each of its processes."""

import dataclasses
import re
import socket
from collections.abc import Mapping
from typing import Any

from selfplay.errors import ConfigError
from selfplay.version import software_version

VERSION_VARIABLE = "SELFPLAY_FLEET_VERSION"
"""Tells a process which selfplay launched it; one of another version refuses to start."""

ROLES = {
    "trainer": ("trainer", "--run"),
    "worker": ("worker", "--run"),
    "evaluator": ("evaluator", "--run"),
    "reanalyzer": ("reanalyze",),
}
"""The words of the command of each role, before the run; in the order in which roles start."""

_SETTING = re.compile(r"SELFPLAY_([A-Z]+__[A-Z_0-9]+|RUN|GAME)")
_KEPT = "SELFPLAY_SEARCH__INFERENCE"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Role:
    """Processes of one kind.

    Attributes:
        name: a key of `ROLES`.
        count: number of processes, 0 or more.
        cpus: cores of each process, at least 1; None leaves the number to the engine.
        gpus: GPUs of each process, 0 or more; a fraction shares one. None: what suits the engine.
        memory: bytes of each process; None leaves it to the engine.
    """

    name: str
    count: int
    cpus: int | None = None
    gpus: float | None = None
    memory: int | None = None

    @property
    def acts_as_one(self) -> bool:
        """Whether its processes need each other: those of a trainer of several."""
        return self.name == "trainer" and self.count > 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Process:
    """One process of a fleet.

    Attributes:
        role: its role.
        index: which of the processes of its role it is, from 0.
    """

    role: Role
    index: int

    @property
    def name(self) -> str:
        """Its name: "trainer", "trainer-1", ...; "worker-1", "worker-2", "evaluator-1", ..."""
        if self.role.name == "trainer":
            return f"trainer-{self.index}" if self.index else "trainer"
        return f"{self.role.name}-{self.index + 1}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fleet:
    """What runs, whatever runs it.

    Attributes:
        run: an absolute path or a URL.
        game: the game of a new run, with an absolute path if it is a file; None for that of the
            run.
        options: of the game, as NAME=VALUE.
        preset: settings that a new run starts from.
        settings: of the run, as SECTION.KEY=VALUE; they override the preset.
        worker_settings: that workers choose for their machine, likewise.
        init_from: "RUN[@UPDATE]", whose weights a new run begins with; None for fresh ones.
        trainer: its role; several processes train as one.
        worker, evaluator, reanalyzer: the other roles.
        version: of the selfplay that launches.
    """

    run: str
    game: str | None
    options: tuple[str, ...] = ()
    preset: str = "default"
    settings: tuple[str, ...] = ()
    worker_settings: tuple[str, ...] = ()
    init_from: str | None = None
    trainer: Role
    worker: Role
    evaluator: Role
    reanalyzer: Role
    version: str

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles, in the order in which their processes start."""
        return tuple(getattr(self, name) for name in ROLES)

    def processes(self) -> list[Process]:
        """Returns all processes, the trainer first."""
        return [
            Process(role=role, index=index) for role in self.roles for index in range(role.count)
        ]

    def command(self, role: Role, *more: str) -> list[str]:
        """Returns the arguments of `selfplay` for the processes of a role; `more` comes last."""
        words = [*ROLES[role.name], self.run]
        if role.name == "trainer":
            words += [] if self.game is None else ["--game", self.game]
            words += [f"--option={option}" for option in self.options]
            words += [] if self.preset == "default" else ["--preset", self.preset]
            words += [] if self.init_from is None else ["--init-from", self.init_from]
        chosen = {"trainer": self.settings, "worker": self.worker_settings}.get(role.name, ())
        return [*words, *(f"--set={setting}" for setting in chosen), *more]

    @staticmethod
    def group_options(role: Role, coordinator: str, index: int | str) -> list[str]:
        """Returns the options by which a process finds those that it needs; none if there are none.

        Args:
            role: of the process.
            coordinator: "HOST:PORT" of process 0.
            index: of the process, or what the engine replaces by it.
        """
        if not role.acts_as_one:
            return []
        group = [f"--coordinator={coordinator}", f"--num-processes={role.count}"]
        return [*group, f"--process-id={index}"]

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Returns the environment of a process: without settings, which the trainer is passed.

        The inference backend stays: each process chooses it for its machine.

        Args:
            environ: that of the launcher.
        """
        kept = {
            name: value
            for name, value in environ.items()
            if name == _KEPT or not _SETTING.fullmatch(name)
        }
        return {**kept, VERSION_VARIABLE: self.version}

    def to_dict(self) -> dict[str, Any]:
        """Returns the fleet as JSON can hold it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Fleet":
        """Returns the fleet that `to_dict` has written."""
        lists = ("options", "settings", "worker_settings")
        # A fleet of an earlier selfplay has no processes of newer roles.
        none = {name: {"name": name, "count": 0} for name in ROLES}
        roles = {name: Role(**document.get(name, none[name])) for name in ROLES}
        return cls(**{**document, **{name: tuple(document[name]) for name in lists}, **roles})


def check_launcher(environ: Mapping[str, str]) -> None:
    """Raises `ConfigError` if a fleet was launched by another version of selfplay than this one.

    Args:
        environ: of this process.
    """
    theirs, ours = environ.get(VERSION_VARIABLE), software_version()
    if theirs is not None and theirs != ours:
        raise ConfigError(
            f"the fleet was launched by selfplay {theirs}, but {socket.gethostname()} has {ours}",
            hint="install the same version of selfplay on every machine",
        )
