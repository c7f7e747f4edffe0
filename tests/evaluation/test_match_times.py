"""How many matches an evaluation plays where they take long."""

import types
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from selfplay.arena import RandomAgent, Standing
from selfplay.evaluation import match_times, strength
from selfplay.evaluation.match_times import MatchPace, MatchTimes
from selfplay.evaluation.strength import StrengthMeter
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.run import read_evaluations
from tests.training.runs import make_run, tiny_components, with_settings


def test_all_matches_are_played_until_they_take_too_long() -> None:
    times = MatchTimes(32)
    times.expect(9.0)
    times.expect(11.0)
    assert times.expected("mcts:100") == 9.0 and times.least("mcts:100") == 0.0
    assert times.fitting("mcts:100", 0.1) == 32
    times.ended("mcts:100", matches=32, seconds=5.0)
    assert times.expected("mcts:100") == times.least("mcts:100") == 5.0
    assert times.fitting("mcts:100", 0.1) == 32


def test_then_as_many_as_fit_are_played() -> None:
    times = MatchTimes(32)
    whole = times.broken_off("mcts:100", matches=32, seconds=50.0, needed=192.0)  # 6 s for each
    assert whole == 192.0
    assert times.is_slow("mcts:100") and not times.is_slow("random")
    assert times.least("mcts:100") == 24.0
    assert times.expected("mcts:100") == 48.0
    fitting = {seconds: times.fitting("mcts:100", seconds) for seconds in (1, 48, 96, 274, 275)}
    assert fitting == {1: 4, 48: 4, 96: 10, 274: 30, 275: 32}
    assert times.fitting("random", 1) == 32
    # Faster than it was thought to be.
    times.ended("mcts:100", matches=10, seconds=20.0)
    assert times.expected("mcts:100") == 20.0
    assert times.fitting("mcts:100", 40.0) == 14


@pytest.mark.parametrize("matches", [2, 4, 6])
def test_never_more_than_the_settings_say(matches: int) -> None:
    times = MatchTimes(matches)
    times.broken_off("random", matches=matches, seconds=1.0, needed=6.0 * matches)
    assert times.fitting("random", 0.0) == min(matches, 4)
    assert times.fitting("random", 1e9) == matches
    assert times.least("random") == 6.0 * min(matches, 4)


def test_where_the_pace_says_nothing_the_time_is_guessed() -> None:
    times = MatchTimes(32)
    assert times.broken_off("random", matches=32, seconds=10.0, needed=None) == 40.0
    # They have taken so long already.
    assert times.broken_off("random", matches=32, seconds=10.0, needed=3.0) == 10.0


class Clock:
    """Seconds that pass only when somebody works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        for module in (match_times, strength):
            monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=lambda: self.now))


def test_the_pace_is_that_of_the_later_plies(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    pace, unknown = MatchPace(100.0), MatchPace(None)
    for turn in range(11):
        standing = Standing(finished=0, matches=4, plies=4 * turn)
        assert pace.seconds_needed(standing) is unknown.seconds_needed(standing) is None
        clock.now += 50.0 if turn < 3 else 1.0  # the first turns compile
    standing = Standing(finished=0, matches=4, plies=44)
    assert unknown.seconds_needed(standing) is None
    # So far 158 seconds; each of the 89 turns left takes one.
    assert pace.seconds_needed(standing) == pytest.approx(158.0 + 89.0)
    # Longer than thought.
    late = Standing(finished=3, matches=4, plies=500)
    assert pace.seconds_needed(late) == pytest.approx(clock.now)


class SlowAgent(RandomAgent):
    """Takes a second for each position of a batch, padded ones too."""

    def __init__(self, clock: Clock, batch_size: int) -> None:
        super().__init__(TicTacToe(), batch_size=batch_size)
        self._clock = clock

    def select(self, positions: Any, *, key: Any) -> Any:
        rounds = -(-int(np.shape(positions.ply)[0]) // self._batch_size)
        self._clock.now += rounds * self._batch_size
        return super().select(positions, key=key)


@pytest.mark.parametrize("plies_per_match", [None, 7.5])
def test_a_slow_opponent_is_played_in_fewer_matches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plies_per_match: float | None
) -> None:
    clock = Clock(monkeypatch)
    monkeypatch.setattr(match_times, "_PLIES_TO_WATCH", 5)
    made: list[int] = []

    def make_agent(name: str, game: Any, *, batch_size: int) -> SlowAgent:
        made.append(batch_size)
        return SlowAgent(clock, batch_size)

    monkeypatch.setattr(strength, "make_agent", make_agent)
    evaluation = {"enabled": True, "matches": 32, "opponents": ("random",), "simulations": 2,
                  "mistake_positions": 0, "suite": "none"}  # fmt: skip
    run, components = make_run(
        tmp_path / "run", with_settings(tiny_components(), {"evaluation": evaluation})
    )
    messages: list[str] = []
    meter = StrengthMeter(components, run, say=messages.append)
    weights = components.network.init(key=jax.random.key(0))

    def play(seconds: float) -> None:
        meter.evaluate(
            weights, update=1, elapsed_seconds=0.0, seconds=seconds, plies_per_match=plies_per_match
        )

    # 32 matches take about 100 s: each of the later turns 16.
    play(60.0)
    assert not meter.results and "32 of them take about" in messages[0]
    # Where the length of a match is known, it is clear before the time is over.
    spent = clock.now
    assert spent < 60 if plies_per_match else spent > 60
    assert 10 <= meter.least_seconds("random") < 35 and made == [16]
    play(60.0)
    assert 4 <= meter.results["random"].matches < 32 and made == [16, 4]
    (stored,) = read_evaluations(run.path)
    assert stored["matches"] == meter.results["random"].matches
    assert clock.now - spent < 60 and len(messages) == 1
    # With time enough all are played, by agents that are compiled already.
    play(1000.0)
    assert meter.results["random"].matches == 32 and made == [16, 4]
