"""A mistake in a game written in plain Python, met inside a compiled program, is two lines."""

from pathlib import Path

from tests.cli.conftest import Invoke

GAME = """
from selfplay import PythonGame

class Fragile(PythonGame):
    name, num_actions, max_plies = "fragile", 2, 100

    def initial_state(self, rng):
        return 0

    def apply(self, state, action):
        return state + 1 + 0 // (70 - state)

    def legal_actions(self, state):
        return [0, 1]

    def current_player(self, state):
        return state % 2

    def is_terminal(self, state):
        return False

    def returns(self, state):
        return 0, 0

    def observe(self, state):
        return [state]
"""


def test_it_names_the_place_and_the_moves(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "fragile.py").write_text(GAME)
    result = invoke("arena", "random", "random", "--game", tmp_path / "fragile.py", "--matches", 2)
    assert result.exit_code == 1
    error, blank, hint = result.stderr.splitlines()[-3:]
    assert error.startswith("error: fragile: apply(state, ")
    assert error.endswith(
        " fails: ZeroDivisionError: integer division or modulo by zero (fragile.py, line 11)"
    )
    assert blank == ""
    assert hint.startswith("hint: after the moves ") and hint.endswith(" ...")
    assert "Traceback" not in result.stderr
