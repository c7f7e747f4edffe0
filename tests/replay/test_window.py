"""The window holds exactly the newest positions, and samples them evenly and reproducibly."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.errors import RecordError
from selfplay.records import MatchRecord
from selfplay.records.match import FIELDS
from selfplay.registry import make
from selfplay.replay import ReplayWindow, Samples
from selfplay.settings.sections import ReplayConfig
from tests.arena.toys import Tally
from tests.records.examples import Example, RandomMatches

TIC_TAC_TOE = make("tic_tac_toe")


class WideTally(Tally):
    """Like Tally, but the first ply has more actions than the window keeps per policy."""

    num_actions = 200

    def legal_action_mask(self, state: Any) -> Any:
        return (jnp.arange(200) < 2) | (state.ply == 0)


@pytest.fixture(scope="module")
def matches() -> list[Example]:
    """60 random matches of tic-tac-toe; some moves are exploratory, some plies no targets."""
    play = RandomMatches(TIC_TAC_TOE)
    examples = []
    for seed in range(60):
        marks = {0: (), 1: (0,), 2: (0, 1, 2), 3: (3,)}[seed % 4]
        example = play.play(seed=seed, exploratory=marks)
        example.record.is_target[seed % 3 :: 3] = seed % 5 > 0
        examples.append(example)
    return examples


def naive_positions(example: Example) -> list[dict[str, Any]]:
    """Returns what is to be learnt at each ply of a match, written out plainly."""
    record = example.record
    positions = []
    for ply in range(record.plies):
        following = ply + 1 < record.plies
        positions.append(
            {
                "state": example.states[ply],
                "final_state": example.states[-1],
                "policy": dict(zip(*(part.tolist() for part in record.policy(ply)), strict=True)),
                "policy_weight": float(record.is_target[ply]),
                "next": dict(zip(*(part.tolist() for part in record.policy(ply + 1)), strict=True))
                if following
                else {},
                "next_weight": float(following and record.is_target[ply + 1]),
                "outcome": record.returns[int(record.players[ply])],
                "outcome_weight": float(not record.exploratory[ply:].any()),
                "root_value": float(record.root_values[ply]),
                "match": record.match_id,
            }
        )
    return positions


def row(samples: Samples, index: int) -> dict[str, Any]:
    """Returns one sample in the form of `naive_positions`."""

    def policy(actions: np.ndarray, shares: np.ndarray) -> dict[int, float]:
        return {
            int(action): float(share)
            for action, share in zip(actions[index], shares[index], strict=True)
            if share > 0
        }

    next_weight = float(samples.next_weights[index] > 0)
    return {
        "state": jax.tree.map(lambda leaf: leaf[index], samples.states),
        "policy": policy(samples.policy_actions, samples.policy_probabilities),
        "policy_weight": float(samples.policy_weights[index] > 0),
        "next": policy(samples.next_actions, samples.next_probabilities),
        "next_weight": next_weight,
        "outcome": float(samples.outcomes[index]),
        "outcome_weight": float(samples.outcome_weights[index]),
        "root_value": float(samples.search_values[index]),
    }


def same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises unless a sample is that position; the next policy counts where it has weight."""
    for name, value in found.items():
        if name == "state":
            jax.tree.map(np.testing.assert_array_equal, value, wanted["state"])
        elif name != "next" or found["next_weight"]:
            assert value == wanted[name], name


def window(**settings: Any) -> ReplayWindow:
    """Returns an empty window; without growth unless asked for."""
    settings = {"min_window": 40, "max_window": 40, "first_positions": 1} | settings
    return ReplayWindow(TIC_TAC_TOE, ReplayConfig(**{"value_lambda": 0.0, **settings}))


def held(replay: ReplayWindow) -> set[float]:
    """Returns the root values, which are all different, of what may be sampled."""
    samples = replay.sample(60 * max(replay.size, 1), seed=5, update=replay.positions_made)
    return set(samples.search_values.tolist())


@pytest.mark.parametrize("seed", range(4))
def test_it_is_a_list_that_forgets_from_the_front(matches: list[Example], seed: int) -> None:
    random = np.random.default_rng(seed)
    max_matches = [0, 5, 1, 9][seed]
    low, high = [(40, 40), (30, 90), (20, 50), (7, 7)][seed]
    config = ReplayConfig(
        min_window=low,
        max_window=high,
        max_matches=max_matches,
        first_positions=25,
        value_lambda=0.0,
    )
    replay = ReplayWindow(TIC_TAC_TOE, config)
    everything: list[dict[str, Any]] = []
    order: list[str] = []
    left = list(matches)
    while left:
        # Now and then more at once than the ring holds.
        count = int(random.choice([1, 2, 3, 20], p=[0.4, 0.3, 0.2, 0.1]))
        group, left = left[:count], left[count:]
        made = replay.ingest([example.record for example in group])
        assert made == sum(example.record.plies for example in group)
        for example in group:
            everything += naive_positions(example)
            order.append(example.record.match_id)
        wanted = everything[-config.window(len(everything)) :]
        if max_matches:
            wanted = [each for each in wanted if each["match"] in order[-max_matches:]]
        assert replay.size == len(wanted)
        assert replay.ready == (len(everything) >= 25)
        by_value = {each["root_value"]: each for each in wanted}
        assert held(replay) == set(by_value)
        samples = replay.sample(32, seed=seed, update=len(everything))
        for index in range(32):
            found = row(samples, index)
            same(found, by_value[found["root_value"]])
    assert replay.positions_made == len(everything) > high
    assert replay.matches_made == len(matches)
    assert replay.ingest([]) == 0


def test_every_weight_occurs_in_these_matches(matches: list[Example]) -> None:
    rows = [each for example in matches for each in naive_positions(example)]
    for name in ("policy_weight", "next_weight", "outcome_weight"):
        assert {each[name] for each in rows} == {0.0, 1.0}
    assert {each["outcome"] for each in rows} == {-1.0, 0.0, 1.0}


def test_the_window_grows_as_written() -> None:
    config = ReplayConfig(min_window=1000, max_window=50_000, growth=0.4, power=0.75)
    assert [config.window(count) for count in (0, 1, 999, 1000)] == [1000] * 4
    # 1000 * (1 + 0.4 * (16 ** 0.75 - 1) / 0.75), and 16 ** 0.75 is 8.
    assert config.window(16_000) == int(1000 * (1 + 0.4 * 7 / 0.75))
    assert config.window(10**9) == 50_000
    sizes = [config.window(count) for count in range(1000, 200_000, 500)]
    assert sizes == sorted(sizes)
    steepest = ReplayConfig(min_window=1000, max_window=10**9, growth=1.0, power=1.0)
    for count in (1000, 5000, 10**6):
        assert config.window(count) <= count
        assert steepest.window(count) == count


def test_sampling_is_even(matches: list[Example]) -> None:
    replay = window()
    replay.ingest([example.record for example in matches])
    counts: dict[float, int] = {}
    for update in range(50):
        for value in replay.sample(400, seed=1, update=update).search_values.tolist():
            counts[value] = counts.get(value, 0) + 1
    expected = 50 * 400 / 40
    assert len(counts) == 40
    statistic = sum((count - expected) ** 2 / expected for count in counts.values())
    # Chi-square with 39 degrees of freedom: between its 0.1 % and 99.9 % quantiles.
    assert 16.3 < statistic < 72.1


def test_a_draw_depends_on_seed_and_update_alone(matches: list[Example]) -> None:
    first, second = window(max_window=400, min_window=400), window(max_window=400, min_window=400)
    records = [example.record for example in matches]
    first.ingest(records)
    for record in records:
        second.ingest([record])
    second.sample(7, seed=9, update=9)
    for seed, update in ((0, 0), (0, 1), (2**32 - 1, 10**6)):
        left = first.sample(64, seed=seed, update=update)
        right = second.sample(64, seed=seed, update=update)
        jax.tree.map(np.testing.assert_array_equal, left, right)


def test_no_two_updates_share_random_numbers(matches: list[Example]) -> None:
    replay = window(max_window=400, min_window=400)
    replay.ingest([example.record for example in matches])
    seen: dict[tuple[float, ...], tuple[int, int]] = {}
    for seed in range(4):
        for update in range(40):
            drawn = replay.sample(64, seed=seed, update=update).search_values.tolist()
            for begin in range(61):
                # Four in a row agree by chance once in 400 ** 4 times.
                run = tuple(drawn[begin : begin + 4])
                assert run not in seen, (seed, update, seen[run])
                seen[run] = (seed, update)


@pytest.mark.parametrize("seats", ["alternating", "twice"])
def test_outcomes_are_for_who_is_to_move(seats: str) -> None:
    game = Tally(random_bonus=1) if seats == "twice" else TIC_TAC_TOE
    examples = RandomMatches(game).several(30)
    replay = ReplayWindow(game, ReplayConfig(min_window=500, max_window=500, value_lambda=0.0))
    replay.ingest([example.record for example in examples])
    rows = {each["root_value"]: each for example in examples for each in naive_positions(example)}
    samples = replay.sample(500, seed=0, update=0)
    for index in range(500):
        found = row(samples, index)
        wanted = rows[found["root_value"]]
        state, final = jax.tree.map(jnp.asarray, (found["state"], wanted["final_state"]))
        assert found["outcome"] == float(game.returns(final)[game.current_player(state)])
    if seats == "twice":
        assert examples[0].record.players.tolist() == [0, 0, 1, 1, 0, 1]
    else:
        assert 0.0 in {example.record.returns[0] for example in examples}


def test_the_largest_shares_of_a_wide_policy_are_kept() -> None:
    game = WideTally()
    random = np.random.default_rng(0)
    example = RandomMatches(game).play(seed=0)
    actions = np.arange(200, dtype=np.int32)
    shares = random.permutation(np.arange(1, 201)).astype(np.float32)
    shares /= shares.sum()
    # The first ply is wide, the others are as they were.
    record = example.record
    sizes = np.diff(record.policy_offsets)
    sizes[0] = 200
    keep = record.policy_offsets[1]
    record = dataclasses.replace(
        record,
        policy_offsets=np.concatenate([[0], sizes.cumsum()]).astype(np.int32),
        policy_actions=np.concatenate([actions, record.policy_actions[keep:]]),
        policy_probabilities=np.concatenate([shares, record.policy_probabilities[keep:]]),
    )
    replay = ReplayWindow(game, ReplayConfig(min_window=50, max_window=50, value_lambda=0.0))
    replay.ingest([record])
    samples = replay.sample(40, seed=0, update=0)
    rows = {row(samples, index)["root_value"]: row(samples, index) for index in range(40)}
    order = np.argsort(-shares)[:128]
    assert rows[float(record.root_values[0])]["policy"] == {
        int(action): float(shares[action]) for action in order
    }
    for ply in range(1, record.plies):
        wanted = dict(zip(*(part.tolist() for part in record.policy(ply)), strict=True))
        assert rows[float(record.root_values[ply])]["policy"] == wanted


def test_nothing_of_a_group_with_a_wrong_match_is_taken_in(matches: list[Example]) -> None:
    replay = window()
    replay.ingest([matches[0].record])
    before = (replay.positions_made, replay.matches_made, held(replay))
    broken = dataclasses.replace(matches[2].record, returns=(0.5, -0.5))
    with pytest.raises(RecordError, match=broken.match_id):
        replay.ingest([matches[1].record, broken])
    assert (replay.positions_made, replay.matches_made, held(replay)) == before


def test_a_restarted_window_offers_only_what_it_holds(matches: list[Example]) -> None:
    records = [example.record for example in matches]
    whole, again = (window(max_window=400, min_window=400) for _ in range(2))
    whole.ingest(records)
    # The files of the first 50 matches are not read again, though the window would reach them.
    made = sum(record.plies for record in records[:50])
    again.begin_at(made, 50)
    assert again.size == 0
    again.ingest(records[50:])
    assert again.size == sum(record.plies for record in records[50:])
    assert (again.positions_made, again.matches_made) == (whole.positions_made, whole.matches_made)
    values = {value for record in records[50:] for value in record.root_values.tolist()}
    assert held(again) == values


def test_a_restarted_window_draws_as_the_old_one(matches: list[Example]) -> None:
    records = [example.record for example in matches]
    whole, again = window(max_matches=4), window(max_matches=4)
    for record in records:
        whole.ingest([record])
    made = sum(record.plies for record in records[:40])
    again.begin_at(made, 40)
    again.ingest(records[40:])
    jax.tree.map(
        np.testing.assert_array_equal,
        whole.sample(64, seed=3, update=8),
        again.sample(64, seed=3, update=8),
    )
    assert whole.size == again.size == sum(record.plies for record in records[-4:])


def test_the_age_is_counted_from_the_first_checkpoint(matches: list[Example]) -> None:
    records: list[MatchRecord] = [example.record for example in matches[:3]]
    replay = window()
    assert replay.mean_age(10) == 0.0
    replay.ingest(records)
    wanted = np.concatenate([np.full(r.plies, 10.0 - r.first_checkpoint) for r in records]).mean()
    assert replay.mean_age(10) == pytest.approx(wanted)


@pytest.mark.parametrize(
    "settings",
    [
        {"surprise_share": 0.0},
        {"surprise_share": 0.5},
        {"average_positions": 4},
        {"balanced": ("result",)},
    ],
)
def test_the_batches_of_several_updates_are_the_samples_of_each(
    matches: list[Example], settings: dict[str, Any]
) -> None:
    replay = ReplayWindow(TIC_TAC_TOE, ReplayConfig(first_positions=1, **settings))
    replay.ingest([example.record for example in matches])
    updates = [3, 4, 11, 3]
    together = replay.batches(16, seed=1, updates=updates)
    each = [replay.sample(16, seed=1, update=update) for update in updates]
    jax.tree.map(
        lambda whole, *parts: np.testing.assert_array_equal(whole, np.stack(parts)), together, *each
    )


def test_final_states_are_kept_where_the_game_has_targets_from_them() -> None:
    assert window()._final_states is None
    game = make("othello", size=4)
    examples = RandomMatches(game).several(6)
    replay = ReplayWindow(game, ReplayConfig(min_window=60, max_window=60, value_lambda=0.0))
    replay.ingest([example.record for example in examples])
    rows = {each["root_value"]: each for e in examples for each in naive_positions(e)}
    samples = replay.sample(100, seed=0, update=0)
    for index in range(100):
        final = jax.tree.map(lambda leaf, index=index: leaf[index], samples.final_states)
        wanted = rows[float(samples.search_values[index])]
        jax.tree.map(np.testing.assert_array_equal, final, wanted["final_state"])


def test_a_resigned_match_has_no_final_position_for_auxiliary_targets() -> None:
    for name, refused in (("othello", True), ("tic_tac_toe", False)):
        game = make(name)
        record = RandomMatches(game).play(seed=1).record
        kept = record.plies - 3
        offsets = record.policy_offsets[: kept + 1]
        cut = {
            field.name: getattr(record, field.name)[:kept] for field in FIELDS if field.per == "ply"
        } | {
            field.name: getattr(record, field.name)[: offsets[-1]]
            for field in FIELDS
            if field.per == "action"
        }
        resigned = dataclasses.replace(
            record, **cut, policy_offsets=offsets, ending="resigned", returns=(1.0, -1.0)
        )
        window = ReplayWindow(game, ReplayConfig(min_window=90, max_window=90))
        if refused:
            with pytest.raises(RecordError, match="was resigned, but othello has auxiliary"):
                window.ingest([resigned])
        else:
            assert window.ingest([resigned]) == kept


def test_policies_weigh_as_much_as_values_however_few_are_targets(matches: list[Example]) -> None:
    replay = window(max_window=400, min_window=400)
    replay.ingest([example.record for example in matches])
    samples = replay.sample(256, seed=0, update=0)
    weights, next_weights = samples.policy_weights, samples.next_weights
    targets = weights > 0
    assert 0.5 < targets.mean() < 0.95
    assert len(set(weights[targets].tolist())) == 1
    assert weights.mean() == pytest.approx(1)
    # A policy one ply later weighs as much as one of the ply itself; at the end there is none.
    assert set(next_weights.tolist()) == {0.0, *weights[targets].tolist()}
    assert next_weights.mean() < 1
    for example in matches:
        example.record.is_target[:] = False
    none = window()
    none.ingest([example.record for example in matches])
    assert not none.sample(64, seed=0, update=0).policy_weights.any()
    for example in matches:
        example.record.is_target[:] = True
    whole = window()
    whole.ingest([example.record for example in matches])
    assert (whole.sample(64, seed=0, update=0).policy_weights == 1).all()
