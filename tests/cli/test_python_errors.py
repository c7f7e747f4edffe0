"""A mistake in a game written in plain Python, met inside a compiled program, is two lines."""

import subprocess
from collections.abc import Callable
from pathlib import Path

DEADLINE = 900
"""Seconds for a process that takes a few, on a machine busy with other things."""

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


def test_it_names_the_place_and_the_moves(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    (tmp_path / "fragile.py").write_text(GAME)
    # In a process of its own: JAX has a last word when a process ends.
    process = start(
        *("arena", "random", "random", "--game", "fragile.py", "--matches", "2"), cwd=tmp_path
    )
    _, stderr = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    error, blank, hint = stderr.splitlines()[-3:]
    assert error.startswith("error: fragile: apply(state, ")
    assert error.endswith(
        " fails: ZeroDivisionError: integer division or modulo by zero (fragile.py, line 11)"
    )
    assert blank == ""
    assert hint.startswith("hint: after the moves ") and hint.endswith(" ...")
    assert "Traceback" not in stderr
