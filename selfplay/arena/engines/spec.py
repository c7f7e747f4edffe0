"""What a person types about an engine: "gtp:gnugo --mode gtp", "uci:nodes=1000 stockfish"."""

import dataclasses
import os
import re
import shlex
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from selfplay.arena.engines.gtp import GtpEngine
from selfplay.arena.engines.uci import UciEngine
from selfplay.errors import ConfigError

_TIMEOUT = 300.0
_LIMITS = ("movetime", "nodes", "depth")
_DEFAULT_LIMITS = "movetime 100"


@runtime_checkable
class Engine(Protocol):
    """One running program, told of one match at a time."""

    def begin(self, setup: Sequence[str]) -> None:
        """Sets up the first position of a match, as `Setups.of` says it."""

    def play(self, moves: Sequence[tuple[int, str]], *, forced: Collection[int] = ()) -> None:
        """Makes moves: the player and the text of each; indices in `forced` are forced passes."""

    def choose(self, player: int) -> str:
        """Returns the engine's move, which counts as made, or "resign"."""

    def close(self) -> None:
        """Ends the program."""

    def kill(self) -> None:
        """Ends the program at once."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """What a person typed about an engine.

    Attributes:
        text: all of it; the agent's name.
        protocol: "gtp" or "uci".
        command: the program and its arguments.
        timeout: seconds that it may take for any one answer.
        limits: for UCI, how long it thinks about a move, as `go` has it.
        options: for UCI, options of the engine by name.
    """

    text: str
    protocol: str
    command: tuple[str, ...]
    timeout: float = _TIMEOUT
    limits: str = _DEFAULT_LIMITS
    options: dict[str, str] = dataclasses.field(default_factory=dict)

    def launch(self, say: Callable[[str], None] = lambda text: None) -> Engine:
        """Returns the engine, started.

        Args:
            say: is told of what is overlooked.

        Raises:
            EngineError: it cannot be started.
        """
        if self.protocol == "gtp":
            return GtpEngine(self.text, self.command, timeout=self.timeout, say=say)
        return UciEngine(
            self.text,
            self.command,
            timeout=self.timeout,
            limits=self.limits,
            options=self.options,
        )


def is_engine(text: str) -> bool:
    """Returns whether the text of an agent names an engine."""
    return text.startswith(("gtp:", "uci:"))


def parse_engine(text: str) -> EngineSpec:
    """Returns what "gtp:COMMAND" or "uci:COMMAND" says.

    The command is split as a shell splits it, but no shell runs it and nothing in it is expanded.
    Settings may stand in front of it, as a shell has variables: "uci:nodes=1000 stockfish".

    Raises:
        ConfigError: there is no such program, or a setting is unknown or out of range.
    """
    protocol, _, typed = text.partition(":")
    try:
        words = shlex.split(typed)
    except ValueError as error:
        raise ConfigError(f"agent is {text!r}, which cannot be read: {error}") from None
    settings: dict[str, str] = {}
    while words and re.match(r"[^/=]+=", words[0]):
        name, _, settings[name] = words.pop(0).partition("=")
    if not words:
        raise ConfigError(
            f"agent is {text!r}, but names no program",
            hint='write "gtp:gnugo --mode gtp", for example',
        )
    if shutil.which(words[0]) is None:
        raise _no_program(text, words[0])
    timeout = float(_number(text, settings, "timeout", _TIMEOUT))
    limits = [
        f"{name} {_number(text, settings, name, 0, whole=True)}"
        for name in _LIMITS
        if protocol == "uci" and name in settings
    ]
    options = {name: value for name, value in settings.items() if name not in ("timeout", *_LIMITS)}
    if protocol == "gtp" and len(settings) > ("timeout" in settings):
        unknown = next(name for name in settings if name != "timeout")
        raise ConfigError(
            f"agent is {text!r}, but {unknown} is no setting of GTP engines",
            hint="timeout=SECONDS is the only one; all else is for the engine's own arguments",
        )
    return EngineSpec(
        text=text,
        protocol=protocol,
        command=tuple(words),
        timeout=timeout,
        limits=" ".join(limits) or _DEFAULT_LIMITS,
        options=options,
    )


def _no_program(text: str, program: str) -> ConfigError:
    """Returns why the program cannot be run: it is not there, or may not be."""
    path = Path(program)
    if path.is_dir():
        return ConfigError(
            f"agent is {text!r}, but {program} is a directory", hint="name the program in it"
        )
    if path.is_file() and os.access(path, os.X_OK):
        return ConfigError(
            f"agent is {text!r}, but {program} is looked for on the PATH alone",
            hint=f"write {shlex.quote(f'./{program}')} for the file in this directory",
        )
    if path.is_file():
        return ConfigError(
            f"agent is {text!r}, but {program} may not be run: it lacks the run bit",
            hint=f"chmod +x {shlex.quote(program)}, or name what runs it: python {program}",
        )
    return ConfigError(
        f"agent is {text!r}, but there is no program {program!r}",
        hint="is it installed, and on the PATH? A path to it will do too",
    )


def _number(
    text: str, settings: dict[str, str], name: str, default: float, *, whole: bool = False
) -> str | float:
    typed = settings.get(name)
    if typed is None:
        return default
    pattern = r"[0-9]+" if whole else r"[0-9]+(\.[0-9]+)?"
    if not re.fullmatch(pattern, typed) or float(typed) <= 0:
        rule = "a whole number above 0" if whole else "a number of seconds above 0"
        raise ConfigError(f"agent is {text!r}, where {name} is {typed!r}, but must be {rule}")
    return typed
