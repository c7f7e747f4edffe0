"""Side positions: from the search into records, through files, into samples."""

import dataclasses
import io
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfplay.errors import ConfigError, RecordError
from selfplay.game import advance, is_over, start
from selfplay.mcts import search, search_with_sides, search_with_tree, uniform_evaluator
from selfplay.mcts.side_positions import FEWEST_VISITS
from selfplay.records import (
    MatchRecord,
    decode_matches,
    encode_matches,
)
from selfplay.records.parquet import SCHEMA
from selfplay.registry import make
from selfplay.replay import ReplayWindow, Samples
from selfplay.replay.side_positions import SIDE_SHARE
from selfplay.rollout import SelfPlayer
from selfplay.settings.sections import ReplayConfig, RolloutConfig, SearchConfig
from tests.mcts.helpers import random_positions
from tests.rollout.helpers import played

GAME = make("tic_tac_toe")
SEARCH = SearchConfig(num_simulations=24)
ROLLOUT = RolloutConfig(matches_per_device=16, plies_per_chunk=4, side_positions=True)


def records_of(rollout: RolloutConfig, chunks: int = 8) -> list[MatchRecord]:
    return played(SelfPlayer(GAME, uniform_evaluator(GAME), SEARCH, rollout), chunks)


@pytest.fixture(scope="module")
def records() -> list[MatchRecord]:
    return records_of(ROLLOUT)


def window(
    records: list[MatchRecord], *, side_positions: bool = True, average_positions: int = 1
) -> ReplayWindow:
    config = ReplayConfig(
        min_window=5000, max_window=5000, first_positions=1, average_positions=average_positions
    )
    found = ReplayWindow(GAME, config, side_positions=side_positions)
    found.ingest(records)
    return found


@jax.jit
def begin(key_data: Any) -> Any:
    return start(GAME, jax.random.wrap_key_data(key_data))


@jax.jit
def move(position: Any, action: Any) -> Any:
    return advance(GAME, position, action).position


def behind(record: MatchRecord, ply: int) -> Any:
    """Returns the side position of a ply, by playing the match until there."""
    position = begin(np.array(record.start_key, np.uint32))
    for action in [*record.actions[:ply], record.side_actions[ply]]:
        position = move(position, action)
    return jax.device_get(position)


@jax.jit
def after_each_move(positions: Any) -> tuple[Any, Any]:
    """Returns whether each move ends the match, [B, A], and what is legal after it, [B, A, A]."""

    def after(position: Any, action: Any) -> tuple[Any, Any]:
        there = advance(GAME, position, action).position
        return is_over(GAME, there), GAME.legal_action_mask(there.state)

    moves = jnp.arange(GAME.num_actions)
    return jax.vmap(lambda position: jax.vmap(lambda one: after(position, one))(moves))(positions)


def side_policy(record: MatchRecord, ply: int) -> dict[int, float]:
    part = slice(*record.side_policy_offsets[ply : ply + 2])
    actions, shares = record.side_policy_actions[part], record.side_policy_probabilities[part]
    return dict(zip(actions.tolist(), shares.tolist(), strict=True))


@pytest.mark.parametrize(
    "settings",
    [{}, {"algorithm": "puct"}, {"tree": "mctx"}, {"max_children": 4}, {"proven": "visited"}],
)
def test_it_is_the_best_searched_position_that_is_not_played(settings: dict[str, Any]) -> None:
    config = dataclasses.replace(SEARCH, **settings)
    positions, key = random_positions(GAME, 64), jax.random.key(3)
    evaluate = uniform_evaluator(GAME)
    found, side = search_with_sides(GAME, evaluate, (), positions, config, key=key)
    # Asked for the tree alone, which is the same one.
    own = dataclasses.replace(config, tree="compact")
    same, tree = search_with_tree(GAME, evaluate, (), positions, own, key=key)
    np.testing.assert_array_equal(found.actions, same.actions)
    ends, legal_after = jax.device_get(after_each_move(positions))
    side, tree, played = jax.device_get((side, tree, found.actions))
    with_one = 0
    for row in range(64):
        goes_on = {
            int(tree.actions[row, node]): node
            for node in np.flatnonzero(tree.parents[row] == 0)
            if not ends[row, tree.actions[row, node]] and tree.actions[row, node] != played[row]
        }
        most = max((int(tree.visits[row, node]) for node in goes_on.values()), default=0)
        action = int(side.actions[row])
        if most < FEWEST_VISITS:
            assert (action, float(side.values[row])) == (-1, 0.0)
            assert not side.policies[row].any()
            continue
        with_one += 1
        node = goes_on[action]
        assert int(tree.visits[row, node]) == most
        # In the tree it counts for the player who moved there.
        np.testing.assert_allclose(side.values[row], -tree.values[row, node], atol=1e-6)
        np.testing.assert_allclose(side.policies[row].sum(), 1, atol=1e-5)
        assert not side.policies[row][~legal_after[row, action]].any()
    assert with_one > 20


def test_a_search_is_the_same_with_and_without_them() -> None:
    positions, key = random_positions(GAME, 16), jax.random.key(5)
    evaluate = uniform_evaluator(GAME)
    alone = search(GAME, evaluate, (), positions, SEARCH, key=key)
    found, _ = search_with_sides(GAME, evaluate, (), positions, SEARCH, key=key)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), alone, found))


def test_a_policy_there_finds_the_win() -> None:
    """Whoever fails to block loses: the side position's policy is the winning move."""
    # X has 0 and 1, O has 3 and 4; X is to move and may win with 2. If not, O wins with 5.
    position = begin(jax.random.key_data(jax.random.key(0)))
    for action in (0, 3, 1, 4):
        position = move(position, action)
    batch = jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], 8, 0), position)
    config = SearchConfig(num_simulations=200)
    _, side = search_with_sides(
        GAME, uniform_evaluator(GAME), (), batch, config, key=jax.random.key(1)
    )
    found = np.asarray(side.actions) >= 0
    assert found.any()
    beside = found & (np.asarray(side.actions) != 5)
    assert (np.asarray(side.policies)[beside].argmax(axis=1) == 5).all()
    # For the player to move there, who wins.
    assert (np.asarray(side.values)[beside] > 0.2).all()


def test_records_hold_them(records: list[MatchRecord]) -> None:
    assert len(records) > 40
    for record in records[:10]:
        for ply in np.flatnonzero(record.side_actions >= 0).tolist():
            position = behind(record, ply)
            legal = np.flatnonzero(position.state.cells == -1)
            policy = side_policy(record, ply)
            assert set(policy) <= set(legal.tolist())
            assert sum(policy.values()) == pytest.approx(1, abs=2e-3)
            assert abs(record.side_values[ply]) <= 1
        for ply in np.flatnonzero(record.side_actions < 0).tolist():
            assert side_policy(record, ply) == {}
    share = np.mean(np.concatenate([record.side_actions for record in records]) >= 0)
    assert share > 0.5


def test_without_the_switch_there_are_none() -> None:
    plain = records_of(dataclasses.replace(ROLLOUT, side_positions=False), chunks=4)
    assert all((record.side_actions == -1).all() for record in plain)
    assert all(not record.side_policy_offsets.any() for record in plain)
    assert not window(plain)._sides.present.any()  # type: ignore[union-attr]


def test_fast_moves_may_have_some_too() -> None:
    both = dataclasses.replace(ROLLOUT, full_search_share=0.5, fast_simulations=12)
    fast = np.concatenate([record.fast for record in records_of(both)])
    sides = np.concatenate([record.side_actions for record in records_of(both)]) >= 0
    assert sides[fast].any() and sides[~fast].mean() > sides[fast].mean()
    raw = dataclasses.replace(ROLLOUT, full_search_share=0.5, fast_simulations=0)
    made = records_of(raw)
    fast = np.concatenate([record.fast for record in made])
    sides = np.concatenate([record.side_actions for record in made]) >= 0
    assert not sides[fast].any() and sides[~fast].any()


def test_files_keep_them(records: list[MatchRecord]) -> None:
    again = decode_matches(encode_matches(records), source="x")
    for record, read in zip(records, again, strict=True):
        for name in ("actions", "values", "policy_offsets", "policy_actions"):
            np.testing.assert_array_equal(
                getattr(read, f"side_{name}"), getattr(record, f"side_{name}")
            )


def test_files_of_earlier_versions_have_none(records: list[MatchRecord]) -> None:
    table = pq.read_table(pa.BufferReader(encode_matches(records)))
    sides = [name for name in SCHEMA.names if name.startswith("side_")]
    assert len(sides) == 4
    older = table.drop_columns(sides).replace_schema_metadata({"selfplay_records": "4"})
    sink = io.BytesIO()
    pq.write_table(older, sink)
    read = decode_matches(sink.getvalue(), source="older")
    assert all((record.side_actions == -1).all() for record in read)
    assert all(len(record.side_policy_offsets) == record.plies + 1 for record in read)


def rows_by_state(samples: Samples) -> list[bytes]:
    leaves = jax.tree.leaves(samples.states)
    return [b"".join(np.asarray(leaf[row]).tobytes() for leaf in leaves) for row in range(512)]


def test_half_of_the_samples_are_side_positions(records: list[MatchRecord]) -> None:
    drawn = window(records).sample(512, seed=1, update=7)
    plain = window(records, side_positions=False).sample(512, seed=1, update=7)
    changed = np.array(
        [a != b for a, b in zip(rows_by_state(drawn), rows_by_state(plain), strict=True)]
    )
    share = np.mean(np.concatenate([record.side_actions for record in records]) >= 0)
    assert changed.mean() == pytest.approx(SIDE_SHARE * share, abs=0.08)
    # They have no result and no next move, but a policy and a value.
    assert not drawn.outcome_weights[changed].any() and not drawn.next_weights[changed].any()
    assert (drawn.policy_weights[changed] > 0).all()
    assert drawn.policy_weights.mean() == pytest.approx(1)
    np.testing.assert_array_equal(
        drawn.short_term_values[changed], drawn.search_values[changed, None].repeat(3, axis=1)
    )
    np.testing.assert_array_equal(drawn.search_values[~changed], plain.search_values[~changed])
    # Each is one of those in the records, with its targets.
    known = {
        b"".join(
            np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(behind(record, ply).state)
        ): None
        for record in records
        for ply in np.flatnonzero(record.side_actions >= 0).tolist()
    }
    assert {rows_by_state(drawn)[row] for row in np.flatnonzero(changed)} <= set(known)


def test_the_targets_are_those_of_the_record(records: list[MatchRecord]) -> None:
    record = next(one for one in records if one.side_actions[0] >= 0)
    drawn = window([record]).sample(512, seed=2, update=0)
    first = b"".join(
        np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(behind(record, 0).state)
    )
    rows = [row for row, state in enumerate(rows_by_state(drawn)) if state == first]
    assert rows
    for row in rows:
        np.testing.assert_allclose(drawn.search_values[row], record.side_values[0], atol=1e-6)
        actions, shares = drawn.policy_actions[row], drawn.policy_probabilities[row]
        # Padded with action 0.
        policy = {int(actions[at]): float(shares[at]) for at in np.flatnonzero(shares)}
        assert policy == side_policy(record, 0)


def test_draws_repeat_and_do_not_depend_on_their_grouping(records: list[MatchRecord]) -> None:
    replay = window(records)
    together = replay.batches(64, seed=3, updates=[5, 6])
    for index, update in enumerate((5, 6)):
        alone = replay.sample(64, seed=3, update=update)
        assert jax.tree.all(
            jax.tree.map(
                lambda all_of, one, at=index: bool(np.array_equal(all_of[at], one)), together, alone
            )
        )
    evenly = replay.sample(512, seed=3, update=5, evenly=True)
    plain = window(records, side_positions=False).sample(512, seed=3, update=5, evenly=True)
    assert rows_by_state(evenly) == rows_by_state(plain)


def test_means_over_equal_positions_leave_them_alone(records: list[MatchRecord]) -> None:
    drawn = window(records).sample(512, seed=1, update=7)
    averaged = window(records, average_positions=8).sample(512, seed=1, update=7)
    assert rows_by_state(drawn) == rows_by_state(averaged)
    plain = window(records, side_positions=False).sample(512, seed=1, update=7)
    states = zip(rows_by_state(drawn), rows_by_state(plain), strict=True)
    changed = np.array([a != b for a, b in states])
    np.testing.assert_allclose(averaged.search_values[changed], drawn.search_values[changed])
    assert not averaged.outcome_weights[changed].any()
    assert (averaged.policy_weights[changed] > 0).all()
    # The first position of the match comes back in every match.
    assert (averaged.search_values[~changed] != drawn.search_values[~changed]).any()


def test_a_ring_that_is_full_forgets_the_oldest(records: list[MatchRecord]) -> None:
    config = ReplayConfig(min_window=60, max_window=60, first_positions=1)
    replay = ReplayWindow(GAME, config, side_positions=True)
    for record in records:
        replay.ingest([record])
    whole = ReplayWindow(GAME, config, side_positions=True)
    whole.ingest(records)
    for left, right in zip(
        jax.tree.leaves(vars(replay._sides)), jax.tree.leaves(vars(whole._sides)), strict=True
    ):
        if isinstance(left, np.ndarray) and left.dtype == np.bool_:
            np.testing.assert_array_equal(left, right)
    drawn, expected = (one.sample(512, seed=0, update=0) for one in (replay, whole))
    assert rows_by_state(drawn) == rows_by_state(expected)
    np.testing.assert_array_equal(drawn.search_values, expected.search_values)


def test_a_side_position_against_the_rules_is_refused(records: list[MatchRecord]) -> None:
    record = next(one for one in records if one.side_actions[1] >= 0)
    replay = window([])
    taken = record.side_actions.copy()
    taken[1] = record.actions[0]
    with pytest.raises(RecordError, match=r"the side position of ply 1 has action \d, which is"):
        replay.ingest([dataclasses.replace(record, side_actions=taken)])
    nowhere = record.side_policy_actions.copy()
    nowhere[record.side_policy_offsets[1]] = record.side_actions[1]
    with pytest.raises(RecordError, match="policy of the side position of ply 1 has action"):
        replay.check([dataclasses.replace(record, side_policy_actions=nowhere)])
    with pytest.raises(RecordError, match="its policy does not sum to 1"):
        replay.ingest(
            [
                dataclasses.replace(
                    record,
                    side_policy_offsets=np.zeros(record.plies + 1, np.int32),
                    side_policy_actions=np.zeros(0, np.int32),
                    side_policy_probabilities=np.zeros(0, np.float32),
                )
            ]
        )
    with pytest.raises(RecordError, match="side_values must be in"):
        replay.ingest(
            [dataclasses.replace(record, side_values=np.full(record.plies, np.nan, np.float32))]
        )
    assert replay.positions_made == 0


@pytest.mark.parametrize(
    ("name", "reason"), [("einstein_wuerfelt_nicht", "a game of chance"), ("kalah", "auxiliary")]
)
def test_games_that_cannot_have_them_say_so(name: str, reason: str) -> None:
    game = make(name)
    with pytest.raises(ConfigError, match=f"rollout.side_positions is on, but .* {reason}"):
        SelfPlayer(game, uniform_evaluator(game), SEARCH, ROLLOUT)
