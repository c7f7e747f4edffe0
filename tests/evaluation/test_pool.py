"""The pool of all stored matches: who is who, and what is counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplay.arena import Agent, RandomAgent
from selfplay.errors import CheckpointError
from selfplay.evaluation.pool import Pool, PoolAgent, described, pool_agent, read_pool
from selfplay.evaluation.pool_matches import PoolMatches
from selfplay.registry import GameSpec, make
from selfplay.run import RunDirectory, append_evaluation, append_ladder_matches
from selfplay.settings import Config

A, B = PoolAgent(name="a"), PoolAgent(name="b")


def pair(number: int, *scores: float) -> list[dict[str, Any]]:
    """Returns the two matches of a pair; equal numbers are equal moves."""
    return [
        {"score": score, "actions": [number, seat], "seat": seat}
        for seat, score in enumerate(scores)
    ]


def new_run(path: Path) -> RunDirectory:
    """Returns a run without checkpoints."""
    return RunDirectory.create(path, GameSpec("tic_tac_toe"), make("tic_tac_toe"), Config())


def test_pairs_are_counted_from_either_side_and_repeated_ones_are_known() -> None:
    pool = Pool()
    assert pool.add(A, B, [*pair(1, 1.0, 0.5), *pair(2, 0.0, 0.0)])
    # Seen by b, who sat down as player 0 in what was the second match.
    turned = [{**match, "score": 1 - match["score"]} for match in pair(1, 1.0, 0.5)[::-1]]
    assert pool.add(B, A, turned)
    (pairing,) = pool.pairings()
    assert (pairing.first, pairing.second) == ("a", "b")
    assert pairing.pair_scores == (0.75, 0.0, 0.75) and pairing.distinct_pairs == 2
    assert pool.matches == 6 and pool.pairs("a", "b") == pool.pairs("b", "a") == 3


@pytest.mark.parametrize(
    "matches", [[], pair(1, 1.0), [{"opening": [1], "result": 1.0}] * 2], ids=str
)
def test_what_is_no_pairs_is_not_counted(matches) -> None:
    pool = Pool()
    assert not pool.add(A, B, matches) and not pool.add(A, A, pair(1, 1.0, 1.0))
    assert pool.pairings() == [] and pool.agents == {}


def test_a_damaged_file_is_left_out_and_named(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    agents = [{"agent": "random"}, {"agent": "@10:8", "update": 10, "simulations": 8}]
    names = [
        append_evaluation(run.store, {"update": 20, "opponent": "random"}, pair(1, 1.0, 1.0)),
        append_ladder_matches(run.store, {"agents": agents}, pair(2, 1.0, 0.0)),
    ]
    append_evaluation(run.store, {"update": 30, "opponent": "random"}, pair(3, 1.0, 0.5))
    assert read_pool([run]).matches == 6
    for name in names:
        (run.path / name).write_text("{")
    said: list[str] = []
    pool = read_pool([run], said.append)
    assert pool.matches == 2 and pool.skipped == 2
    assert len(said) == 2
    for name, line in zip(names, said, strict=True):
        assert line.startswith(f"left out: {run.path / name} is damaged")
        assert "\n" not in line


def test_a_checkpoint_that_was_removed_meanwhile_plays_no_more(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    checkpoint = PoolAgent.checkpoint(run.url, 10, 8)

    def player(agent: PoolAgent) -> Agent:
        if agent.is_checkpoint:
            raise CheckpointError("there is none")
        return RandomAgent(make("tic_tac_toe"), batch_size=2)

    said: list[str] = []
    matches = PoolMatches(make("tic_tac_toe"), Pool(), [A, B, checkpoint], player, say=said.append)
    assert matches.play(A, checkpoint, 2, doing="", show=lambda text: None) is None
    assert matches.playing == [A, B]
    assert said == [f"{checkpoint.name} plays no more: there is none"]
    # One that is there but damaged is an error.
    run.checkpoints.save(10, {"weights": {"w": np.zeros(1)}})
    with pytest.raises(CheckpointError, match="there is none"):
        matches.play(A, checkpoint, 2, doing="", show=lambda text: None)


def test_evaluations_and_ladder_matches_are_of_the_same_agents(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    append_evaluation(
        run.store, {"update": 20, "opponent": "random", "simulations": 8}, pair(1, 1.0, 1.0)
    )
    append_evaluation(
        run.store, {"update": 20, "opponent": "@10", "simulations": 8}, pair(2, 1.0, 0.5)
    )
    # As an evaluation without its matches.
    append_evaluation(run.store, {"update": 20, "opponent": "mcts:9", "score": 0.5})
    own = PoolAgent.checkpoint(run.url, 20, 8)
    agents = [described(one, run, [run]) for one in (PoolAgent(name="random"), own)]
    append_ladder_matches(run.store, {"agents": agents}, pair(3, 0.0, 0.0))
    pool = read_pool([run])
    assert set(pool.agents) == {f"{run.url}@20:8", f"{run.url}@10:8", "random"}
    scores = {(one.first, one.second): one.pair_scores for one in pool.pairings()}
    assert scores[f"{run.url}@20:8", "random"] == (1.0, 1.0)
    assert scores[f"{run.url}@10:8", f"{run.url}@20:8"] == (0.25,)
    assert pool.skipped == 1


def test_a_run_may_be_moved_and_so_may_the_run_it_met(tmp_path: Path) -> None:
    run, other = new_run(tmp_path / "run"), new_run(tmp_path / "other")
    met = [PoolAgent.checkpoint(one.url, 10, 8) for one in (run, other)]
    agents = [described(one, run, [run, other]) for one in met]
    append_ladder_matches(run.store, {"agents": agents}, pair(3, 1.0, 0.0))
    names = {f"{tmp_path}/run@10:8", f"{tmp_path}/other@10:8"}
    assert set(read_pool([run, other]).agents) == names
    # Without the other run it is an agent all the same.
    assert set(read_pool([run]).agents) == names
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = RunDirectory.open(tmp_path / "moved")
    assert f"{tmp_path}/moved@10:8" in read_pool([moved]).agents


def test_a_name_is_that_of_a_checkpoint_or_left_as_it_is(tmp_path: Path) -> None:
    for text in ("random", "mcts:100", "solver", "gtp:gnugo --mode gtp", "no_run@3"):
        assert pool_agent(text) == PoolAgent(name=text)
        assert not pool_agent(text).is_checkpoint
