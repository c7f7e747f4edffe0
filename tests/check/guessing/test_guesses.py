"""Whose side an observation shows and whose result is returned shows in random matches."""

import dataclasses

import numpy as np
import pytest

from selfplay.check.guessing.findings import wrong_result
from selfplay.check.guessing.guesses import Guesses, fit_guesses, guesses
from selfplay.check.guessing.sample import PositionSample
from tests.check.planted.learning import Counted, NothingIsShown, PlayerZeroFirst


def made_up(
    draw: np.random.Generator, *, shown: str = "mover", counted: str = "player 0"
) -> PositionSample:
    """Returns 4,000 matches of one position each; who stands better wins more often."""
    count = 4000
    players, last = draw.integers(0, 2, size=(2, count))
    sides = draw.normal(size=(count, 2))
    results = np.sign(sides[:, 0] - sides[:, 1] + draw.normal(size=count))
    rows = np.arange(count)
    if shown == "mover":
        sides = np.stack([sides[rows, players], sides[rows, 1 - players]], axis=1)
    if counted == "last":
        results = np.where(last == 0, results, -results)
    return PositionSample(
        observations=sides.astype(np.float32),
        players=players,
        plies=rows % 10,
        matches=rows,
        results=results,
        last_players=last,
    )


def judged(sample: PositionSample) -> Guesses:
    found = fit_guesses(sample)
    assert found is not None
    return found


def test_the_right_reading_explains_the_results() -> None:
    found = judged(made_up(np.random.default_rng(0)))
    assert found.mover > 0.5
    assert abs(found.player_zero) < 0.1 and found.player_zero_t < -4
    assert found.canonical is not None and abs(found.canonical) < 0.1 and found.canonical_t < -4
    assert not found.named and not found.blind
    assert found.matches == found.positions == sum(found.wins) == 4000


def test_player_zeros_side_shown_to_both() -> None:
    seen = made_up(np.random.default_rng(0), shown="player 0")
    found = judged(seen)
    assert found.player_zero > 0.5 and found.player_zero_t > 4
    assert abs(found.mover) < 0.1
    # That is as it should be if it says whose move it is.
    with_player = np.concatenate([seen.observations, seen.players[:, None]], axis=1)
    named = judged(dataclasses.replace(seen, observations=with_player))
    assert named.named and named.usual == named.player_zero > 0.5


def test_results_of_whoever_is_to_move_at_the_end() -> None:
    found = judged(made_up(np.random.default_rng(0), counted="last"))
    assert found.canonical is not None
    assert found.canonical > 0.5 and found.canonical_t > 4
    assert abs(found.usual) < 0.1


def test_many_features_are_mixed() -> None:
    seen = made_up(np.random.default_rng(0))
    noise = np.random.default_rng(1).normal(size=(4000, 1100)).astype(np.float32)
    wide = np.concatenate([20 * seen.observations, noise], axis=1)
    assert judged(dataclasses.replace(seen, observations=wide)).mover > 0.3


@pytest.mark.parametrize("change", ["drawn", "one player"])
def test_nothing_to_guess(change: str) -> None:
    seen = made_up(np.random.default_rng(0))
    zeros = np.zeros(4000, int)
    seen = dataclasses.replace(
        seen, **({"results": zeros} if change == "drawn" else {"players": zeros})
    )
    assert fit_guesses(seen) is None


def test_a_sound_game_and_its_mistakes() -> None:
    sound, wrong_side, blind = (
        guesses(game) for game in (Counted(), PlayerZeroFirst(), NothingIsShown())
    )
    assert sound is not None and wrong_side is not None and blind is not None
    assert sound.mover > 0.1 and sound.player_zero_t < -3
    assert wrong_side.player_zero > 0.1 and wrong_side.player_zero_t > 4
    assert wrong_side.mover < wrong_side.player_zero / 2
    assert blind.blind and not sound.blind
    assert sound.matches == 4096 and min(sound.wins) > 1000
    assert sound == guesses(Counted())


def test_lopsided_roles_that_are_shown_are_no_fault() -> None:
    """Numbers of Hare and Hounds: who is to move at the end says more than the position."""
    found = judged(made_up(np.random.default_rng(0)))
    hare = dataclasses.replace(
        found, wins=(64, 4009), mover=0.07, player_zero=0.03, canonical=0.17, canonical_t=4.5
    )
    assert wrong_result(dataclasses.replace(hare, named=True)) == ""
    assert "whoever is to move at the end" in wrong_result(hare)
    assert wrong_result(dataclasses.replace(hare, named=True, wins=(2000, 2073)))
