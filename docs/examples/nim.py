"""Nim with three heaps, and perfect play by a formula: selfplay check docs/examples/nim.py."""

import functools
import operator

from selfplay import PythonGame, Solution


class Nim(PythonGame):
    """Take any number of stones from one heap; who takes the last stone wins."""

    name = "nim"

    def __init__(self, heaps=(3, 4, 5)):
        self.heaps = heaps
        self.most = max(heaps)
        self.num_actions = len(heaps) * self.most  # heap by heap: take 1, 2, ... stones
        self.max_plies = sum(heaps)

    def initial_state(self, rng):
        return tuple(self.heaps), 0

    def apply(self, state, action):
        heaps, player = state
        heap, taken = action // self.most, action % self.most + 1
        left = heaps[heap] - taken
        return (*heaps[:heap], left, *heaps[heap + 1 :]), 1 - player

    def legal_actions(self, state):
        return [
            heap * self.most + taken - 1
            for heap, stones in enumerate(state[0])
            for taken in range(1, stones + 1)
        ]

    def current_player(self, state):
        return state[1]

    def is_terminal(self, state):
        return not any(state[0])

    def returns(self, state):
        # Whoever is to move has not taken the last stone.
        return (-1.0, 1.0) if state[1] == 0 else (1.0, -1.0)

    def observe(self, state):
        # A row for each heap, with as many ones as it has stones.
        return [[[float(n < stones)] for n in range(self.most)] for stones in state[0]]

    def render(self, state):
        return "\n".join(f"{heap}  {'o' * stones}" for heap, stones in enumerate(state[0]))

    def action_to_string(self, state, action):
        return f"{action // self.most}:{action % self.most + 1}"

    def solve(self, state):
        """The player to move has lost if the heaps, in binary, cancel each other (Bouton, 1901)."""
        legal = self.legal_actions(state)
        best = [action for action in legal if balanced(self.apply(state, action)[0])]
        return Solution(value=1.0 if best else -1.0, actions=best or legal)


def balanced(heaps):
    return functools.reduce(operator.xor, heaps) == 0
