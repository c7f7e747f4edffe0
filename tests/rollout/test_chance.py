"""Self-play with dice: outcomes are drawn fairly, recorded, and replayed."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

from selfplay.errors import RecordError
from selfplay.mcts import uniform_evaluator
from selfplay.records import (
    MatchCollector,
    MatchRecord,
    Provenance,
    decode_matches,
    encode_matches,
    same_content,
)
from selfplay.replay.rebuild import Rebuilder
from selfplay.rollout import SelfPlayer
from selfplay.settings.sections import RolloutConfig, SearchConfig
from tests.dice import Storm

GAME = Storm(stones=8)
PROVENANCE = Provenance(
    game="storm", version=1, fingerprint="0" * 16, worker="w", settings_hash="s", simulations=4
)


@pytest.fixture(scope="module")
def records() -> list[MatchRecord]:
    """Matches of self-play, some begun with random moves."""
    player = SelfPlayer(
        GAME,
        uniform_evaluator(GAME),
        SearchConfig(num_simulations=4, sampling_plies=3),
        RolloutConfig(matches_per_device=32, plies_per_chunk=8),
    )
    collector = MatchCollector(PROVENANCE, player.num_matches)
    matches = player.start(key=jax.random.key(0))
    found: list[MatchRecord] = []
    for number in range(6):
        matches, plies = player.play((), matches, key=jax.random.key(1 + number))
        found += collector.add(jax.device_get(plies), checkpoint=0, sequence=number)
    return found


@pytest.fixture(scope="module")
def rebuild() -> Rebuilder:
    return Rebuilder(GAME)


def test_replaying_the_stored_outcomes_gives_the_match(
    records: list[MatchRecord], rebuild: Rebuilder
) -> None:
    # The rebuilder compares players, ends and results; each roll decides what is legal next.
    positions = rebuild(records)
    outcomes = np.concatenate([match.outcomes for match in records])
    assert len(records) > 100 and set(np.unique(outcomes).tolist()) == {-1, 0, 1, 2, 3}
    dice = np.asarray(positions.states.die)
    ends = np.cumsum([match.plies for match in records]) - 1
    before_last = np.setdiff1d(np.arange(len(outcomes)), ends)
    rolled = before_last[outcomes[before_last] >= 0]
    np.testing.assert_array_equal(dice[rolled + 1], outcomes[rolled] + 1)
    # Nothing is rolled after the last stone; a storm is a roll that ends the match.
    storms = np.asarray(positions.final_states.die) == 4
    assert storms.any() and not storms.all()
    np.testing.assert_array_equal(outcomes[ends] >= 0, storms)


def test_outcomes_survive_the_file(records: list[MatchRecord]) -> None:
    assert same_content(decode_matches(encode_matches(records), source="memory"), records)


def _changed(match: MatchRecord, change: Any) -> MatchRecord:
    outcomes = match.outcomes.copy()
    change(outcomes)
    return dataclasses.replace(match, outcomes=outcomes)


@pytest.mark.parametrize(
    "change",
    [
        lambda outcomes: outcomes.__setitem__(0, 9),
        lambda outcomes: outcomes.__setitem__(0, -1 if outcomes[0] >= 0 else 0),
        lambda outcomes: outcomes.__setitem__(-1, 0 if outcomes[-1] < 0 else -1),
    ],
    ids=["out of range", "missing or invented", "after the end"],
)
def test_an_impossible_outcome_is_refused(
    change: Any, records: list[MatchRecord], rebuild: Rebuilder
) -> None:
    with pytest.raises(RecordError, match=r"chance outcome -?\d+ at ply \d+ is not possible"):
        rebuild([_changed(records[0], change)])
