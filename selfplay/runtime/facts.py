"""What the settings of a new run depend on: the sizes of a game, random matches, the machine."""

import math
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

from selfplay.adapters import HostedGame, PythonChanceGame, PythonGame
from selfplay.contract import random_matches
from selfplay.game import ChanceGame, Game
from selfplay.machine import host_memory
from selfplay.settings import GameFacts, MachineFacts

_HOSTED_SECONDS = 1e-4
"""That a move of rules in plain Python takes beside the rules: see docs/python-games.md."""

_TIMED_PLIES = 64
_TIMED_SECONDS = 0.5


def machine_facts(*, plays: bool = True) -> MachineFacts:
    """Returns what is known of the devices of a trainer, on all of its hosts, and of this host.

    Args:
        plays: whether this process plays the matches itself.
    """
    return MachineFacts(
        platform=jax.default_backend(),
        devices=jax.device_count(),
        memory=host_memory(),
        plays=plays,
    )


def game_facts(game: Game[Any], *, clock: Callable[[], float] = time.perf_counter) -> GameFacts:
    """Returns the sizes of a game, and what random matches show of it.

    The matches are those of the fingerprint, which every new run needs anyway, so nothing
    is played for this alone, and the numbers are the same on every machine. Only rules in plain
    Python are timed, for half a second at most, and their time is rounded to a power of 4.

    Args:
        game: the rules.
        clock: in seconds.
    """
    state = jax.eval_shape(game.init, jax.random.key(0))
    matches = random_matches(game)
    return GameFacts(
        name=game.name,
        num_actions=game.num_actions,
        max_plies=game.max_plies,
        observation_shape=tuple(jax.eval_shape(game.observe, state).shape),
        state_bytes=sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)),
        legal_actions=matches.legal_actions,
        outcomes=game.num_outcomes if isinstance(game, ChanceGame) else 1,
        plies=matches.plies,
        cut_share=matches.cut_share,
        rules_seconds=rounded_seconds(_HOSTED_SECONDS + _seconds_of_a_move(game.rules, clock))
        if isinstance(game, HostedGame)
        else 0.0,
    )


def rounded_seconds(seconds: float) -> float:
    """Returns the nearest power of 4 of microseconds, so that two measurements agree."""
    return float(1e-6 * 4.0 ** round(math.log(seconds / 1e-6, 4)))


def _seconds_of_a_move(rules: PythonGame[Any], clock: Callable[[], float]) -> float:
    """Returns the median time of a random move, with what a search asks of the new position."""
    draw = random.Random(0)
    times: list[float] = []
    state = None
    while len(times) < _TIMED_PLIES and sum(times) < _TIMED_SECONDS:
        if state is None or rules.is_terminal(state):
            state = rules.initial_state(draw)
        actions = rules.legal_actions(state)
        if not actions:
            break
        begin = clock()
        state = rules.apply(state, draw.choice(actions))
        if isinstance(rules, PythonChanceGame) and rules.is_chance(state):
            chances = rules.chance_probabilities(state)
            state = rules.resolve(state, draw.choices(range(len(chances)), chances)[0])
        if not rules.is_terminal(state):
            rules.legal_actions(state)
            rules.observe(state)
        times.append(clock() - begin)
    return statistics.median(times or [0.0])
