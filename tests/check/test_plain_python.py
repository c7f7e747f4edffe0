"""Plain-Python games: every kind of mistake in every method, under its rule, with the moves."""

import itertools
import random
from typing import Any

import numpy as np
import pytest

import selfplay
from selfplay.adapters import failures
from selfplay.check import plain_play, plain_sides
from selfplay.check import plain_report as plain_report_module
from selfplay.check.faults import RULES, Fault
from selfplay.check.plain_report import PlainReport, plain_report
from selfplay.check.plain_words import WORDS
from selfplay.check.watch import StillRunningError, Watch
from tests.check.broken import plain
from tests.check.broken.plain import METHODS, OPTIONAL, RIGHT, TEXTS, WRONG, Take, where

STARTS = [(0, number) for number in range(2)]
# Of 7 counters at most 3 are left after two moves of 2, and a die after each.
DEEP = 2


@pytest.fixture
def few_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the mistake counts, and not what thousands of matches say of the results."""
    monkeypatch.setattr(plain_report_module, "_READ_MATCHES", 16)
    monkeypatch.setattr(plain_report_module, "_FEWEST_READ", 16)
    monkeypatch.setattr(plain_sides, "_IMAGES", 16)
    monkeypatch.setattr(plain_play, "_BREADTH_FIRST_MOVES", 48)


def look(game: selfplay.PythonGame[Any], *, cpu_seconds: float = 10.0) -> PlainReport:
    found = plain_report(game, STARTS, seed=0, say=lambda text: None, cpu_seconds=cpu_seconds)
    assert failures.take() is None
    return found


def only(report: PlainReport) -> Fault:
    assert len(report.faults) == 1, [fault.to_text() for fault in report.faults]
    (fault,) = report.faults
    assert fault.law and fault.advice
    return fault


@pytest.mark.usefixtures("few_readings")
def test_the_game_is_sound_without_a_mistake() -> None:
    report = look(Take())
    assert not report.faults, [fault.to_text() for fault in report.faults]
    assert not report.warnings


@pytest.mark.usefixtures("few_readings")
@pytest.mark.parametrize(("method", "change"), RIGHT)
def test_answers_of_other_types_are_understood(method: str, change: Any) -> None:
    report = look(where(method, change)())
    assert not report.faults, [fault.to_text() for fault in report.faults]


@pytest.mark.usefixtures("few_readings")
@pytest.mark.parametrize(("method", "answer", "rule"), WRONG)
def test_a_wrong_answer_is_found_under_its_rule(method: str, answer: Any, rule: str) -> None:
    fault = only(look(where(method, plain.constant(answer))()))
    assert fault.rule == rule
    assert fault.rule in {*RULES, *WORDS}
    if method not in ("initial_state", "auxiliary_targets", *TEXTS):
        assert len(fault.moves) == DEEP, fault
        assert fault.moves_text == tuple(
            text for text in fault.moves_text if text.startswith(("take", "roll:"))
        )
        assert fault.before


@pytest.mark.usefixtures("few_readings")
@pytest.mark.parametrize("method", [*METHODS, *OPTIONAL, *TEXTS])
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (plain.fail, "KeyError: 'piece' (plain.py, line"),
        (plain.leave, "SystemExit: 3 (plain.py, line"),
        (plain.recurse, "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_an_exception_is_told_with_its_line(method: str, change: Any, text: str) -> None:
    if change is plain.leave and method in TEXTS:
        pytest.skip("a text that ends the program ends it")
    fault = only(look(where(method, change)()))
    texts = {"render": "render", "board": "board"}
    assert fault.rule == ("exception" if method not in TEXTS else texts.get(method, "text"))
    assert text in fault.message
    assert "map_state" in fault.message if method == "mapped" else method in fault.message
    if method not in ("initial_state", "auxiliary_targets", *TEXTS):
        assert len(fault.moves) in (DEEP, DEEP - 1), fault


@pytest.mark.usefixtures("few_readings")
@pytest.mark.parametrize("method", [*METHODS, "mapped", "exchange_players"])
def test_a_method_that_changes_the_state_is_named(method: str) -> None:
    if method == "initial_state":
        return  # it is given no state
    fault = only(look(where(method, plain.mutate)()))
    assert fault.rule == "mutation"
    named = "map_state of 'dice'" if method == "mapped" else f"{method}(state"
    assert fault.message.startswith(named), fault.message
    assert "changes the state it was given" in fault.message
    assert len(fault.moves) == DEEP


@pytest.mark.usefixtures("few_readings")
@pytest.mark.parametrize("change", [plain.vary, plain.roll])
@pytest.mark.parametrize("method", [name for name in METHODS if name != "is_chance"])
def test_what_is_not_a_function_of_its_arguments_is_random(method: str, change: Any) -> None:
    random.seed(0)
    faults = {fault.rule: fault for fault in look(where(method, change)()).faults}
    assert "randomness" in faults, faults
    assert method in faults["randomness"].message
    assert len(faults["randomness"].moves) <= DEEP + 1


def test_a_position_kept_in_the_game_itself_is_found() -> None:
    class Kept(Take):
        left = 7

        def apply(self, state: list[int], action: int) -> list[int]:
            self.left = self.left - action - 1 if state[2] else 7 - action - 1
            return [max(0, self.left), 1 - state[1], state[2] + 1, 1]

    rules = {fault.rule for fault in look(Kept()).faults}
    assert "randomness" in rules


@pytest.mark.usefixtures("few_readings")
@pytest.mark.parametrize("method", ["apply", "observe", "legal_actions", "render"])
def test_a_call_that_does_not_return_is_ended(method: str) -> None:
    fault = only(look(where(method, plain.hang)(), cpu_seconds=0.5))
    assert "has not returned after 0.5 seconds" in fault.message
    assert fault.rule == ("hangs" if method != "render" else "render")


def test_an_endless_generator_is_no_endless_wait() -> None:
    fault = only(look(where("legal_actions", lambda *_: itertools.count())()))
    assert fault.rule == "legal-actions"
    endless = where("legal_actions", lambda game, answer, state: itertools.cycle([0]))
    assert "must list each action once" in only(look(endless())).message


def test_a_mask_is_no_list_of_actions() -> None:
    class Mask(Take):
        num_actions = 3

        def legal_actions(self, state: list[int]) -> list[int]:
            return [int(action < state[0]) for action in range(3)]

    fault = only(look(Mask()))
    assert fault.rule == "legal-actions"
    assert "legal_actions is [1, 1, 1], but must list each action once" in fault.message
    assert "this is a mask" in fault.message


@pytest.mark.parametrize(
    ("name", "value"), [("num_actions", "two"), ("num_actions", 1), ("max_plies", None)]
)
def test_sizes_are_looked_at_first(name: str, value: Any) -> None:
    fault = only(look(type("Odd", (Take,), {name: value})()))
    assert fault.rule == "contract"
    assert name in fault.message


def test_the_moves_are_as_few_as_can_be_where_only_random_matches_find_the_mistake() -> None:
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

    fault = only(look(Long()))
    assert fault.rule == "returns"
    assert fault.moves == (1, 1, 1, 1, 1)


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


@pytest.mark.parametrize(
    ("game", "rule", "plies"),
    [
        (ForTheMover, "value-sign", 5),
        (OneSided, "observation-side", 1),
        (ForgetsTheLastWinner, "value-sign", 6),
        (CountingForTheMover, "value-sign", 5),
        (CountingOneSided, "observation-side", 5),
    ],
)
def test_results_and_views_of_the_wrong_player_are_found(
    game: type[Noughts], rule: str, plies: int
) -> None:
    fault = only(look(game()))
    assert fault.rule == rule
    assert len(fault.moves) == plies


@pytest.mark.parametrize("game", [Noughts, Exchanging, Counting, FromThePly, SecondWinsTies])
def test_sound_games_are_found_sound(game: type[Noughts]) -> None:
    report = look(game())
    assert not report.faults, [fault.to_text() for fault in report.faults]
    played = "not played" not in report.measures["exchange"]
    assert played == (game not in (Counting, FromThePly))
    # Right for this game; only its author knows.
    assert len(report.warnings) == (game is SecondWinsTies)


def test_the_watch_ends_a_loop_and_nothing_else() -> None:
    def loop() -> None:
        while True:
            pass

    with Watch(cpu_seconds=0.3) as watch:
        for _ in range(2):
            with pytest.raises(StillRunningError):
                watch.run(lambda: watch.run(loop))
        assert [watch.run(lambda number=number: number) for number in range(1000)] == [*range(1000)]
