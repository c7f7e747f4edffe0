"""Plain-Python games with planted mistakes: each kind of mistake in each method."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np

import selfplay

COUNTER = itertools.count()
State = list[int]


class Take(selfplay.PythonChanceGame[State]):
    """Take 1 or 2 of 7 counters, who takes the last wins; a die without effect is cast between.

    A state is [counters, player, ply, whether the die follows].
    """

    name = "take"
    num_actions = 2
    num_outcomes = 2
    max_plies = 7

    def initial_state(self, rng: random.Random) -> State:
        return [7, 0, 0, 0]

    def apply(self, state: State, action: int) -> State:
        return [state[0] - action - 1, 1 - state[1], state[2] + 1, 1]

    def is_chance(self, state: State) -> bool:
        return state[3] == 1

    def chance_probabilities(self, state: State) -> list[float]:
        return [0.5, 0.5]

    def resolve(self, state: State, outcome: int) -> State:
        return [*state[:3], 0]

    def legal_actions(self, state: State) -> Any:
        return [action for action in range(2) if action < state[0]]

    def current_player(self, state: State) -> int:
        return state[1]

    def is_terminal(self, state: State) -> bool:
        return state[0] == 0

    def returns(self, state: State) -> Any:
        if state[0]:
            return 0, 0
        return (-1, 1) if state[1] == 0 else (1, -1)

    def observe(self, state: State) -> Any:
        return [float(state[0] == count) for count in range(8)]

    def symmetries(self) -> Any:
        return [
            selfplay.Symmetry(
                name="dice",
                map_state=lambda state: self.mapped(state),
                permutation=[0, 1],
                outcome_permutation=[1, 0],
            )
        ]

    def mapped(self, state: State) -> State:
        return list(state)

    def auxiliary_targets(self, state: State, final_state: State) -> Any:
        return {"left": final_state[0] / 7}

    def exchange_players(self, state: State) -> State | None:
        return [state[0], 1 - state[1], *state[2:]]

    def render(self, state: State) -> str:
        return f"{state[0]} left, player {state[1]}"

    def action_to_string(self, state: State, action: int) -> str:
        return f"take{action + 1}"

    def string_to_action(self, state: State, text: str) -> int:
        return int(text[-1]) - 1

    def board(self, state: State) -> selfplay.BoardView | None:
        clicks: dict[tuple[int, ...], int] = {
            (action,): action for action in range(min(2, state[0]))
        }
        return selfplay.BoardView(kind="square", rows=1, columns=7, cells=[""] * 7, clicks=clicks)


def where(method: str, change: Callable[[Any, Any, State], Any], *, left: int = 3) -> type[Take]:
    """Returns the game with another answer of one method, once so few counters are left.

    Args:
        method: its name.
        change: given the game, the right answer and the state; returns the wrong answer.
        left: counters at which it is wrong.
    """
    right = getattr(Take, method)

    def changed(self: Take, *arguments: Any) -> Any:
        answer = right(self, *arguments)
        state = arguments[0] if method != "initial_state" else answer
        late = method == "initial_state" or state[0] <= left
        return change(self, answer, state) if late else answer

    return type("Planted", (Take,), {method: changed})


def fail(game: Take, answer: Any, state: State) -> Any:
    raise KeyError("piece")


def leave(game: Take, answer: Any, state: State) -> Any:
    raise SystemExit(3)


def recurse(game: Take, answer: Any, state: State) -> Any:
    return recurse(game, answer, state)


def hang(game: Take, answer: Any, state: State) -> Any:
    while True:
        try:
            state[0] += 0
        except Exception:  # such a loop must not swallow what ends it
            continue


def mutate(game: Take, answer: Any, state: State) -> Any:
    state[0] -= 1
    return answer


def vary(game: Take, answer: Any, state: State) -> Any:
    """Returns another answer of the same kind every time."""
    number = next(COUNTER) % 2
    return varied(answer, number)


def roll(game: Take, answer: Any, state: State) -> Any:
    return varied(answer, random.getrandbits(1))


def varied(answer: Any, number: int) -> Any:
    if isinstance(answer, bool):
        return bool(number)
    if isinstance(answer, int):
        return number
    if isinstance(answer, tuple):
        return (number, -number)
    if isinstance(answer, list) and len(answer) == 2:
        return [number, 1 - number] if isinstance(answer[0], float) else [number]
    if isinstance(answer, list) and len(answer) == 4:
        return [*answer[:2], answer[2], answer[3]] if number else [answer[0] + 1, *answer[1:]]
    return [float(number), *answer[1:]]


def constant(value: Any) -> Callable[[Any, Any, State], Any]:
    return lambda game, answer, state: value


METHODS = (
    "initial_state",
    "apply",
    "is_chance",
    "chance_probabilities",
    "resolve",
    "legal_actions",
    "current_player",
    "is_terminal",
    "returns",
    "observe",
)
OPTIONAL = ("mapped", "auxiliary_targets", "exchange_players")
TEXTS = ("render", "action_to_string", "string_to_action", "board")
_GIVEN_A_STATE = METHODS[1:]

KINDS: dict[str, tuple[str, ...]] = {
    "fail": (*METHODS, *OPTIONAL, *TEXTS),
    "leave": (*METHODS, *OPTIONAL),
    "recurse": (*METHODS, *OPTIONAL, *TEXTS),
    "hang": (*METHODS, *OPTIONAL, *TEXTS),
    "mutate": (*_GIVEN_A_STATE, "mapped", "exchange_players"),
    "vary": METHODS,
    "roll": METHODS,
}
"""What may go wrong in a method, a function below, and in which methods it is tried."""

WRONG: list[tuple[str, Any, str]] = [
    ("initial_state", None, "contract"),
    ("apply", None, "contract"),
    ("resolve", None, "contract"),
    ("exchange_players", None, "contract"),
    ("legal_actions", None, "legal-actions"),
    ("legal_actions", 1, "legal-actions"),
    ("legal_actions", "01", "legal-actions"),
    ("legal_actions", [], "no-legal-action"),
    ("legal_actions", [1, 1], "legal-actions"),
    ("legal_actions", [0, 2], "legal-actions"),
    ("legal_actions", [-1], "legal-actions"),
    ("legal_actions", [0.0, 1.0], "legal-actions"),
    ("legal_actions", [True, False], "legal-actions"),
    ("legal_actions", np.array([True, False]), "legal-actions"),
    ("legal_actions", np.array([0.0, 1.0]), "legal-actions"),
    ("legal_actions", np.zeros((1, 2), int), "legal-actions"),
    ("legal_actions", [None], "legal-actions"),
    ("current_player", None, "player"),
    ("current_player", 2, "player"),
    ("current_player", -1, "player"),
    ("current_player", 0.5, "player"),
    ("current_player", float("nan"), "player"),
    ("current_player", np.array([0, 1]), "player"),
    ("is_terminal", np.array([True, False]), "exception"),
    ("returns", None, "contract"),
    ("returns", 0.0, "contract"),
    ("returns", (0, 0, 0), "contract"),
    ("returns", "00", "contract"),
    ("returns", {0: 1, 1: -1}, "contract"),
    ("returns", {1, -1}, "contract"),
    ("returns", (1, 0), "returns"),
    ("returns", (3, -3), "returns"),
    ("returns", (float("nan"), float("nan")), "returns"),
    ("returns", (float("inf"), -float("inf")), "returns"),
    ("observe", None, "contract"),
    ("observe", "view", "contract"),
    ("observe", ["1", "0"], "contract"),
    ("observe", [[1.0], [1.0, 2.0]], "contract"),
    ("observe", [0.0] * 7, "contract"),
    ("observe", [None] * 8, "finite"),
    ("observe", [float("nan")] * 8, "finite"),
    ("observe", [1e300] * 8, "finite"),
    ("observe", [float("inf")] * 8, "finite"),
    ("chance_probabilities", None, "contract"),
    ("chance_probabilities", [1.0], "contract"),
    ("chance_probabilities", [0.5, 0.6], "chance"),
    ("chance_probabilities", [-0.5, 1.5], "chance"),
    ("chance_probabilities", [float("nan"), 1.0], "chance"),
    ("auxiliary_targets", None, "auxiliary"),
    ("auxiliary_targets", {"left": "all"}, "auxiliary"),
    ("auxiliary_targets", {"left": [2.0]}, "auxiliary"),
    ("auxiliary_targets", {"left": float("nan")}, "auxiliary"),
    ("auxiliary_targets", {"right": 0.0}, "auxiliary"),
    ("render", None, "render"),
    ("action_to_string", "two words", "text"),
    ("action_to_string", 1, "text"),
    ("action_to_string", "same", "text"),
    ("string_to_action", 5, "text"),
    ("board", "board", "board"),
]
"""Method, what it returns instead once few counters are left, and the rule it breaks."""

RIGHT: list[tuple[str, Callable[[Any, Any, State], Any]]] = [
    ("legal_actions", lambda game, answer, state: tuple(answer)),
    ("legal_actions", lambda game, answer, state: set(answer)),
    ("legal_actions", lambda game, answer, state: (action for action in answer)),
    ("legal_actions", lambda game, answer, state: range(len(answer))),
    ("legal_actions", lambda game, answer, state: np.array(answer)),
    ("legal_actions", lambda game, answer, state: answer[::-1]),
    ("current_player", lambda game, answer, state: np.int64(answer)),
    ("current_player", lambda game, answer, state: bool(answer)),
    ("is_terminal", lambda game, answer, state: np.bool_(answer)),
    ("returns", lambda game, answer, state: np.array(answer, np.float32)),
    ("observe", lambda game, answer, state: np.array(answer, np.int8)),
    ("observe", lambda game, answer, state: tuple(map(bool, answer))),
    ("chance_probabilities", lambda game, answer, state: np.array(answer)),
]
"""Other types of answers that are understood."""
