"""Which suite and which openings an evaluation takes, and what it refuses before training."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import pytest

from selfplay.arena import OpeningSet, SolverAgent, random_openings
from selfplay.errors import ConfigError
from selfplay.evaluation.strength import StrengthMeter
from selfplay.evaluation.suite_meter import SuiteMeter
from selfplay.game import Game
from selfplay.games.connect_four import ConnectFour
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.run import (
    RunDirectory,
    append_suite_result,
    read_evaluations,
    read_suite_results,
)
from selfplay.telemetry import suite_score
from tests.training.runs import make_run, tiny_components, with_settings

GAME = TicTacToe()


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path / "run", tiny_components())[0]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.txt"
    path.write_text("game: tic_tac_toe\nname: win; moves: 0 3 1 4; best: 2\n")
    return path


def names_asked(run: RunDirectory, named: str, game: Game[Any] = GAME) -> list[str]:
    meter = SuiteMeter(game, run, named, enabled=True)
    for _ in range(2):
        meter.measure(SolverAgent(GAME), update=3, facts={"simulations": 2})
    return [one["suite"] for one in read_suite_results(run.path)]


def test_the_games_own_is_asked_once_for_a_checkpoint(run: RunDirectory) -> None:
    assert names_asked(run, "game") == ["tic_tac_toe"]


def test_a_file_of_the_users(run: RunDirectory, mine: Path) -> None:
    assert names_asked(run, str(mine)) == ["mine"]


def test_none_is_asked_where_none_is_wanted_or_there(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert names_asked(run, "none") == []
    monkeypatch.setattr(TicTacToe, "suite_file", "")
    assert names_asked(run, "game") == []


def test_who_does_not_evaluate_reads_what_others_stored(run: RunDirectory) -> None:
    meter = SuiteMeter(GAME, run, "absent.txt", enabled=False)
    assert not meter.scores
    record = {
        "update": 8, "suite": "s", "share": 0.5, "low": 0.1, "high": 0.9, "positions": 2,
        "solved": 1, "failed": ["a"],
    }  # fmt: skip
    append_suite_result(run.path, record)
    append_suite_result(run.path, record)
    meter.reread()
    assert meter.scores == (suite_score(record),)
    assert len(read_suite_results(run.path)) == 1


@pytest.mark.parametrize("named", ["absent.txt", "other.txt"])
def test_a_suite_that_cannot_be_asked_is_refused_before_training(
    run: RunDirectory, tmp_path: Path, named: str
) -> None:
    (tmp_path / "other.txt").write_text("game: othello\nname: a; best: 1")
    with pytest.raises(ConfigError, match=f"the suite .*{named}"):
        SuiteMeter(GAME, run, str(tmp_path / named), enabled=True)


def test_matches_begin_with_the_named_openings(run: RunDirectory, tmp_path: Path) -> None:
    file = tmp_path / "openings.json"
    random_openings(GAME, num_openings=2, plies=3, seed=5).save(file)
    settings = {"evaluation": {"enabled": True, "openings": str(file), "matches": 4,
                               "mistake_positions": 0, "suite": "none", "simulations": 2,
                               "opponents": ("random",)}}  # fmt: skip
    components = with_settings(tiny_components(), settings)
    meter = StrengthMeter(components, run)
    weights = components.network.init(key=jax.random.key(0))
    meter.evaluate(weights, update=1, elapsed_seconds=0.0)
    assert meter.results["random"].matches == 4
    (stored,) = read_evaluations(run.path)
    assert stored["opening_set"] == OpeningSet.load(file, GAME).id
    # A gate draws its own.
    meter.evaluate(weights, update=2, elapsed_seconds=0.0, chooses=True)
    drawn = read_evaluations(run.path)[-1]
    assert (drawn["update"], drawn["matches"]) == (2, 4)
    assert drawn["opening_set"] != stored["opening_set"]
    random_openings(ConnectFour(), num_openings=2, plies=3, seed=5).save(file)
    with pytest.raises(ConfigError, match="was written for connect_four"):
        StrengthMeter(components, run)


def test_a_solver_that_does_not_know_the_start_is_no_opponent(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    components = with_settings(tiny_components(), {"evaluation": {"opponents": ("solver",)}})
    StrengthMeter(components, run)
    monkeypatch.setattr(TicTacToe, "solve", lambda self, state: None)
    with pytest.raises(ConfigError, match="does not know the first position"):
        StrengthMeter(dataclasses.replace(components, game=TicTacToe()), run)
