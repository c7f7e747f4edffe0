"""Resignation in self-play: who gives up, when, and what the record says of it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.errors import ConfigError
from selfplay.mcts import Evaluation
from selfplay.records import MatchCollector, MatchRecord, Provenance
from selfplay.registry import make
from selfplay.replay import Rebuilder
from selfplay.rollout import NEVER, SelfPlayer, may_resign
from selfplay.settings.sections import RolloutConfig, SearchConfig

GAME = make("tic_tac_toe")
SHARE = 0.75


def pessimist(params: Any, states: Any, *, key: Any) -> Evaluation:
    """Thinks that player 1 is lost from ply 4 on: his value is -0.75, that of player 0 is 0.75."""
    late = (states.cells >= 0).sum(axis=(1, 2)) >= 4
    sign = jnp.where(states.player == 1, -0.75, 0.75)
    return Evaluation(
        policy_logits=jnp.zeros((len(states.player), 9)), value=jnp.where(late, sign, 0.0)
    )


def player(**settings: Any) -> SelfPlayer:
    config = RolloutConfig(
        matches_per_device=128, plies_per_chunk=9, resign_share=SHARE, **settings
    )
    raw = SearchConfig(num_simulations=0, sampling_plies=9)
    return SelfPlayer(GAME, pessimist, raw, config)


def played(one: SelfPlayer, threshold: float | None) -> list[MatchRecord]:
    """Returns the matches that end in two chunks."""
    origin = Provenance(
        game=GAME.name, version=1, fingerprint="", worker="w", settings_hash="", simulations=0
    )
    collector = MatchCollector(origin, one.num_matches)
    matches, records = one.start(key=jax.random.key(0)), []
    for chunk in range(2):
        matches, plies = one.play(
            (), matches, key=jax.random.key(1 + chunk), resign_below=threshold
        )
        records += collector.add(jax.device_get(plies), checkpoint=0, sequence=chunk)
    return records


def allowed(records: list[MatchRecord]) -> np.ndarray:
    keys = np.array([record.start_key for record in records], np.uint32)
    return np.asarray(may_resign(keys, SHARE))


@pytest.fixture(scope="module")
def calm() -> SelfPlayer:
    return player(random_opening_share=0.0)


def test_a_player_gives_up_where_his_value_is_at_the_threshold(calm: SelfPlayer) -> None:
    records = played(calm, -0.75)
    Rebuilder(GAME)(records)  # such records can be learnt from
    may = allowed(records)
    assert 0.6 < may.mean() < 0.9
    for record, one in zip(records, may, strict=True):
        if one and record.plies >= 6:
            # Player 1 moves at ply 5, the first that he thinks lost, and gives up. Whether the
            # rules end the match there, Rebuilder has checked.
            assert record.plies == 6
        resigned = record.ending == "resigned"
        assert not resigned or (one and record.returns == (1.0, -1.0) and record.players[-1] == 1)
    gave_up = np.array([record.ending == "resigned" for record in records])
    assert gave_up[may].mean() > 0.5
    assert not gave_up[~may].any()
    assert max(record.plies for record in np.array(records, object)[~may]) == 9
    assert not any(record.truncated for record in records)


def test_nobody_gives_up_above_the_threshold_or_without_one(calm: SelfPlayer) -> None:
    for threshold in (-0.76, NEVER, None):
        assert {record.ending for record in played(calm, threshold)} == {"played_out"}


def test_nobody_gives_up_because_of_a_random_move() -> None:
    one = player(random_opening_share=1.0, random_opening_plies=9)
    records = played(one, -0.75)
    ends = [record for record in records if record.ending == "resigned"]
    assert ends
    assert not any(record.exploratory[-1] for record in ends)
    assert any(record.exploratory[5] for record in records if record.plies > 6)


def test_which_matches_are_played_out_is_told_alike_by_jax_and_numpy() -> None:
    keys = np.random.default_rng(0).integers(0, 2**32, (50_000, 2), np.uint32)
    for share in (0.0, 0.1, 0.5, 0.95):
        found = np.asarray(may_resign(keys, share))
        np.testing.assert_array_equal(found, may_resign(jnp.asarray(keys), share))
        assert found.mean() == pytest.approx(share, abs=0.01)


def test_a_game_with_auxiliary_targets_is_refused() -> None:
    game = make("othello", size=4)
    with pytest.raises(ConfigError, match=r"resign_share is 0\.9, but othello has auxiliary"):
        SelfPlayer(game, pessimist, SearchConfig(), RolloutConfig(resign_share=0.9))
