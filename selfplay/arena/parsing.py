"""From what a person types to an agent: "random", "mcts:200", "RUN@UPDATE:64", "gtp:gnugo"."""

import os
import re
from collections.abc import Callable
from typing import Any

from selfplay.arena.agents import (
    DEFAULT_BATCH_SIZE,
    Agent,
    Analyst,
    RandomAgent,
    SearchAgent,
    SolverAgent,
    mcts_agent,
)
from selfplay.arena.engines import EngineAgent, is_engine, parse_engine
from selfplay.arena.stored import agent_inference, load_network
from selfplay.errors import ConfigError
from selfplay.game import Game
from selfplay.run import split_checkpoint_name, split_simulations
from selfplay.store import is_remote

_FORMS = "an agent is random, mcts:200, solver, or RUN[@UPDATE][:simulations]"


def parse_opponent(
    text: str,
    game: Game[Any],
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
    processes: int = 1,
    inference: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Agent:
    """Returns the agent that `text` names, which may be an engine: a program that is started.

    Kept apart from `make_agent`, so that no settings of a run, which may come from anywhere, can
    start a program.

    Args:
        text: "gtp:COMMAND" or "uci:COMMAND", or as in `make_agent`.
        game: the rules.
        batch_size: positions searched at once.
        processes: of an engine, side by side.
        inference: see `load_run_agent`.
        say: is told what is overlooked in what an engine says, and see `load_run_agent`.

    Raises:
        ConfigError: the text names no agent, or one that cannot play this game.
        RunError: the directory is no run.
        CheckpointError: the run has no such checkpoint, or belongs to another game.

    >>> from selfplay import make
    >>> parse_opponent("random", make("connect_four")).name
    'random'
    """
    if is_engine(text):
        return EngineAgent(game, parse_engine(text), processes=processes, say=say)
    return make_agent(text, game, batch_size=batch_size, inference=inference, say=say)


def make_agent(
    text: str,
    game: Game[Any],
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
    inference: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Analyst:
    """Returns the agent that `text` names.

    Args:
        text: "random"; "mcts:N", plain Monte Carlo tree search with N random playouts per move;
            "solver", the game's own exact solution; or a run of this game as in
            `load_run_agent`.
        game: the rules.
        batch_size: positions searched at once; for one match 1 will do.
        inference: what computes the network of a run, see `load_run_agent`.
        say: likewise.

    Raises:
        ConfigError: the text names no agent, or the game has no solver.
        RunError: the directory is no run.
        CheckpointError: the run has no such checkpoint, or belongs to another game.

    >>> from selfplay import make
    >>> make_agent("mcts:200", make("connect_four")).name
    'mcts:200'
    """
    if is_engine(text):
        raise ConfigError(
            f"agent is {text!r}, but an engine can neither analyse nor stand in settings",
            hint="engines play in selfplay arena and selfplay play",
        )
    if text == "random":
        return RandomAgent(game, batch_size=batch_size)
    if text == "solver":
        return SolverAgent(game)
    kind, _, number = text.partition(":")
    if kind == "mcts":
        if not re.fullmatch(r"[0-9]+", number) or int(number) < 2:
            raise ConfigError(
                f"agent is {text!r}, but the simulations of mcts must be a number of at least 2",
                hint="write mcts:200 for 200 simulations per move",
            )
        return mcts_agent(game, int(number), batch_size=batch_size)
    run, _ = split_checkpoint_name(split_simulations(text)[0])
    if not is_remote(run) and not os.path.exists(run):
        raise ConfigError(f"agent is {text!r}, but there is no such agent or run", hint=_FORMS)
    return load_run_agent(text, game=game, batch_size=batch_size, inference=inference, say=say)


def load_run_agent(
    text: str,
    *,
    game: Game[Any] | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    inference: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> SearchAgent:
    """Returns the agent of a checkpoint: the search of its run with its weights, without noise.

    Args:
        text: "RUN[@UPDATE][:simulations]"; by default the newest checkpoint and the run's own
            number of simulations; 0 plays the raw network.
        game: the rules it must belong to; by default the run's own game, which the agent has as
            its attribute `game`.
        batch_size: positions searched at once.
        inference: what computes the network, a value of `search.inference`. By default what the
            run names, or the fastest where this machine cannot use that. Integers need a
            calibration, which an agent does not make: there the network computes in float32.
        say: is told if the run names a backend that this machine cannot use.

    Raises:
        RunError: the directory is no run.
        CheckpointError: there is no such checkpoint, it is damaged, or of another game.
        ConfigError: the network cannot be computed here by what was asked for.
    """
    name, simulations = split_simulations(text)
    stored = load_network(name, game=game)
    game, config = stored.game, stored.config
    computed = agent_inference(stored, inference, say)
    search = config.search.for_matches(simulations)
    return SearchAgent(
        f"{stored.url}@{stored.update}:{search.num_simulations}",
        game,
        computed.evaluate,
        computed.load(stored.weights),
        search,
        batch_size=batch_size,
    )
