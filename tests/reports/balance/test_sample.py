"""Which stored matches are read, and how they are sorted into stages."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from selfplay.records import MatchRecord
from selfplay.registry import GameSpec
from selfplay.reports.balance import sample
from selfplay.reports.balance.sample import (
    lean,
    plays_of,
    read_selfplay,
    searched_with,
    stages,
)
from tests.reports.balance.examples import game, random_matches, run_with

SPEC = GameSpec("tic_tac_toe")


@pytest.fixture(scope="module")
def matches() -> tuple[MatchRecord, ...]:
    return random_matches(game("tic_tac_toe"), 70)


def test_stages_hold_about_as_many_matches_and_whole_checkpoints() -> None:
    updates = np.repeat(np.arange(40), 10)
    found = stages(updates, most=4, least=50)
    assert [part.stop - part.start for part in found] == [100] * 4
    # Most matches are of one checkpoint, which is not torn apart.
    lumpy = np.sort(np.concatenate([np.full(300, 7), np.arange(100)]))
    found = stages(lumpy, most=4, least=50)
    for part in found[1:]:
        assert lumpy[part.start - 1] < lumpy[part.start]
    assert all(part.stop - part.start >= 50 for part in found)
    assert [found[0].start, found[-1].stop] == [0, 400]
    assert stages(np.arange(5), most=4, least=50) == [slice(0, 5)]


def test_values_and_results_are_those_of_player_0(matches: tuple[MatchRecord, ...]) -> None:
    match = matches[5]
    found = plays_of([match])
    np.testing.assert_allclose(found.values, match.root_values * np.where(match.players, -1, 1))
    assert found.results.tolist() == [match.returns[0]]
    assert found.distinct == 1
    assert plays_of([match, match, matches[6]]).distinct == 2


def test_a_match_without_its_policies_says_the_same_of_balance(
    matches: tuple[MatchRecord, ...],
) -> None:
    match = matches[5]
    bare = lean(match)
    assert not len(bare.policy_actions)
    assert bare.root_values.base is None
    np.testing.assert_array_equal(plays_of([bare]).values, plays_of([match]).values)


def test_fast_and_random_moves_do_not_say_how_hard_it_searched(
    matches: tuple[MatchRecord, ...],
) -> None:
    match = matches[5]
    counts = np.full(match.plies, 4, np.int32)
    counts[0] = 32
    fast = np.ones(match.plies, np.bool_)
    fast[0] = False
    assert searched_with([dataclasses.replace(match, simulations=counts, fast=fast)]) == 32


def test_what_cannot_be_read_is_told_and_what_is_foreign_is_left_out(
    matches: tuple[MatchRecord, ...], tmp_path: Path
) -> None:
    run = run_with(tmp_path / "run", SPEC, matches[:6])
    foreign = dataclasses.replace(matches[9], fingerprint="ffff", worker="x")
    run.matches.put("x", 0, [foreign])
    run.store.write("matches/y/00000000.parquet", b"damaged")
    found = read_selfplay(run)
    assert len(found.matches) == 6
    assert (found.files, found.foreign) == (3, 1)
    (problem,) = found.problems
    assert "y/00000000.parquet is damaged" in problem
    assert [one.last_checkpoint for one in read_selfplay(run, last_checkpoint=2).matches] == [
        *(0, 1, 2)
    ]


def test_of_a_large_run_an_even_selection_is_read(
    matches: tuple[MatchRecord, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "_FILES", 4)
    monkeypatch.setattr(sample, "_NEWEST_FILES", 2)
    monkeypatch.setattr(sample, "_MATCHES", 15)
    run = run_with(tmp_path / "run", SPEC, matches[:60], per_file=6)
    found = read_selfplay(run)
    assert (found.files, found.files_read) == (10, 5)
    updates = [one.last_checkpoint for one in found.matches]
    assert len(updates) == 15
    # The first file and the last two, and every second match of a file.
    assert updates[:3] == [0, 2, 4]
    assert updates[-6:] == [48, 50, 52, 54, 56, 58]
