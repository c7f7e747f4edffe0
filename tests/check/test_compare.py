"""Two games are the same, or the first difference is shown."""

from typing import Any

import jax.numpy as jnp
import pytest

from selfplay.check.compare import compare
from selfplay.errors import ConfigError
from selfplay.games.connect_four import ConnectFour
from tests.check.broken.games import Dice, OnlyPlayerZeroCanEndIt, Plain, Walk
from tests.check.broken.learning import Counted, PlayerZeroFirst


def test_two_ways_to_write_a_game_agree() -> None:
    result = compare(Plain(), Counted(), matches=100, observations=True)
    assert result.fault is None
    assert result.matches == 100
    assert 500 < result.plies < 1000
    assert result.to_dict()["ok"]


def test_the_first_difference_is_shown_with_few_moves() -> None:
    result = compare(Plain(), OnlyPlayerZeroCanEndIt())
    assert result.fault is not None
    assert result.fault.rule == "against"
    # Player 1 needs six plies to win.
    assert len(result.fault.moves) == 6
    assert result.fault.message.startswith("the match is over: True in")
    assert "o wins" in result.fault.before
    assert not result.to_dict()["ok"]


def test_a_mask_that_differs_names_the_actions() -> None:
    class Narrow(Plain):
        name = "narrow"

        def legal_action_mask(self, state: Any) -> Any:
            return super().legal_action_mask(state).at[4].set(False)

        def is_terminal(self, state: Any) -> Any:
            return super().is_terminal(state) | ~self.legal_action_mask(state).any()

    result = compare(Plain(), Narrow())
    assert result.fault is not None
    assert result.fault.moves == ()
    assert result.fault.message == "legal in plain alone: [4]"


def test_results_are_compared_at_the_end() -> None:
    class Doubled(Walk):
        name = "doubled"

        def returns(self, state: Any) -> Any:
            return super().returns(state) / 2

    result = compare(Walk(), Doubled())
    assert result.fault is not None
    assert result.fault.message.startswith("the results: [")
    assert len(result.fault.moves) == 5


def test_observations_are_compared_on_request_alone() -> None:
    assert compare(Counted(), PlayerZeroFirst(), matches=10).fault is None
    fault = compare(Counted(), PlayerZeroFirst(), matches=10, observations=True).fault
    assert fault is not None
    assert fault.message.startswith("observation[")
    assert len(fault.moves) == 1


def test_a_size_that_differs_is_said() -> None:
    fault = compare(Plain(), ConnectFour()).fault
    assert fault is not None
    assert fault.message == "plain has 9 actions, connect_four 7"

    class Wide(Walk):
        name = "wide"

        def observe(self, state: Any) -> Any:
            return jnp.zeros(3)

    fault = compare(Walk(), Wide(), observations=True).fault
    assert fault is not None
    assert fault.message == "observation has the shape [11], then [3]"


def test_games_of_chance_are_refused() -> None:
    with pytest.raises(ConfigError, match="dice is a game of chance"):
        compare(Walk(), Dice())
