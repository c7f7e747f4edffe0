"""Counters are taken away, one or two at a time, by plain Python and without a board."""

import random
from collections.abc import Sequence

from selfplay import PythonGame


class Counters(PythonGame[tuple[int, int]]):
    """Whoever takes the last counter wins; a position is what is left and who is to move."""

    name = "counters"
    num_actions = 2
    max_plies = 9

    def initial_state(self, rng: random.Random) -> tuple[int, int]:
        """Returns nine counters."""
        return 9, 0

    def apply(self, state: tuple[int, int], action: int) -> tuple[int, int]:
        """Returns what is left."""
        return state[0] - action - 1, 1 - state[1]

    def current_player(self, state: tuple[int, int]) -> int:
        """Returns who is to move."""
        return state[1]

    def legal_actions(self, state: tuple[int, int]) -> Sequence[int]:
        """Returns 0 to take one, 1 to take two."""
        return range(min(2, state[0]))

    def is_terminal(self, state: tuple[int, int]) -> bool:
        """Returns whether nothing is left."""
        return state[0] == 0

    def returns(self, state: tuple[int, int]) -> tuple[float, float]:
        """Returns a win for whoever moved last."""
        return (-1.0, 1.0) if state[1] == 0 else (1.0, -1.0)

    def observe(self, state: tuple[int, int]) -> list[float]:
        """Returns how many are left."""
        return [state[0] / 9]

    def render(self, state: tuple[int, int]) -> str:
        """Returns the counters."""
        return "o " * state[0] + f"\n{state[0]} left"

    def action_to_string(self, state: tuple[int, int], action: int) -> str:
        """Returns how many are taken."""
        return ("one", "two")[action]
