"""The window takes the newest target of a position, and leaves all others as they are."""

import dataclasses

import numpy as np
import pytest

from selfplay.errors import RecordError
from selfplay.records import MatchRecord, with_new_targets
from selfplay.registry import make
from selfplay.replay import ReplayWindow, Samples
from selfplay.replay.renewal import HeldTargets, renewed
from selfplay.replay.search_values import lambda_returns
from selfplay.settings.sections import ReplayConfig
from tests.records.examples import Example, RandomMatches

TIC_TAC_TOE = make("tic_tac_toe")
CONFIG = ReplayConfig(min_window=60, max_window=60, first_positions=1, surprise_share=0.5)


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    play = RandomMatches(TIC_TAC_TOE)
    return [play.play(seed=seed) for seed in range(12)]


def again(example: Example, plies: list[int], *, checkpoint: int, value: float) -> MatchRecord:
    """Returns the match as a search of these plies would leave it: all on the move played."""
    match, count = example.record, len(plies)
    policy = np.zeros((count, 9), np.float32)
    policy[np.arange(count), match.actions[plies]] = 1.0
    found = {
        "root_values": np.full(count, value, np.float32),
        "raw_values": np.full(count, value / 2, np.float32),
        "simulations": np.full(count, 77),
        "surprises": np.full(count, 3.0, np.float32),
        "proven": np.zeros(count, np.bool_),
    }
    return with_new_targets(match, np.array(plies), found, policy, checkpoint=checkpoint)


def held(window: ReplayWindow, plies: int) -> Samples:
    """Returns the newest positions, the oldest of them first."""
    return window.newest(plies)


def test_new_targets_leave_the_old_record_as_it_was(examples: list[Example]) -> None:
    before = dataclasses.replace(examples[0].record)
    copies = {"root_values": before.root_values.copy(), "is_target": before.is_target.copy()}
    before.is_target[1] = False
    before.fast[1] = True
    new = again(examples[0], [1, 3], checkpoint=9, value=0.25)
    assert new.match_id == before.match_id
    assert new.reanalysis_checkpoints.tolist() == [
        9 if ply in (1, 3) else -1 for ply in range(before.plies)
    ]
    # A fast move that is searched fully becomes a target.
    assert new.is_target[1] and not new.fast[1] and new.simulations[1] == 77
    for ply in range(before.plies):
        actions, shares = new.policy(ply)
        if ply in (1, 3):
            assert (actions.tolist(), shares.tolist()) == ([before.actions[ply]], [1.0])
            assert new.root_values[ply] == np.float32(0.25)
        else:
            np.testing.assert_array_equal(shares, before.policy(ply)[1])
            assert new.root_values[ply] == before.root_values[ply]
    np.testing.assert_array_equal(before.root_values, copies["root_values"])
    assert not before.is_target[1]
    before.is_target[:], before.fast[1] = copies["is_target"], False


def test_what_is_proven_stays(examples: list[Example]) -> None:
    record = examples[3].record
    known = np.arange(record.plies) >= record.plies - 2
    window = HeldTargets(
        present=np.ones(record.plies, np.bool_),
        checkpoints=np.full(record.plies, record.last_checkpoint),
        root_values=np.where(known, 1.0, record.root_values).astype(np.float32),
        proven=known,
        is_target=record.is_target,
        surprises=None,
    )
    searched = list(range(record.plies))
    new = again(examples[3], searched, checkpoint=record.last_checkpoint + 9, value=0.25)
    found = renewed(new, window)
    np.testing.assert_array_equal(found.newer, ~known)
    np.testing.assert_array_equal(found.match.root_values, np.where(known, 1.0, 0.25))
    np.testing.assert_array_equal(found.match.proven, known)
    exact = dataclasses.replace(new, proven=np.ones(record.plies, np.bool_))
    assert renewed(exact, window).newer.all()


def test_the_window_takes_the_newest_target_of_each_position(examples: list[Example]) -> None:
    window = ReplayWindow(TIC_TAC_TOE, CONFIG)
    chosen, other = examples[1], examples[2]
    window.ingest([chosen.record, other.record])
    plies, rest = chosen.record.plies, other.record.plies
    before, mean_age = held(window, plies + rest), window.mean_age(6)
    assert window.renew([again(chosen, [2, 3], checkpoint=5, value=0.5)]) == [
        chosen.record.match_id
    ]
    # Ply 3 comes from newer weights already; ply 4 does not.
    older = again(chosen, [3, 4], checkpoint=4, value=-0.5)
    newer = again(chosen, [2], checkpoint=6, value=0.75)
    window.renew([older])
    window.renew([newer])
    after = held(window, plies + rest)
    expected = chosen.record.root_values.copy()
    expected[[2, 3, 4]] = [0.75, 0.5, -0.5]
    merged = dataclasses.replace(chosen.record, root_values=expected)
    # A new root value changes the value targets of earlier plies too.
    returns = lambda_returns([merged], [CONFIG.value_lambda])[:, 0]
    np.testing.assert_allclose(after.search_values[:plies], returns, rtol=1e-6)
    assert (after.search_values[:2] != before.search_values[:2]).all()
    for ply in (2, 3, 4):
        assert after.policy_probabilities[ply].max() == 1.0
    for ply in (0, 1, *range(5, plies)):
        np.testing.assert_array_equal(
            after.policy_probabilities[ply], before.policy_probabilities[ply]
        )
    # The other match, results and lengths are what they were.
    np.testing.assert_array_equal(after.search_values[plies:], before.search_values[plies:])
    np.testing.assert_array_equal(after.outcomes, before.outcomes)
    assert (window.positions_made, window.matches_made) == (plies + rest, 2)
    assert window.mean_age(6) < mean_age
    # Weights older than those that played the match have nothing newer to say.
    window.renew([again(chosen, list(range(plies)), checkpoint=1, value=1.0)])
    np.testing.assert_array_equal(held(window, plies + rest).search_values, after.search_values)


def test_what_the_window_does_not_hold_is_left_out(examples: list[Example]) -> None:
    window = ReplayWindow(TIC_TAC_TOE, CONFIG)
    window.ingest([one.record for one in examples])
    total = sum(one.record.plies for one in examples)
    assert total > CONFIG.max_window + 9
    gone = again(examples[0], [0], checkpoint=50, value=0.5)
    stranger = dataclasses.replace(
        again(examples[-1], [0], checkpoint=3, value=0.5), match_id="elsewhere-00000000-0000"
    )
    assert window.renew([gone, stranger]) == []
    # The first match that is partly there has lost its first plies, not its last.
    ends = np.cumsum([one.record.plies for one in examples])
    index = int(np.argmax(ends > total - CONFIG.max_window))
    partly = examples[index]
    last = partly.record.plies - 1
    present = int(ends[index] - (total - CONFIG.max_window))
    assert present > 0
    window.renew([again(partly, list(range(last + 1)), checkpoint=50, value=0.5)])
    samples = held(window, CONFIG.max_window)
    assert (samples.policy_probabilities[:present].max(axis=1) == 1.0).all()
    newest = examples[-1].record
    np.testing.assert_array_equal(
        samples.outcomes[-newest.plies :],
        np.array(newest.returns, np.float32)[newest.players],
    )


def test_another_match_under_the_same_id_is_refused(examples: list[Example]) -> None:
    window = ReplayWindow(TIC_TAC_TOE, CONFIG)
    window.ingest([examples[3].record])
    before = held(window, examples[3].record.plies)
    impostor = dataclasses.replace(
        again(examples[4], [0], checkpoint=3, value=0.5), match_id=examples[3].record.match_id
    )
    with pytest.raises(RecordError, match="is not the one that the run holds under that id"):
        window.renew([impostor])
    np.testing.assert_array_equal(
        held(window, examples[3].record.plies).policy_probabilities, before.policy_probabilities
    )
