"""Plain-Python games: every kind of mistake in every method, under its rule, with the moves."""

import fcntl
import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selfplay.check.laws.table import LAWS
from selfplay.check.plain.time_limit import StillRunningError, TimeLimit
from tests.check.plain.plain import KINDS, RIGHT, TEXTS, WRONG

STARTS = [(0, number) for number in range(2)]
# Of 7 counters at most 3 are left after two moves of 2, and a die after each.
DEEP = 2


@pytest.fixture(scope="module")
def matrix(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> dict[str, list[dict[str, Any]]]:
    """What was found in every game of `broken/plain.py`, by its name.

    Found once for all processes of pytest-xdist: it takes most of a minute.
    """
    own = tmp_path_factory.getbasetemp()
    known = (own if worker_id == "master" else own.parent) / "plain_matrix.json"
    with known.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not known.exists():
            script = Path(__file__).parent / "plain_matrix.py"
            done = subprocess.run(
                [sys.executable, script], capture_output=True, text=True, check=False, timeout=600
            )
            assert done.returncode == 0, done.stderr
            known.write_text(done.stdout)
    told: dict[str, list[dict[str, Any]]] = json.loads(known.read_text())
    return told


Matrix = dict[str, list[dict[str, Any]]]


def single(matrix: Matrix, name: str) -> dict[str, Any]:
    assert len(matrix[name]) == 1, matrix[name]
    (fault,) = matrix[name]
    assert fault["rule"] in LAWS
    return fault


def test_the_game_is_sound_without_a_mistake(matrix: Matrix) -> None:
    assert matrix["sound"] == []


@pytest.mark.parametrize("number", range(len(RIGHT)))
def test_answers_of_other_types_are_understood(matrix: Matrix, number: int) -> None:
    assert matrix[f"right/{RIGHT[number][0]}/{number}"] == []


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_wrong_answer_is_found_under_its_rule(matrix: Matrix, number: int) -> None:
    method, _, rule = WRONG[number]
    fault = single(matrix, f"wrong/{method}/{number}")
    assert fault["rule"] == rule, fault
    if method not in ("initial_state", "auxiliary_targets", *TEXTS):
        assert len(fault["moves"]) in (DEEP, DEEP - 1), fault
        assert len(fault["moves_text"]) >= len(fault["moves"])
        assert fault["before"]


@pytest.mark.parametrize("method", KINDS["fail"])
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("fail", "KeyError: 'piece' (plain.py, line"),
        ("leave", "SystemExit: 3 (plain.py, line"),
        ("recurse", "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_an_exception_is_told_with_its_line(
    matrix: Matrix, kind: str, method: str, text: str
) -> None:
    if method not in KINDS[kind]:
        assert method in TEXTS  # one that ends the program ends it
        return
    fault = single(matrix, f"{kind}/{method}")
    texts = {"render": "render", "board": "board"}
    assert fault["rule"] == ("exception" if method not in TEXTS else texts.get(method, "text"))
    assert text in fault["message"]
    assert ("map_state" if method == "mapped" else method) in fault["message"]
    if method not in ("initial_state", "auxiliary_targets", *TEXTS):
        assert len(fault["moves"]) in (DEEP, DEEP - 1), fault


@pytest.mark.parametrize("method", KINDS["mutate"])
def test_a_method_that_changes_the_state_is_named(matrix: Matrix, method: str) -> None:
    faults = {fault["rule"]: fault for fault in matrix[f"mutate/{method}"]}
    assert "mutation" in faults, faults
    named = "map_state of 'dice'" if method == "mapped" else f"{method}(state"
    assert faults["mutation"]["message"].startswith(named), faults
    assert "changes the state it was given" in faults["mutation"]["message"]
    assert len(faults["mutation"]["moves"]) in (DEEP, DEEP - 1)


@pytest.mark.parametrize("kind", ["vary", "roll"])
@pytest.mark.parametrize("method", KINDS["vary"])
def test_what_is_not_a_function_of_its_arguments_is_random(
    matrix: Matrix, kind: str, method: str
) -> None:
    faults = {fault["rule"]: fault for fault in matrix[f"{kind}/{method}"]}
    assert "randomness" in faults, faults
    if kind == "vary":
        # A coin shows the same side twice now and then, and is met elsewhere first.
        assert method in faults["randomness"]["message"]
        assert len(faults["randomness"]["moves"]) <= DEEP + 2


@pytest.mark.parametrize("method", KINDS["hang"])
def test_a_call_that_does_not_return_is_ended(matrix: Matrix, method: str) -> None:
    fault = single(matrix, f"hang/{method}")
    assert "has not returned after 0.2 seconds" in fault["message"]
    texts = {"render": "render", "board": "board"}
    assert fault["rule"] == ("hangs" if method not in TEXTS else texts.get(method, "text"))


def test_a_position_kept_in_the_game_itself_is_found(matrix: Matrix) -> None:
    assert "randomness" in {fault["rule"] for fault in matrix["Kept"]}


@pytest.mark.parametrize("name", ["Endless", "Cycle"])
def test_an_endless_generator_is_no_endless_wait(matrix: Matrix, name: str) -> None:
    assert single(matrix, name)["rule"] == "legal-actions"


def test_a_mask_is_no_list_of_actions(matrix: Matrix) -> None:
    fault = single(matrix, "Mask")
    assert fault["rule"] == "legal-actions"
    assert "legal_actions is [1, 1, 1], but must list each action once" in fault["message"]
    assert "this is a mask" in fault["message"]


@pytest.mark.parametrize("name", ["num_actions", "max_plies"])
def test_sizes_are_looked_at_first(matrix: Matrix, name: str) -> None:
    fault = single(matrix, f"size/{name}")
    assert fault["rule"] == "contract"
    assert name in fault["message"]


def test_the_moves_are_few_where_only_random_matches_find_the_mistake(matrix: Matrix) -> None:
    fault = single(matrix, "Long")
    assert (fault["rule"], fault["moves"]) == ("returns", [1, 1, 1, 1, 1])


@pytest.mark.parametrize(
    ("name", "rule", "plies"),
    [
        ("ForTheMover", "value-sign", 5),
        ("OneSided", "observation-side", 1),
        ("ForgetsTheLastWinner", "value-sign", 5),
        ("CountingForTheMover", "value-sign", 5),
        ("CountingOneSided", "observation-side", 5),
    ],
)
def test_results_and_views_of_the_wrong_player_are_found(
    matrix: Matrix, name: str, rule: str, plies: int
) -> None:
    fault = single(matrix, name)
    assert (fault["rule"], len(fault["moves"])) == (rule, plies)


@pytest.mark.parametrize(
    "name", ["Noughts", "Exchanging", "Counting", "FromThePly", "SecondWinsTies"]
)
def test_sound_games_are_found_sound(matrix: Matrix, name: str) -> None:
    assert matrix[name] == []
    (exchange,) = matrix[f"exchange/{name}"]
    assert ("not played" in exchange["text"]) == (name in ("Counting", "FromThePly"))
    # Right for this game; only its author knows.
    assert len(matrix[f"warnings/{name}"]) == (name == "SecondWinsTies")


def test_a_hidden_card_gets_a_warning_with_both_positions(matrix: Matrix) -> None:
    warning = single(matrix, "HiddenCards")
    assert warning["rule"] == "look-alike"
    assert "the same move leads to another end or result" in warning["message"]
    assert warning["moves"] == warning["other"]["moves"]
    assert warning["before"] != warning["other"]["before"]


def test_the_time_limit_ends_a_loop_and_nothing_else() -> None:
    def loop() -> None:
        while True:
            pass

    with TimeLimit(cpu_seconds=0.3) as limit:
        for _ in range(2):
            with pytest.raises(StillRunningError):
                limit.run(lambda: limit.run(loop))
        answers = [limit.run(functools.partial(int, number)) for number in range(1000)]
        assert answers == [*range(1000)]
