"""Replaying a record gives the positions that were played, or an error that says what is wrong."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.errors import RecordError
from selfplay.game import Game
from selfplay.records import MatchRecord
from selfplay.records.match import FIELDS
from selfplay.registry import make
from selfplay.replay import Rebuilder
from tests.arena.toys import Tally
from tests.conftest import Compilations
from tests.records.examples import Example, RandomMatches

GAMES: dict[str, Callable[[], Game[Any]]] = {
    "tic_tac_toe": lambda: make("tic_tac_toe"),
    "connect_four": lambda: make("connect_four", rows=4, columns=4),
    "othello": lambda: make("othello", size=6),
    "tally": lambda: Tally(random_bonus=1),
    "short_tally": lambda: Tally(max_plies=4),
}
PASS = 36


@dataclasses.dataclass
class Played:
    """A game, a rebuilder for it, and random matches."""

    game: Game[Any]
    rebuild: Rebuilder
    examples: list[Example]

    @property
    def records(self) -> list[MatchRecord]:
        return [example.record for example in self.examples]


_played: dict[str, Played] = {}


def played(name: str) -> Played:
    """Returns the matches of a game, made once."""
    if name not in _played:
        game = GAMES[name]()
        # More than are replayed at once.
        count = 12 if name == "othello" else 70
        _played[name] = Played(game, Rebuilder(game), RandomMatches(game).several(count))
    return _played[name]


def stack(states: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *states)


@pytest.mark.parametrize("name", list(GAMES))
def test_the_positions_are_those_played(name: str) -> None:
    match = played(name)
    positions = match.rebuild(match.records)
    wanted = stack([state for example in match.examples for state in example.states[:-1]])
    jax.tree.map(np.testing.assert_array_equal, positions.states, wanted)
    final = stack([example.states[-1] for example in match.examples])
    jax.tree.map(np.testing.assert_array_equal, positions.final_states, final)
    lengths = {record.plies for record in match.records}
    assert len(lengths) > 1 or name in ("tally", "short_tally")


def test_the_othello_matches_hold_forced_passes() -> None:
    assert any((record.actions == PASS).any() for record in played("othello").records)


def test_auxiliary_targets_follow_from_the_rebuilt_positions() -> None:
    match = played("othello")
    record, states = match.examples[0].record, match.examples[0].states
    positions = match.rebuild([record])
    final = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), positions.final_states)
    for ply in (0, 7, record.plies - 1):
        state = jax.tree.map(lambda leaf, ply=ply: jnp.asarray(leaf[ply]), positions.states)
        found = match.game.auxiliary_targets(state, final)
        # By hand: the discs at the end, own ones positive.
        bits = [
            sum(int(word) << 32 * index for index, word in enumerate(discs))
            for discs in states[-1].discs
        ]
        own, other = bits if int(states[ply].player) == 0 else bits[::-1]
        cells = np.array([(own >> cell & 1) - (other >> cell & 1) for cell in range(36)])
        np.testing.assert_array_equal(found["ownership"].reshape(-1), cells)
        np.testing.assert_allclose(found["score_margin"], cells.mean(), rtol=1e-6)
        sign = float(np.sign(cells.sum()))
        assert record.returns[int(states[ply].player)] == sign


def test_the_order_and_the_company_of_matches_change_nothing() -> None:
    match = played("connect_four")
    one = match.rebuild([match.records[5]])
    both = match.rebuild([match.records[9], match.records[5]])
    begin = match.records[9].plies
    jax.tree.map(
        lambda left, right: np.testing.assert_array_equal(left, right[begin:]),
        one.states,
        both.states,
    )


def test_a_match_ended_by_its_length_is_marked_and_scored() -> None:
    match = played("short_tally")
    assert all(record.truncated and record.plies == 4 for record in match.records)
    assert {record.returns for record in match.records} == {(1.0, -1.0), (-1.0, 1.0), (0.0, 0.0)}
    match.rebuild(match.records)


def test_a_random_start_is_found_again_by_its_key() -> None:
    match = played("tally")
    starts = [int(example.states[0].bonus) for example in match.examples]
    assert set(starts) == {-1, 1}
    # Who is level in choices wins by the start alone, so another start is another result.
    index = next(
        index
        for index, example in enumerate(match.examples)
        if example.states[-1].ones[0] == example.states[-1].ones[1]
    )
    other = match.records[starts.index(-starts[index])].start_key
    record = dataclasses.replace(match.records[index], start_key=other)
    with pytest.raises(RecordError, match="the result is"):
        match.rebuild([record])


def change(record: MatchRecord, ply: int, **values: int) -> MatchRecord:
    """Returns the record with entries of one ply changed."""
    arrays = {name: getattr(record, name).copy() for name in values}
    for name, value in values.items():
        arrays[name][ply] = value
    return dataclasses.replace(record, **arrays)


def change_policy(
    record: MatchRecord, ply: int, *, action: int | None = None, share: float | None = None
) -> MatchRecord:
    """Returns the record with the first entry of one ply's policy changed."""
    actions, shares = record.policy_actions.copy(), record.policy_probabilities.copy()
    first = record.policy_offsets[ply]
    if action is not None:
        actions[first] = action
    if share is not None:
        shares[first] = share
    return dataclasses.replace(record, policy_actions=actions, policy_probabilities=shares)


def cut(record: MatchRecord, begin: int, end: int) -> MatchRecord:
    """Returns the record with only some of its plies."""
    plies = {
        field.name: getattr(record, field.name)[begin:end] for field in FIELDS if field.per == "ply"
    }
    offsets = record.policy_offsets[begin : end + 1]
    policies = slice(offsets[0], offsets[-1])
    return dataclasses.replace(
        record,
        **plies,
        policy_offsets=offsets - offsets[0],
        policy_actions=record.policy_actions[policies],
        policy_probabilities=record.policy_probabilities[policies],
    )


FAULTS: dict[str, tuple[Callable[[MatchRecord], MatchRecord], str]] = {
    "occupied": (
        lambda r: change(r, 2, actions=int(r.actions[0])),
        r"action \d at ply 2 is not legal",
    ),
    "beyond the last action": (
        lambda r: change(r, 0, actions=9),
        "action 9 at ply 0 is not legal",
    ),
    "before the first action": (
        lambda r: change(r, 1, actions=-1),
        "action -1 at ply 1 is not legal",
    ),
    "wrong player": (lambda r: change(r, 1, players=0), "player 0 moves out of turn"),
    "missing last ply": (
        lambda r: cut(r, 0, r.plies - 1),
        r"the match goes on after its last ply \d",
    ),
    "missing first ply": (lambda r: cut(r, 1, r.plies), "does not follow the rules"),
    "plies after the end": (
        lambda r: dataclasses.replace(
            r,
            actions=np.append(r.actions, np.setdiff1d(np.arange(9), r.actions)[0]).astype(np.int32),
            players=np.append(r.players, 1 - r.players[-1]).astype(np.int8),
            outcomes=np.append(r.outcomes, -1).astype(np.int32),
        ),
        "is not legal",
    ),
    "chance without chance": (
        lambda r: dataclasses.replace(r, outcomes=np.append(r.outcomes[:-1], 2).astype(np.int32)),
        "chance outcome 2 at ply .* is not possible",
    ),
    "wrong result": (
        lambda r: dataclasses.replace(r, returns=(-r.returns[0], -r.returns[1])),
        r"the result is .* but the rules say",
    ),
    "no result": (
        lambda r: dataclasses.replace(r, returns=(float("nan"), float("nan"))),
        "the result is",
    ),
    "a policy on an illegal action": (
        lambda r: change_policy(r, 2, action=int(r.actions[0])),
        r"the policy of ply 2 has action \d, which is not legal",
    ),
    "a policy beyond the last action": (
        lambda r: change_policy(r, 0, action=9),
        "the policy of ply 0 has action 9, which is not legal",
    ),
    "a policy before the first action": (
        lambda r: change_policy(r, 0, action=-1),
        "the policy of ply 0 has action -1, which is not legal",
    ),
    "a policy far beyond the last action": (
        lambda r: change_policy(r, 0, action=10_000),
        "the policy of ply 0 has action 10000, which is not legal",
    ),
    "a share that is not a number": (
        lambda r: change_policy(r, 1, share=float("nan")),
        r"policy_probabilities must be in \[0, 1\]",
    ),
    "shares above one": (
        lambda r: change_policy(r, 1, share=1.5),
        r"policy_probabilities must be in \[0, 1\]",
    ),
    "an empty target": (
        lambda r: dataclasses.replace(r, policy_probabilities=0 * r.policy_probabilities),
        "the policy of a training target must not be empty",
    ),
    "a value out of range": (
        lambda r: dataclasses.replace(r, root_values=r.root_values + np.float32(2.0)),
        r"root_values must be in \[-1, 1\]",
    ),
    "a value that is not a number": (
        lambda r: dataclasses.replace(r, raw_values=r.raw_values * np.float32(np.nan)),
        r"raw_values must be in \[-1, 1\]",
    ),
    "checkpoints out of order": (
        lambda r: dataclasses.replace(r, first_checkpoint=r.last_checkpoint + 1),
        "its checkpoints must be in order",
    ),
    "a checkpoint that is no number of one": (
        lambda r: dataclasses.replace(r, first_checkpoint=-1),
        "first_checkpoint must be at least 0",
    ),
    "fewer simulations than none": (
        lambda r: change(r, 0, simulations=-1),
        "simulations must be at least 0",
    ),
    "an unknown ending": (
        lambda r: dataclasses.replace(r, ending="adjourned"),
        "ending must be one of played_out, resigned, length",
    ),
    "an ending that truncated denies": (
        lambda r: dataclasses.replace(r, ending="length"),
        "its ending is length, but truncated is False",
    ),
    "resignation after the end": (
        lambda r: dataclasses.replace(r, ending="resigned"),
        "ends by resignation, but the rules had ended it",
    ),
    "resignation without a winner": (
        lambda r: dataclasses.replace(
            cut(r, 0, r.plies - 1), ending="resigned", returns=(0.0, 0.0)
        ),
        "ends by resignation, but without a winner",
    ),
    "truncated": (
        lambda r: dataclasses.replace(r, truncated=True),
        "truncated is True, but the rules say False",
    ),
    "other game": (
        lambda r: dataclasses.replace(r, game="chess"),
        "is of chess version 1, but the game is tic_tac_toe version 1",
    ),
    "other version": (
        lambda r: dataclasses.replace(r, version=2),
        "is of tic_tac_toe version 2, but the game is tic_tac_toe version 1",
    ),
}


def test_a_match_may_end_by_resignation() -> None:
    match = played("tic_tac_toe")
    record = cut(match.records[0], 0, match.records[0].plies - 2)
    resigned = dataclasses.replace(record, ending="resigned", returns=(-1.0, 1.0))
    assert len(jax.tree.leaves(match.rebuild([resigned]).states)[0]) == record.plies


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_record_that_is_wrong_is_refused(fault: str) -> None:
    match = played("tic_tac_toe")
    decided = next(r for r in match.records if r.returns[0] != 0 and r.plies < 9)
    break_it, message = FAULTS[fault]
    broken = break_it(decided)
    with pytest.raises(RecordError, match=message) as caught:
        match.rebuild([match.records[0], broken, match.records[1]])
    assert broken.match_id in str(caught.value)


def test_a_match_under_other_rules_of_the_same_game_is_refused() -> None:
    match = played("tic_tac_toe")
    rebuild = Rebuilder(match.game, match.records[0].fingerprint)
    rebuild(match.records[:1])
    other = dataclasses.replace(match.records[0], fingerprint="fedcba9876543210")
    with pytest.raises(RecordError, match=r"other rules of tic_tac_toe .*fedcba9876543210"):
        rebuild([other])


def test_a_false_mark_of_truncation_is_refused_the_other_way() -> None:
    match = played("short_tally")
    broken = dataclasses.replace(match.records[0], truncated=False)
    with pytest.raises(RecordError, match="truncated is False, but the rules say True"):
        match.rebuild([broken])


def test_a_match_of_the_same_game_with_other_options_is_refused() -> None:
    larger = RandomMatches(make("connect_four")).play(seed=0).record
    with pytest.raises(RecordError, match="is not legal"):
        played("connect_four").rebuild([larger])


def test_few_programs_are_compiled(compilations: Compilations) -> None:
    match = played("othello")
    rebuild = Rebuilder(match.game)
    by_length = sorted(match.records, key=lambda record: record.plies)
    # Matches of 6 x 6 end between ply 17 and 64 or so: two lengths of programs at most.
    with compilations() as compiled:
        rebuild(by_length)
        rebuild(by_length[:1])
        for record in by_length[1:]:
            rebuild([record])
    assert 1 <= len([message for message in compiled if "replay" in message]) <= 2
    with compilations() as compiled:
        rebuild(by_length * 6)
    assert compiled == []
