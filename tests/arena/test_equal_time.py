"""Agents get as many simulations as fit into their time."""

import sys

import numpy as np
import pytest

from selfplay.arena import EngineAgent, RandomAgent, SearchAgent
from selfplay.arena.equal_time import agent_in_time, simulations_in
from selfplay.errors import ConfigError
from tests.arena.toys import Tally


class Timed(SearchAgent):
    """Takes as long for a move as a function of its simulations says, on a clock of its own."""

    def __init__(self, cost, *, num_simulations=0, batch_size=0, now=None):
        self.name = f"timed:{num_simulations}"
        self.game = Tally()
        self.num_simulations = num_simulations
        self.batch_size = batch_size
        self.now = [0.0] if now is None else now
        self._cost = cost

    def resized(self, *, num_simulations=None, batch_size, keep_trees):
        return Timed(
            self._cost, num_simulations=num_simulations, batch_size=batch_size, now=self.now
        )

    def select(self, positions, *, key):
        self.now[0] += self._cost(self.num_simulations)
        return np.zeros(len(positions.ply), np.int32)


@pytest.mark.parametrize(
    "cost",
    [
        lambda count: 1e-3 + 1e-4 * count,
        lambda count: 5e-3 + 1e-5 * count,
        # A tree that costs more the larger it is.
        lambda count: 1e-3 + 1e-4 * count + 2e-7 * count**2,
    ],
)
def test_a_move_takes_the_time_it_has(cost):
    agent = Timed(cost)
    found = simulations_in(agent, 0.05, batch_size=16, clock=lambda: agent.now[0])
    assert cost(found.simulations) == pytest.approx(0.05, rel=0.15)
    assert found.seconds == pytest.approx(cost(found.simulations))
    assert isinstance(found.agent, Timed)
    assert (found.agent.num_simulations, found.agent.batch_size) == (found.simulations, 16)


def test_too_little_time_is_refused():
    agent = Timed(lambda count: 0.01 * count)
    with pytest.raises(ConfigError, match=r"seconds per move is 0\.001, but timed:0 needs 0\.02 s"):
        simulations_in(agent, 0.001, batch_size=16, clock=lambda: agent.now[0])


def test_who_does_not_search_plays_as_it_is():
    found = agent_in_time("random", Tally(), 0.1)
    assert isinstance(found.agent, RandomAgent)
    assert (found.simulations, found.seconds) == (None, None)


def test_a_uci_engine_is_told_the_time_and_others_are_refused():
    found = agent_in_time(f"uci:{sys.executable}", Tally(), 0.25)
    assert isinstance(found.agent, EngineAgent)
    assert found.agent._spec.limits == "movetime 250" and found.seconds == 0.25
    for text in (f"gtp:{sys.executable}", f"uci:nodes=10 {sys.executable}"):
        with pytest.raises(ConfigError, match="limits its thinking itself"):
            agent_in_time(text, Tally(), 0.25)
