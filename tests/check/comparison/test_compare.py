"""Two games are the same, or the first difference is shown."""

import dataclasses
import random
from typing import Any

import jax.numpy as jnp

from selfplay.adapters import host
from selfplay.check.comparison.compare import compare
from selfplay.games.connect_four import ConnectFour
from tests.adapters.python_storm import PythonStorm
from tests.check.planted.games import Dice, OnlyPlayerZeroCanEndIt, Plain, Walk
from tests.check.planted.learning import Counted, PlayerZeroFirst
from tests.dice import Storm


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


class Fair(Storm):
    """Its die is loaded otherwise while few stones are left."""

    name = "fair"

    def chance_probabilities(self, state: Any) -> Any:
        fair = jnp.array([0.3, 0.3, 0.1, 0.3], jnp.float32)
        return jnp.where(state.stones > 2, super().chance_probabilities(state), fair)


def test_games_of_chance_agree_under_the_same_dice() -> None:
    """A game in plain Python and its twin, whose first rolls come from other random numbers."""

    class Rolled(PythonStorm):
        def initial_state(self, rng: random.Random) -> Any:
            return self.stones, rng.choice((1, 2, 3)), 0, 1

    result = compare(host(Rolled(stones=6)), Storm(stones=6), matches=64, observations=True)
    assert result.fault is None
    assert result.matches == 64 and result.plies > 150


def test_probabilities_that_differ_are_shown_with_the_rolls() -> None:
    result = compare(Storm(stones=6), Fair(stones=6), matches=64)
    fault = result.fault
    assert fault is not None
    assert fault.message == (
        "the probability of outcome 0 after the last move: 0.6 in storm, 0.3 in fair"
    )
    # Two moves can leave two stones: three and one. Nothing is rolled after the last one.
    assert len(fault.moves) <= 3 and fault.outcomes[-1] == -1
    rolls = sum(text.startswith("roll:") for text in fault.moves_text)
    assert rolls == sum(outcome >= 0 for outcome in fault.outcomes)


def test_a_roll_in_one_game_alone_is_shown() -> None:
    class Calm(Storm):
        name = "calm"

        def is_chance(self, state: Any) -> Any:
            return super().is_chance(state) & (state.stones != 5)

    fault = compare(Storm(stones=6), Calm(stones=6), matches=8).fault
    assert fault is not None
    assert fault.message == "after the last move chance follows in storm alone"
    assert len(fault.moves) == 1
    assert "stones = 6" in fault.before


def test_where_outcomes_lead_is_compared() -> None:
    class Slow(Storm):
        name = "slow"

        def resolve(self, state: Any, outcome: Any) -> Any:
            after = super().resolve(state, outcome)
            return dataclasses.replace(after, die=jnp.where(after.die == 3, 2, after.die))

    fault = compare(Storm(stones=6), Slow(stones=6), matches=64, observations=True).fault
    assert fault is not None
    assert fault.message.startswith("observation[")
    assert fault.outcomes == (2,) and fault.moves_text[1] == "roll:three"


def test_chance_in_one_game_alone_is_said() -> None:
    fault = compare(Walk(), Dice()).fault
    assert fault is not None and fault.message == "dice alone is a game of chance"

    class Many(Dice):
        name = "many"
        num_outcomes = 3

    fault = compare(Dice(), Many()).fault
    assert fault is not None and fault.message == "dice has 2 chance outcomes, many 3"
