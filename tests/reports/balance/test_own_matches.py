"""Matches that are played for a report: whole rounds, whatever their length."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplay.arena import StoredNetwork
from selfplay.networks import build_network
from selfplay.registry import GameSpec
from selfplay.reports.balance import own_matches
from selfplay.reports.balance.own_matches import (
    Plan,
    default_simulations,
    own_levels,
    own_pairs,
    play_levels,
)
from selfplay.rollout import Plies
from selfplay.run import RunDirectory
from selfplay.settings import Config

LENGTHS = (1, 5, 3, 11)
"""Plies of every match of a row."""


class UnevenPlayer:
    """Plays matches whose length depends on their row: the first row is always the first to end."""

    chunks = 0
    settings: tuple[Any, ...] = ()

    def __init__(self, *parts: Any, mesh: Any) -> None:
        del mesh
        UnevenPlayer.settings = parts[2:]
        self.num_matches = len(LENGTHS)

    def start(self, *, key: Any) -> int:
        del key
        return 0

    def play(self, params: Any, matches: int, *, key: Any) -> tuple[int, Plies]:
        del params, key
        UnevenPlayer.chunks += 1
        plies = np.arange(matches, matches + 8)[:, None]
        lengths = np.array(LENGTHS)
        shape = (8, len(LENGTHS))
        policy = np.zeros((*shape, 9), np.float32)
        policy[..., 0] = 1
        return matches + 8, Plies(
            start_keys=np.zeros((*shape, 2), np.uint32),
            players=np.broadcast_to(plies % 2, shape).astype(np.int8),
            # The action tells the row, so that a test sees which matches are taken.
            actions=np.broadcast_to(np.arange(len(LENGTHS)), shape).astype(np.int32),
            outcomes=np.full(shape, -1, np.int32),
            simulations=np.full(shape, 4, np.int32),
            policy=policy,
            root_values=np.zeros(shape, np.float32),
            raw_values=np.zeros(shape, np.float32),
            exploratory=np.zeros(shape, np.bool_),
            over=(plies + 1) % lengths == 0,
            truncated=np.zeros(shape, np.bool_),
            returns=np.zeros((*shape, 2), np.float32),
        )


class FakeInference:
    """Computes nothing."""

    kind = "none"
    traits = ranges = None

    def evaluate(self, params: Any, states: Any, *, key: Any) -> Any:
        """Is never called."""

    def load(self, weights: Any) -> Any:
        return weights

    release = calibrate = counts = load


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    spec = GameSpec("tic_tac_toe")
    monkeypatch.setattr(own_matches, "SelfPlayer", UnevenPlayer)
    monkeypatch.setattr(own_matches, "agent_inference", lambda *_: FakeInference())
    monkeypatch.setattr(own_matches, "_play_pair", lambda *_: True)
    UnevenPlayer.chunks = 0
    return RunDirectory.create(tmp_path / "run", spec, spec.make(), Config())


def play(run: RunDirectory, **more: Any) -> list[str]:
    """Lets a checkpoint play; returns what was said."""
    said: list[str] = []
    clock = more.pop("clock", lambda: 0.0)
    plan = Plan(**{"simulations": (4,), "matches": 64, "minutes": None, **more})
    game = run.make_game()
    network = build_network(game, run.config.network)
    stored = StoredNetwork(run.url, 12, game, run.config, "xla", network, {})
    play_levels(run, stored, plan, say=said.append, clock=clock)
    return said


def test_short_matches_are_not_preferred(run: RunDirectory) -> None:
    play(run)
    ((level, matches),) = own_levels(run, pytest.fail).items()
    assert level == (12, 4)
    # Two rounds were asked for: two matches of every row, though the first row ended many more.
    assert sorted(match.plies for match in matches) == sorted(2 * LENGTHS)
    assert all(match.plies == LENGTHS[match.actions[0]] for match in matches)
    assert all(match.worker == "balance-12-4" for match in matches)
    assert len({match.match_id for match in matches}) == 8


def test_what_is_stored_is_not_played_again(run: RunDirectory) -> None:
    play(run, matches=32)
    played = UnevenPlayer.chunks
    play(run, matches=32)
    assert UnevenPlayer.chunks == played
    play(run, matches=64)
    assert UnevenPlayer.chunks > played
    assert len(own_levels(run, pytest.fail)[12, 4]) == 8


def test_it_plays_until_the_time_is_over(run: RunDirectory) -> None:
    moments = iter(range(0, 1000, 25))
    said = play(run, simulations=(2, 4), matches=None, minutes=2, clock=lambda: next(moments))
    assert said == ["the 2 minutes are over"]
    levels = own_levels(run, pytest.fail)
    # Both levels are played in turn, so neither is left out.
    assert {level: len(matches) for level, matches in levels.items()} == {(12, 2): 8, (12, 4): 8}


def test_damaged_files_are_told_of(run: RunDirectory) -> None:
    run.store.write("balance/matches/00000012-4-0-4-0000.parquet", b"damaged")
    run.store.write("balance/matches/notes.parquet", b"damaged")
    run.store.write("balance/pairs/00000012-4-2-0-4.json", b"{}")
    problems: list[str] = []
    assert own_levels(run, problems.append) == {}
    assert own_pairs(run, problems.append) == []
    assert len(problems) == 3
    assert sum("is damaged" in problem for problem in problems) >= 2


def test_levels_lie_around_what_the_run_searches_with() -> None:
    assert default_simulations(64) == (16, 64, 256)
    assert default_simulations(4) == (2, 4, 16)
    assert default_simulations(0) == (2,)


def test_matches_begin_at_the_start_and_without_noise(run: RunDirectory) -> None:
    play(run)
    search, rollout = UnevenPlayer.settings
    assert (search.num_simulations, search.gumbel_scale, search.dirichlet_fraction) == (4, 0, 0)
    # As many plies as a random opening of tic-tac-toe has in an arena.
    assert (search.sampling_plies, search.temperature) == (2, 1.0)
    assert rollout.random_opening_share == 0
