"""What GAME, RUN and AGENT on the command line stand for."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfplay.arena import is_engine, parse_agent, parse_opponent
from selfplay.arena.agents import Agent, Analyst
from selfplay.errors import ConfigError, RunError, SelfplayError, UnknownGameError
from selfplay.game import Game
from selfplay.registry import GameSpec, parse_options
from selfplay.run import RunDirectory, is_remote, is_run, split_checkpoint_name


def game_spec(text: str, options: Sequence[str] | None) -> GameSpec:
    """Returns how to make the game that was typed, from whatever directory."""
    where, colon, name = text.rpartition(":")
    file, name = (where, colon + name) if where.endswith(".py") else (text, "")
    if file.endswith(".py"):
        text = f"{Path(file).expanduser().absolute()}{name}"
    return GameSpec(text, parse_options(options or ()))


def named_run(text: str) -> str | None:
    """Returns the run in "RUN[@UPDATE][:simulations]", None if there is no such run."""
    if is_engine(text):
        return None
    run, _ = split_checkpoint_name(_without_simulations(text))
    return run if is_run(run) else None


def run_and_game(text: str) -> tuple[RunDirectory, Game[Any]] | None:
    """Returns the run in "RUN[@UPDATE][:simulations]" and its game, None if it is no run."""
    place = named_run(text)
    if place is None:
        return None
    run = RunDirectory.open(place)
    return run, run.make_game()


def make_game(text: str, options: Sequence[str] | None) -> Game[Any]:
    """Returns the game that was typed; where it was meant to be a run, says what that is.

    Raises:
        RunError: there is no such game, and the path of that name is no run.
        ConfigError: there is no such game, or it does not take these options.
    """
    spec = game_spec(text, options)
    try:
        return spec.make()
    except UnknownGameError:
        place, _ = split_checkpoint_name(_without_simulations(text))
        if is_remote(place) or Path(place).is_dir() or (os.sep in text and ".py" not in text):
            RunDirectory.open(place)
        raise


def run_agent(text: str, game: Game[Any], *, simulations: int | None, batch_size: int) -> Analyst:
    """Returns the agent "RUN[@UPDATE][:simulations]"; `simulations` overrules the text."""
    if simulations is not None:
        text = f"{_without_simulations(text)}:{simulations}"
    return parse_agent(text, game, batch_size=batch_size)


def opponent_agent(
    text: str, game: Game[Any], *, simulations: int | None, batch_size: int
) -> Agent:
    """Returns any agent, an engine too; `simulations` overrules the text of a run."""
    if not is_engine(text):
        return run_agent(text, game, simulations=simulations, batch_size=batch_size)
    if simulations is not None:
        raise ConfigError(
            f"--simulations is {simulations}, but {text} searches as it likes",
            hint="how hard an engine thinks is said in its own text; see docs/engines.md",
        )
    return parse_opponent(text, game)


def unknown_game(*agents: str) -> SelfplayError:
    """Returns the error for agents of which none is a run, so that nobody knows the game."""
    for text in agents:
        if text.partition(":")[0] not in ("random", "mcts", "solver", "gtp", "uci"):
            place, _ = split_checkpoint_name(_without_simulations(text))
            try:
                RunDirectory.open(place)
            except RunError as error:
                hint = "an agent is random, mcts:200, solver, or RUN[@UPDATE][:simulations]"
                return RunError(str(error), hint=hint)
    return ConfigError(
        f"no run is named, so the game of {' and '.join(agents)} is not known",
        hint="add --game connect_four, or whatever it is",
    )


def _without_simulations(text: str) -> str:
    return text if Path(text).exists() else re.sub(r":[0-9]+$", "", text)
