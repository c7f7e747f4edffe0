"""Finds the games, runs and agents that the command line names."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from selfplay.adapters import PythonGame
from selfplay.arena import is_engine, make_agent, parse_opponent
from selfplay.arena.agents import Agent, Analyst
from selfplay.cli.output import say
from selfplay.errors import ConfigError, RunError, SelfplayError, UnknownGameError
from selfplay.game import Game
from selfplay.registry import GameSpec, split_file
from selfplay.run import RunDirectory, is_run, split_checkpoint_name, split_simulations
from selfplay.run.game_files import find_game_file
from selfplay.store import Place, is_remote


def game_spec(text: str, options: Sequence[str] | None) -> GameSpec:
    """Returns the specification of a game on the command line, valid in any directory.

    A file is looked for in the current folder, then in the folders of `SELFPLAY_GAMES`.
    """
    parts = split_file(text)
    if parts is not None:
        file = find_game_file(parts[0]) or Path(parts[0]).expanduser()
        text = f"{file.absolute()}{parts[1]}"
    return GameSpec(text, parse_options(options or ()))


def moved_game(text: str | None) -> GameSpec | None:
    """Returns the game that `--game` gives for a run; None without it."""
    return None if text is None else game_spec(text, None)


def check_moved_game(place: Place, text: str | None) -> None:
    """Raises unless `--game` names the game of a run; does nothing without it.

    For commands that need no rules.

    Raises:
        RunError: it has other rules, or there is no run.
        ConfigError: there is no such game.
    """
    if text is not None:
        RunDirectory.open(place).make_game(moved_game(text))


def named_run(text: str) -> str | None:
    """Returns the run in "RUN[@UPDATE][:simulations]", None if there is no such run."""
    if is_engine(text):
        return None
    run, _ = split_checkpoint_name(split_simulations(text)[0])
    return run if is_run(run) else None


def run_and_game(
    text: str, game: str | None = None, options: Sequence[str] | None = None
) -> tuple[RunDirectory, Game[Any]] | None:
    """Returns the run in "RUN[@UPDATE][:simulations]" and its game, None if it is not a run.

    Args:
        text: as it was typed.
        game: where the game is now, None for where the run has it.
        options: of that game; by default those of the run.

    Raises:
        RunError: its game is missing, or has other rules.
    """
    place = named_run(text)
    if place is None:
        return None
    run = RunDirectory.open(place)
    return run, run.make_game(None if game is None else game_spec(game, options))


def game_of(agents: Sequence[str], game: str | None, options: Sequence[str] | None) -> Game[Any]:
    """Returns the game for some agents: that of the first run, else that of `--game`.

    Args:
        agents: as they were typed.
        game: what `--game` says. If an agent is a run, it must have the rules of that run.
        options: of that game.

    Raises:
        RunError: the game of the run is missing, or has other rules.
        ConfigError: no agent is a run, and `--game` is missing or names an unknown game.
    """
    found = (run_and_game(text, game, options) for text in agents)
    first = next((one for one in found if one is not None), None)
    if first is not None:
        return first[1]
    if game is None:
        raise unknown_game(*agents)
    return make_game(game, options)


def make_game(text: str, options: Sequence[str] | None) -> Game[Any]:
    """Returns the game on the command line; the error explains a text that looks like a run.

    Raises:
        RunError: there is no such game, and the path of that name is not a run.
        ConfigError: there is no such game, or it does not take these options.
    """
    spec = game_spec(text, options)
    with _meant_as_run(text):
        return spec.make()


def written_game(text: str, options: Sequence[str] | None) -> Game[Any] | PythonGame[Any]:
    """Returns the game on the command line as its author wrote it; raises as `make_game` does."""
    spec = game_spec(text, options)
    with _meant_as_run(text):
        return spec.rules()


@contextlib.contextmanager
def _meant_as_run(text: str) -> Iterator[None]:
    try:
        yield
    except UnknownGameError:
        place, _ = split_checkpoint_name(split_simulations(text)[0])
        if is_remote(place) or Path(place).is_dir() or (os.sep in text and ".py" not in text):
            RunDirectory.open(place)
        raise


def run_agent(
    text: str,
    game: Game[Any],
    *,
    simulations: int | None,
    batch_size: int,
    inference: str | None = None,
) -> Analyst:
    """Returns the agent "RUN[@UPDATE][:simulations]"; `simulations` overrides the text."""
    if simulations is not None:
        text = f"{split_simulations(text)[0]}:{simulations}"
    return make_agent(text, game, batch_size=batch_size, inference=inference, say=note)


def opponent_agent(
    text: str,
    game: Game[Any],
    *,
    simulations: int | None,
    batch_size: int,
    inference: str | None = None,
) -> Agent:
    """Returns any agent, including an engine; `simulations` overrides the text of a run."""
    if not is_engine(text):
        return run_agent(
            text, game, simulations=simulations, batch_size=batch_size, inference=inference
        )
    if simulations is not None:
        raise ConfigError(
            f"--simulations is {simulations}, but {text} is a program with limits of its own",
            hint="set the limits of an engine in its command; see docs/engines.md",
        )
    return parse_opponent(text, game, say=note)


def note(text: str) -> None:
    """Shows what an agent has to say of itself."""
    say(f"note: {text}", err=True)


def unknown_game(*agents: str) -> SelfplayError:
    """Returns the error if no agent is a run, so that the game is unknown."""
    for text in agents:
        if text.partition(":")[0] not in ("random", "mcts", "solver", "gtp", "uci"):
            place, _ = split_checkpoint_name(split_simulations(text)[0])
            try:
                RunDirectory.open(place)
            except RunError as error:
                hint = "an agent is random, mcts:200, solver, or RUN[@UPDATE][:simulations]"
                return RunError(str(error), hint=hint)
    return ConfigError(
        f"no run is named, so the game of {' and '.join(agents)} is not known",
        hint="add --game connect_four, or whatever it is",
    )


def parse_options(texts: Sequence[str]) -> dict[str, object]:
    """Returns `["size=6", "swap=true"]` as `{"size": 6, "swap": True}`.

    A value that looks like an integer, a number, true or false becomes one; others are text.
    """
    options: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise ConfigError(
                f"option is {text!r}, but must be NAME=VALUE", hint="for example --option size=6"
            )
        options[name] = _parse_value(value.strip())
    return options


def _parse_value(text: str) -> object:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    # Words such as "inf" and "nan" are text.
    if re.search(r"\d", text):
        for number in (int, float):
            with contextlib.suppress(ValueError):
                return number(text)
    return text
