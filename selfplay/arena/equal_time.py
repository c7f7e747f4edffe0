"""How many simulations an agent makes in the time that it has for a move."""

import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Key

from selfplay.arena.agents import DEFAULT_BATCH_SIZE, Agent, SearchAgent
from selfplay.arena.batches import stack
from selfplay.arena.engines import EngineAgent, EngineSpec, is_engine, parse_engine
from selfplay.arena.parsing import make_agent
from selfplay.configuration import check_range
from selfplay.errors import ConfigError
from selfplay.game import Game, Position, is_over, random_ply, start

# Of the two first measurements a straight line is made: what a move costs, and a simulation.
_SMALL, _LARGE = 8, 64
_MOVES = 9
_MOST = 100_000
_CORRECTIONS = 3
_CLOSE = 0.1


class TimedAgent(NamedTuple):
    """An agent and what it does in its time for a move.

    Attributes:
        agent: uses up that time.
        simulations: that it makes in it; None if it does not search, or is an engine.
        seconds: that a move with so many took, the median of several; what an engine is told; or
            None.
    """

    agent: Agent
    simulations: int | None
    seconds: float | None


def agent_in_time(
    text: str,
    game: Game[Any],
    seconds: float,
    *,
    batch_size: int = DEFAULT_BATCH_SIZE,
    processes: int = 1,
    inference: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> TimedAgent:
    """Returns the agent that `text` names, which has so much time for a move.

    A search gets the number of simulations that it makes in that time (`simulations_in`), a UCI
    engine is told the time. `random` and `solver` do not search and play as they are.

    Args:
        text: as in `parse_opponent`.
        game: the rules.
        seconds: a move, above 0.
        batch_size: positions searched at once.
        processes: of an engine, side by side.
        inference: what computes the network of a run.
        say: shows a message to people.

    Raises:
        ConfigError: the text names no agent, a GTP engine, whose time is its own, or an engine
            with a limit of its own; or the time is too short.
    """
    check_range("seconds per move", seconds, above=0)
    if is_engine(text):
        spec = parse_engine(text)
        if spec.protocol != "uci" or spec.limits != EngineSpec.limits:
            raise ConfigError(
                f"seconds per move is {seconds:g}, but {text} limits its thinking itself",
                hint="only a UCI engine without a limit of its own can be told the time",
            )
        milliseconds = max(1, round(1000 * seconds))
        spec = dataclasses.replace(spec, limits=f"movetime {milliseconds}")
        engine = EngineAgent(game, spec, processes=processes, say=say)
        return TimedAgent(agent=engine, simulations=None, seconds=seconds)
    agent = make_agent(text, game, batch_size=batch_size, inference=inference, say=say)
    if not isinstance(agent, SearchAgent):
        return TimedAgent(agent=agent, simulations=None, seconds=None)
    return simulations_in(agent, seconds, batch_size=batch_size)


def simulations_in(
    agent: SearchAgent,
    seconds: float,
    *,
    batch_size: int,
    clock: Callable[[], float] = time.perf_counter,
) -> TimedAgent:
    """Returns an agent that makes as many simulations as fit into `seconds` a move.

    They are counted for one position at a time, on all devices of this machine, as in a single
    match; compiling does not count. The matches themselves go on in batches with that fixed
    number, so other load meanwhile changes no result, and the same numbers can be played again.

    Args:
        agent: the agent.
        seconds: a move, above 0.
        batch_size: positions that the returned agent searches at once.
        clock: seconds.

    Raises:
        ConfigError: the time is too short for two simulations.
    """
    check_range("seconds per move", seconds, above=0)
    positions = _positions(agent.game)

    def measure(count: int) -> float:
        one = agent.resized(num_simulations=count, batch_size=1, keep_trees=False)
        one.select(next(positions), key=jax.random.key(0))
        found = []
        for number, position in enumerate(itertools.islice(positions, _MOVES)):
            begin = clock()
            one.select(position, key=jax.random.key(number))
            found.append(clock() - begin)
        return statistics.median(found)

    small, large = measure(_SMALL), measure(_LARGE)
    each = max((large - small) / (_LARGE - _SMALL), small / _SMALL / 100)
    count = _within(_SMALL + (seconds - small) / each)
    took = measure(count)
    for _ in range(_CORRECTIONS):
        better = _within(count * seconds / took)
        if abs(took / seconds - 1) <= _CLOSE or better == count:
            break
        # A larger tree costs more for each simulation, so the line is a guess.
        count, took = better, measure(better)
    if count == 2 and took > 1.5 * seconds:
        raise ConfigError(
            f"seconds per move is {seconds:g}, but {agent.name} needs {took:.2g} s for 2 "
            "simulations here",
            hint="give it more time, or play the network without search, as in RUN:0",
        )
    timed = agent.resized(num_simulations=count, batch_size=batch_size, keep_trees=False)
    return TimedAgent(agent=timed, simulations=count, seconds=took)


def _within(count: float) -> int:
    return int(min(max(count, 2), _MOST))


def _positions(game: Game[Any]) -> Iterator[Position[Any]]:
    """Yields positions of random matches, as batches of one, without end and hardly ever twice.

    What computes a network may remember what it has computed.
    """

    def follow(position: Position[Any], key: Key[Array, ""]) -> tuple[Position[Any], Array]:
        after = random_ply(game, position, key=key).position
        return after, is_over(game, after)

    follow = jax.jit(follow)
    for number in itertools.count():
        key = jax.random.key(number)
        position = start(game, key)
        if not number:
            yield stack([position])
        for ply in range(game.max_plies):
            position, over = follow(position, jax.random.fold_in(key, ply))
            if over:
                break
            yield stack([position])
