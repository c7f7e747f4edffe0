"""From what a person types to an agent: "random", "mcts:200", "RUN@UPDATE:64", "gtp:gnugo"."""

import os
import re
from collections.abc import Callable, Iterator
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
from selfplay.arena.stored import (
    CheckpointPlayers,
    StoredNetwork,
    load_network,
    load_weights,
)
from selfplay.errors import CheckpointError, ConfigError
from selfplay.game import Game
from selfplay.run import RunDirectory, split_checkpoint_name, split_simulations
from selfplay.settings import SearchConfig
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
        text: "RUN[@UPDATE][:simulations]"; by default the newest checkpoint and the simulations of
            the run's evaluations; 0 plays the raw network.
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
    search = stored.config.search_for_matches(simulations)
    players = CheckpointPlayers(stored, search, batch_size=batch_size, inference=inference, say=say)
    return players.agent(_name(stored, stored.update, search), stored.weights)


def checkpoint_agents(
    run: str,
    *,
    game: Game[Any] | None = None,
    simulations: int | None = None,
    newest: int | None = None,
    batch_size: int = DEFAULT_BATCH_SIZE,
    inference: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[tuple[int, SearchAgent]]:
    """Yields the agents of a run's checkpoints with their updates, oldest first; compiles once.

    All of them search as the newest one does. An agent must not be used once the next is asked for.

    Args:
        run: the directory or URL.
        game: the rules it must belong to; by default the run's own game.
        simulations: per move; by default those of the run's evaluations.
        newest: only so many of them, at least 1.
        batch_size: positions searched at once.
        inference: see `load_run_agent`.
        say: likewise; also told of checkpoints that are left out because they were removed
            meanwhile, are damaged, or have another network.

    Raises:
        RunError: the directory is no run.
        CheckpointError: it has no checkpoint, or is of another game.
        ConfigError: the network cannot be computed here by what was asked for.
    """
    stored = load_network(run, game=game)
    checkpoints = RunDirectory.open(stored.url).checkpoints
    search = stored.config.search_for_matches(simulations)
    players = CheckpointPlayers(stored, search, batch_size=batch_size, inference=inference, say=say)
    earlier = [update for update in checkpoints.updates() if update < stored.update]
    for update in earlier if newest is None else earlier[len(earlier) - newest + 1 :]:
        try:
            weights = load_weights(checkpoints, update, stored.network)
        except CheckpointError as error:
            say(f"checkpoint {update} is left out: {error}")
            continue
        agent = players.agent(_name(stored, update, search), weights)
        try:
            yield update, agent
        finally:
            players.release(agent)
    yield stored.update, players.agent(_name(stored, stored.update, search), stored.weights)


def _name(stored: StoredNetwork, update: int, search: SearchConfig) -> str:
    return f"{stored.url}@{update}:{search.num_simulations}"
