"""Plain-Python games of which the whole match shows what is wrong: whose result, whose side."""

import itertools
import random
from typing import Any

import numpy as np
from plain import Take, where

import selfplay

LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))
Cells = tuple[tuple[int, ...], int]


class Noughts(selfplay.PythonGame[Cells]):
    """Tic-tac-toe; a state is the cells and who is to move."""

    name = "noughts"
    num_actions = 9
    max_plies = 9

    def initial_state(self, rng: random.Random) -> Cells:
        return (-1,) * 9, 0

    def apply(self, state: Cells, action: int) -> Cells:
        cells = list(state[0])
        cells[action] = state[1]
        return tuple(cells), 1 - state[1]

    def legal_actions(self, state: Cells) -> list[int]:
        return [cell for cell, value in enumerate(state[0]) if value < 0]

    def current_player(self, state: Cells) -> int:
        return state[1]

    def won(self, state: Cells, player: int) -> bool:
        return any(all(state[0][cell] == player for cell in line) for line in LINES)

    def is_terminal(self, state: Cells) -> bool:
        return self.won(state, 0) or self.won(state, 1) or -1 not in state[0]

    def returns(self, state: Cells) -> tuple[float, float]:
        return (1, -1) if self.won(state, 0) else (-1, 1) if self.won(state, 1) else (0, 0)

    def observe(self, state: Cells) -> Any:
        return self.seen(state, state[1])

    def seen(self, state: Cells, first: int) -> Any:
        return np.array([[cell == first, cell == 1 - first] for cell in state[0]]).reshape(3, 3, 2)


class ForTheMover(Noughts):
    def returns(self, state: Cells) -> tuple[float, float]:
        first, second = super().returns(state)
        return (first, second) if state[1] == 0 else (second, first)


class OneSided(Noughts):
    def observe(self, state: Cells) -> Any:
        return self.seen(state, 0)


class Exchanging(Noughts):
    def exchange_players(self, state: Cells) -> Cells:
        return tuple(cell if cell < 0 else 1 - cell for cell in state[0]), 1 - state[1]


class ForgetsTheLastWinner(Exchanging):
    """Fault: wins of player 1 on the diagonals are those of player 0."""

    def returns(self, state: Cells) -> tuple[float, float]:
        diagonal = any(all(state[0][cell] == 1 for cell in line) for line in LINES[-2:])
        return (1, -1) if diagonal else super().returns(state)


class Counting(Noughts):
    """The mover follows from the number of stones: no part of the state says it."""

    def current_player(self, state: Cells) -> int:
        return sum(cell >= 0 for cell in state[0]) % 2

    def initial_state(self, rng: random.Random) -> Cells:
        return (-1,) * 9, 2

    def apply(self, state: Cells, action: int) -> Cells:
        cells = list(state[0])
        cells[action] = self.current_player(state)
        return tuple(cells), 2

    def observe(self, state: Cells) -> Any:
        return self.seen(state, self.current_player(state))


class CountingForTheMover(Counting):
    def returns(self, state: Cells) -> tuple[float, float]:
        first, second = super().returns(state)
        return (first, second) if self.current_player(state) == 0 else (second, first)


class CountingOneSided(Counting):
    def observe(self, state: Cells) -> Any:
        return self.seen(state, 0)


class FromThePly(Noughts):
    """Sound: `player` only repeats the parity of the ply, which is stored too."""

    def initial_state(self, rng: random.Random) -> Any:
        return (-1,) * 9, 0, 0

    def apply(self, state: Any, action: int) -> Any:
        cells, _ = super().apply(state[:2], action)
        return cells, (state[2] + 1) % 2, state[2] + 1


class SecondWinsTies(Noughts):
    """Sound and not symmetric: a full board is a win for player 1."""

    def returns(self, state: Cells) -> tuple[float, float]:
        return (-1, 1) if super().returns(state) == (0, 0) and -1 not in state[0] else (
            super().returns(state)
        )  # fmt: skip


class HiddenCards(selfplay.PythonGame[tuple[int, int, tuple[int, ...]]]):
    """Sound: bet or not, call or not, on cards of which each player sees one."""

    name = "hidden_cards"
    num_actions = 2
    max_plies = 2

    def initial_state(self, rng: random.Random) -> Any:
        first, second = rng.sample(range(3), 2)
        return first, second, ()

    def apply(self, state: Any, action: int) -> Any:
        return state[0], state[1], (*state[2], action)

    def legal_actions(self, state: Any) -> list[int]:
        return [0, 1]

    def current_player(self, state: Any) -> int:
        return len(state[2]) % 2

    def is_terminal(self, state: Any) -> bool:
        return len(state[2]) == 2

    def returns(self, state: Any) -> tuple[float, float]:
        if not self.is_terminal(state):
            return 0, 0
        if state[2] == (1, 1):
            return (1, -1) if state[0] > state[1] else (-1, 1)
        return (0.5, -0.5) if state[2][0] else (-0.5, 0.5)

    def observe(self, state: Any) -> list[float]:
        if self.is_terminal(state):
            raise LookupError("nobody is to move: observe is never asked here")
        card = state[len(state[2])]
        return [card == 0, card == 1, card == 2, len(state[2]), sum(state[2])]


class Kept(Take):
    left = 7

    def apply(self, state: list[int], action: int) -> list[int]:
        self.left = self.left - action - 1 if state[2] else 7 - action - 1
        return [max(0, self.left), 1 - state[1], state[2] + 1, 1]


class Mask(Take):
    num_actions = 3

    def legal_actions(self, state: list[int]) -> list[int]:
        return [int(action < state[0]) for action in range(3)]


class Long(selfplay.PythonGame[tuple[int, ...]]):
    """40 plies; wrong once action 1 was played three times."""

    name = "long"
    num_actions = 8
    max_plies = 40

    def initial_state(self, rng: random.Random) -> tuple[int, ...]:
        return ()

    def apply(self, state: tuple[int, ...], action: int) -> tuple[int, ...]:
        return (*state, action)

    def legal_actions(self, state: tuple[int, ...]) -> list[int]:
        return list(range(8))

    def current_player(self, state: tuple[int, ...]) -> int:
        return len(state) % 2

    def is_terminal(self, state: tuple[int, ...]) -> bool:
        return len(state) >= 40

    def returns(self, state: tuple[int, ...]) -> tuple[float, float]:
        return (3, -3) if state.count(1) >= 5 else (0, 0)

    def observe(self, state: tuple[int, ...]) -> list[float]:
        return [len(state) / 40, state.count(1) / 40]


Endless = where("legal_actions", lambda game, answer, state: itertools.count())
Cycle = where("legal_actions", lambda game, answer, state: itertools.cycle([0]))

READ = (
    Noughts,
    ForTheMover,
    OneSided,
    Exchanging,
    ForgetsTheLastWinner,
    Counting,
    CountingForTheMover,
    CountingOneSided,
    FromThePly,
    SecondWinsTies,
)
"""Games that are judged by thousands of random matches."""
