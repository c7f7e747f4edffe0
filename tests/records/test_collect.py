"""Plies that stream in by chunks become whole matches, each once and complete."""

import dataclasses
import types
from typing import Any

import numpy as np
import pytest

from selfplay.records import MatchCollector, MatchRecord, Provenance, same_content

SLOTS = 3
ACTIONS = 4
PROVENANCE = Provenance(
    game="toy", version=3, fingerprint="ff", worker="w", settings_hash="abc", simulations=8
)


@dataclasses.dataclass
class Chunk:
    """Columns of self-play, each [T, B, ...]."""

    start_keys: Any
    players: Any
    actions: Any
    outcomes: Any
    policy: Any
    root_values: Any
    raw_values: Any
    exploratory: Any
    over: Any
    truncated: Any
    returns: Any

    def rows(self, begin: int, end: int) -> "Chunk":
        """Returns the plies from `begin` to `end`."""
        return Chunk(**{key: value[begin:end] for key, value in vars(self).items()})


def stream(lengths: list[list[int]], seed: int = 0) -> Chunk:
    """Returns the plies of matches of these lengths, slot by slot, cut to the shortest slot."""
    random = np.random.default_rng(seed)
    plies = min(sum(slot) for slot in lengths)
    shape = (plies, SLOTS)
    over = np.zeros(shape, np.bool_)
    start_keys = np.zeros((*shape, 2), np.uint32)
    for slot, each in enumerate(lengths):
        ends = np.cumsum(each)
        over[[end - 1 for end in ends if end <= plies], slot] = True
        # The key of a match is the ply at which it began.
        begins = np.concatenate([[0], ends])
        start_keys[:, slot, 0] = slot
        start_keys[:, slot, 1] = [begins[begins <= ply].max() for ply in range(plies)]
    policy = random.dirichlet(np.full(ACTIONS, 0.3), shape).astype(np.float32)
    returns = random.choice([-1.0, 0.0, 1.0], shape).astype(np.float32)
    return Chunk(
        start_keys=start_keys,
        players=random.integers(0, 2, shape).astype(np.int32),
        actions=random.integers(0, ACTIONS, shape).astype(np.int32),
        # Chance follows some plies.
        outcomes=random.integers(-1, 3, shape).astype(np.int32),
        policy=policy,
        root_values=random.uniform(-1, 1, shape).astype(np.float32),
        raw_values=random.uniform(-1, 1, shape).astype(np.float32),
        exploratory=random.random(shape) < 0.3,
        over=over,
        truncated=over & (random.random(shape) < 0.5),
        returns=np.stack([returns, -returns], axis=-1),
    )


LENGTHS = [[5, 5, 5, 5], [1, 1, 2, 9, 1, 6], [17, 3]]
STREAM = stream(LENGTHS)


def collect(size: int) -> list[MatchRecord]:
    """Returns all matches of the stream, cut into chunks of `size` plies."""
    collector = MatchCollector(PROVENANCE, SLOTS)
    found = []
    for number, begin in enumerate(range(0, 20, size)):
        chunk = STREAM.rows(begin, begin + size)
        found += collector.add(chunk, checkpoint=10 * number, sequence=number)
    return found


def content(matches: list[MatchRecord]) -> list[MatchRecord]:
    """Returns the matches without what depends on the chunks."""
    return [
        dataclasses.replace(match, match_id="", first_checkpoint=0, last_checkpoint=0)
        for match in matches
    ]


@pytest.mark.parametrize("size", [1, 2, 4, 5, 20])
def test_every_match_comes_out_once_and_whole(size: int) -> None:
    found = collect(size)
    assert sorted((match.start_key, match.plies) for match in found) == sorted(
        ((slot, sum(LENGTHS[slot][:index])), length)
        for slot, each in enumerate(LENGTHS)
        for index, length in enumerate(each)
    )
    for match in found:
        slot, begin = match.start_key
        rows = slice(begin, begin + match.plies)
        np.testing.assert_array_equal(match.actions, STREAM.actions[rows, slot])
        np.testing.assert_array_equal(match.players, STREAM.players[rows, slot])
        np.testing.assert_array_equal(match.root_values, STREAM.root_values[rows, slot])
        np.testing.assert_array_equal(match.raw_values, STREAM.raw_values[rows, slot])
        np.testing.assert_array_equal(match.exploratory, STREAM.exploratory[rows, slot])
        last = begin + match.plies - 1
        assert match.returns == tuple(STREAM.returns[last, slot])
        assert match.truncated == STREAM.truncated[last, slot]
        np.testing.assert_array_equal(match.outcomes, STREAM.outcomes[rows, slot])
        assert (match.simulations == 8).all()
        assert match.is_target.all()
        for ply in range(match.plies):
            full = np.zeros(ACTIONS, np.float32)
            actions, shares = match.policy(ply)
            full[actions] = shares
            wanted = STREAM.policy[begin + ply, slot]
            np.testing.assert_array_equal(full, np.where(wanted >= 1e-4, wanted, 0))
        assert (match.game, match.version, match.worker) == ("toy", 3, "w")


def test_plies_may_say_how_many_simulations_were_spent_and_that_a_move_was_fast() -> None:
    random = np.random.default_rng(1)
    chunk = STREAM.rows(0, 20)
    shape = chunk.over.shape
    given = types.SimpleNamespace(
        **vars(chunk),
        simulations=random.integers(0, 99, shape),
        fast=random.random(shape) < 0.5,
        endings=np.where(chunk.truncated, 2, 1),
    )
    given.outcomes = None
    found = MatchCollector(PROVENANCE, SLOTS).add(given, checkpoint=0, sequence=0)
    for match in found:
        slot, begin = match.start_key
        rows = slice(begin, begin + match.plies)
        np.testing.assert_array_equal(match.simulations, given.simulations[rows, slot])
        np.testing.assert_array_equal(match.fast, given.fast[rows, slot])
        assert match.ending == ("length" if match.truncated else "resigned")
        assert (match.outcomes == -1).all()
    assert len(found) == len(collect(20))


def test_a_history_that_lacks_a_field_goes_on_with_its_default() -> None:
    """As of a checkpoint that an older version made, in the middle of matches."""
    collector = MatchCollector(PROVENANCE, SLOTS)
    collector.add(STREAM.rows(0, 3), checkpoint=0, sequence=0)
    state = collector.state()
    # Checkpoints from before there were games of chance hold no outcomes; older ones hold `over`.
    del state["history_outcomes"]
    state["history_over"] = np.zeros_like(state["history_actions"], np.bool_)
    restored = MatchCollector(PROVENANCE, SLOTS)
    restored.restore(state)
    rest = STREAM.rows(3, 20)
    given = types.SimpleNamespace(
        **vars(rest), simulations=np.full(rest.over.shape, 5), fast=np.ones(rest.over.shape, bool)
    )
    found = restored.add(given, checkpoint=0, sequence=1)
    match = next(match for match in found if match.start_key == (2, 0))
    assert match.simulations.tolist() == [8] * 3 + [5] * 14
    assert match.fast.tolist() == [False] * 3 + [True] * 14
    assert match.outcomes.tolist() == [-1] * 3 + STREAM.outcomes[3:17, 2].tolist()


def test_matches_come_in_the_order_in_which_they_ended() -> None:
    ends = [match.start_key[1] + match.plies for match in collect(20)]
    assert ends == sorted(ends)


def test_the_cut_into_chunks_changes_nothing() -> None:
    assert same_content(content(collect(2)), content(collect(20)))


def test_the_checkpoints_of_the_first_and_last_ply() -> None:
    for match in collect(2):
        begin = match.start_key[1]
        assert match.first_checkpoint == begin // 2 * 10
        assert match.last_checkpoint == (begin + match.plies - 1) // 2 * 10
    assert any(match.first_checkpoint != match.last_checkpoint for match in collect(2))


def test_ids_are_worker_sequence_and_index() -> None:
    ids = [match.match_id for match in collect(5)]
    assert len(set(ids)) == len(ids)
    assert ids == [match.match_id for match in collect(5)]
    # The first chunk holds the end of slot 0's match and of three in slot 1.
    assert ids[:4] == [f"w-00000000-{index:04d}" for index in range(4)]
    assert ids[4] == "w-00000001-0000"


def test_ids_count_on_where_chunks_share_a_file_and_begin_again_after_a_restore() -> None:
    collector = MatchCollector(PROVENANCE, SLOTS)
    first = collector.add(STREAM.rows(0, 5), checkpoint=0, sequence=7)
    state = collector.state()
    second = collector.add(STREAM.rows(5, 10), checkpoint=0, sequence=7)
    ids = [match.match_id for match in (*first, *second)]
    assert first and second
    assert ids == [f"w-00000007-{index:04d}" for index in range(len(ids))]
    collector.restore(state)
    again = collector.add(STREAM.rows(5, 10), checkpoint=0, sequence=7)
    assert [match.match_id for match in again] == ids[: len(second)]


@pytest.mark.parametrize("cut", range(0, 20, 2))
def test_a_restored_collector_goes_on_exactly(cut: int) -> None:
    first, second = MatchCollector(PROVENANCE, SLOTS), MatchCollector(PROVENANCE, SLOTS)
    for begin in range(0, cut, 2):
        first.add(STREAM.rows(begin, begin + 2), checkpoint=begin, sequence=begin)
    state = first.state()
    kept = {name: values.copy() for name, values in state.items()}
    for collector in (first, second):
        if collector is second:
            # What the first one did since must not have changed the saved state.
            for name, values in kept.items():
                np.testing.assert_array_equal(state[name], values)
            second.restore(state)
        found = []
        for begin in range(cut, 20, 2):
            found += collector.add(STREAM.rows(begin, begin + 2), checkpoint=begin, sequence=begin)
        if collector is first:
            wanted = found
    assert len(wanted) > 0
    assert same_content(found, wanted)


def test_only_the_plies_of_matches_in_progress_are_kept() -> None:
    long = stream([[4] * 500, [3] * 700, [7] * 300])
    collector = MatchCollector(PROVENANCE, SLOTS)
    held = []
    for begin in range(0, 2000, 5):
        collector.add(long.rows(begin, begin + 5), checkpoint=0, sequence=0)
        held.append(len(collector.state()["checkpoints"]))
        assert all(
            len(values) == held[-1]
            for name, values in collector.state().items()
            if name.startswith("history_")
        )
    # No match is longer than 7 plies.
    assert max(held) < 7
