"""A game whose training targets are not finite is named, with the moves that lead there."""

from typing import Any

import jax.numpy as jnp
import pytest

from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.records import MatchRecord
from selfplay.replay.target_faults import TargetFaults
from tests.records.examples import RandomMatches


def stones(state: Any) -> Any:
    return (state.cells >= 0).sum()


class NanImage(TicTacToe):
    """Fault: the first position with a stone in the upper left corner is seen as NaN."""

    def observe(self, state: Any) -> Any:
        corner = (state.cells.ravel()[0] >= 0) & (stones(state) == 1)
        return jnp.where(corner, jnp.nan, super().observe(state))


class NanTarget(TicTacToe):
    """Fault: a division by zero once four stones lie."""

    def auxiliary_targets(self, state: Any, final_state: Any) -> dict[str, Any]:
        return {"fine": jnp.zeros(3), "share": jnp.where(stones(state) >= 4, jnp.nan, 0.5)}


@pytest.fixture(scope="module")
def matches() -> list[MatchRecord]:
    """Returns matches that begin in the lower right corner."""
    examples = RandomMatches(TicTacToe())
    played = (examples.play(seed=seed).record for seed in range(60))
    return [match for match in played if match.actions[0] == 8][:3]


def test_the_image_of_a_position_is_looked_at(matches: list[MatchRecord]) -> None:
    error = TargetFaults(NanImage(), symmetries=True).find(matches)
    assert error is not None
    assert str(error).startswith("tic_tac_toe: observe of the image under the symmetry ")
    assert str(error).endswith(" holds nan, but must be finite")
    assert (error.rule, error.moves) == ("finite", (8,))
    assert error.hint.startswith("after the moves 8, which breaks the rule finite; ")
    # Training without symmetries never meets it.
    assert TargetFaults(NanImage(), symmetries=False).find(matches) is None


def test_auxiliary_targets_are_looked_at(matches: list[MatchRecord]) -> None:
    error = TargetFaults(NanTarget(), symmetries=False).find(matches)
    assert error is not None
    assert str(error) == "tic_tac_toe: auxiliary_targets['share'] holds nan, but must be finite"
    assert error.moves == tuple(int(action) for action in matches[0].actions[:4])


def test_a_sound_game_is_not_to_blame(matches: list[MatchRecord]) -> None:
    faults = TargetFaults(TicTacToe(), symmetries=True)
    assert len(matches) == 3
    assert faults.find(matches) is None
    assert faults.find([]) is None
