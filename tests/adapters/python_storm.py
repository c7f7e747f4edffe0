"""The game of `tests.dice` in plain Python, and its exact solution by plain recursion."""

import random

from selfplay.adapters import PythonChanceGame

Heap = tuple[int, int, int, int]
"""Stones, die (0 in an afterstate, 4 in a storm), who is to move, who moved last."""

LOADED = {True: (0.45, 0.3, 0.15, 0.1), False: (0.6, 0.3, 0.0, 0.1)}


class PythonStorm(PythonChanceGame[Heap]):
    """Take the last stone to win; a loaded die says how many may be taken. See `tests.dice.Storm`.

    The first roll is always a two, so that its start is that of a twin with any random numbers.
    """

    name = "python_storm"
    num_actions = 3
    num_outcomes = 4

    def __init__(self, stones: int = 6) -> None:
        self.stones = stones
        self.max_plies = stones

    def initial_state(self, rng: random.Random) -> Heap:
        return self.stones, 2, 0, 1

    def apply(self, state: Heap, action: int) -> Heap:
        stones, die, player, _ = state
        taken = die if action == 1 else 1
        again = action == 1 and die == 2
        return stones - taken, die if action == 2 else 0, player if again else 1 - player, player

    def is_chance(self, state: Heap) -> bool:
        return state[1] == 0

    def chance_probabilities(self, state: Heap) -> tuple[float, ...]:
        return LOADED[state[0] > 2]

    def resolve(self, state: Heap, outcome: int) -> Heap:
        return state[0], outcome + 1, state[2], state[3]

    def outcome_to_string(self, state: Heap, outcome: int) -> str:
        return ("one", "two", "three", "storm")[outcome]

    def current_player(self, state: Heap) -> int:
        return state[2]

    def legal_actions(self, state: Heap) -> list[int]:
        return [0, 1, 2] if 2 <= state[1] <= state[0] else [0, 2]

    def is_terminal(self, state: Heap) -> bool:
        return state[0] <= 0 or state[1] == 4

    def returns(self, state: Heap) -> tuple[float, float]:
        stones, die, player, last = state
        first = 0.1
        if stones <= 0:
            first = 1.0 if last == 0 else -1.0
        elif die == 4:
            first = 0.25 if player == 0 else -0.25
        return first, -first

    def observe(self, state: Heap) -> list[int]:
        return [state[0], state[2], *(int(state[1] == face) for face in (1, 2, 3, 4))]


def expected(rules: PythonStorm, state: Heap) -> dict[int, float]:
    """Returns the exact expected result of each legal action, for the player to move.

    A match is never cut: each ply takes a stone.
    """
    sign = 1 if rules.current_player(state) == 0 else -1
    return {
        action: sign * _of_action(rules, state, action) for action in rules.legal_actions(state)
    }


def _of_action(rules: PythonStorm, state: Heap, action: int) -> float:
    """Returns the exact expected result of player 0."""
    after = rules.apply(state, action)
    if rules.is_terminal(after) or not rules.is_chance(after):
        return _of_position(rules, after)
    return sum(
        probability * _of_position(rules, rules.resolve(after, outcome))
        for outcome, probability in enumerate(rules.chance_probabilities(after))
        if probability
    )


def _of_position(rules: PythonStorm, state: Heap) -> float:
    if rules.is_terminal(state):
        return rules.returns(state)[0]
    best = max if rules.current_player(state) == 0 else min
    return best(_of_action(rules, state, action) for action in rules.legal_actions(state))
