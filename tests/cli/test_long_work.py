"""Commands that compute for long: a sign of life, and Ctrl-C ends them within two seconds."""

import io
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from selfplay.cli import live_line
from selfplay.cli.leaving import Interruptible
from selfplay.cli.live_line import LiveLine

Start = Callable[..., subprocess.Popen[str]]

SLOW = '''
"""Ten plies, each of which takes compiled code long; whoever makes the last one wins."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32

from selfplay import Game, pytree


@pytree
class State:
    ply: Int32[Array, ""]
    number: Float32[Array, ""]


class Slow(Game[State]):
    name = "slow"
    num_actions = 2
    max_plies = 10

    def __init__(self, rounds=3_000_000):
        self.rounds = rounds

    def init(self, key):
        return State(ply=jnp.int32(0), number=jnp.float32(0.5))

    def step(self, state, action):
        number = jax.lax.fori_loop(0, self.rounds, lambda _, x: jnp.cos(x), state.number)
        return State(ply=state.ply + 1, number=number)

    def current_player(self, state):
        return state.ply % 2

    def legal_action_mask(self, state):
        # Never false, but the rules cannot be left out as long as it depends on them.
        return jnp.full(2, state.number > -2)

    def is_terminal(self, state):
        return state.ply >= 10

    def returns(self, state):
        return jnp.array([-1.0, 1.0]) * jnp.where(state.number > -2, 1, 0)

    def observe(self, state):
        return jnp.full(4, state.ply / 10)
'''


@pytest.fixture
def slow_game(tmp_path: Path) -> str:
    file = tmp_path / "slow.py"
    file.write_text(SLOW)
    return f"{file}:Slow"


SOON = 20.0
"""Seconds in which a process ends after Ctrl-C on a busy machine; a search takes minutes."""


def interrupted(process: "subprocess.Popen[str]") -> float:
    """Sends Ctrl-C and returns how many seconds the process took to end."""
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    return time.monotonic() - begin


def test_arena_counts_plies_and_hears_ctrl_c_in_the_middle_of_a_search(
    start: Start, slow_game: str
) -> None:
    process = start("arena", "random", "mcts:1000", "--game", slow_game, "--matches", 2)
    assert process.stderr is not None
    line = process.stderr.readline()
    while " plies played" not in line:
        assert re.fullmatch(r"getting ready, \d+ s\n", line)
        line = process.stderr.readline()
    # The first search takes minutes; nothing has come of it.
    assert re.fullmatch(r"0 of 2 matches finished, \d plies played, \d+ s\n", line)
    assert interrupted(process) < SOON
    assert process.returncode == 130
    rest = process.stderr.read().splitlines()
    assert rest[-1] == "error: interrupted"
    assert all("plies played" in line for line in rest[:-1])


@pytest.mark.parametrize(
    "command",
    [
        "analyze",
        pytest.param("play", marks=pytest.mark.slow),
        pytest.param("bench", marks=pytest.mark.slow),
    ],
)
def test_other_commands_hear_ctrl_c_while_compiled_code_runs(
    start: Start, slow_game: str, command: str
) -> None:
    arguments = {
        "analyze": ("mcts:1000", "--game", slow_game),
        "play": (slow_game, "--side", "1", "--opponent", "mcts:1000"),
        "bench": (slow_game, "--preset", "quick"),
    }
    process = start(command, *arguments[command])
    stream = process.stdout if command == "play" else process.stderr
    assert stream is not None
    # "play" shows the board first, the others say what they do.
    assert stream.readline()
    time.sleep(2)
    assert interrupted(process) < SOON
    assert process.returncode == 130


@pytest.mark.slow
def test_train_shows_an_evaluation_and_breaks_it_off_in_the_middle_of_a_search(
    start: Start, slow_game: str, tmp_path: Path
) -> None:
    settings = {
        "search.num_simulations": 2,
        "rollout.matches_per_device": 1,
        "replay.first_positions": 16,
        "evaluation.opponents": "mcts:1000000",
        "evaluation.first_seconds": 0,
        "evaluation.share": 1,
        "evaluation.matches": 2,
        "evaluation.simulations": 2,
    }
    process = start(
        *("train", slow_game, "--option", "rounds=20000", "--preset", "quick"),
        *("--run", tmp_path / "run"),
        *(word for name, value in settings.items() for word in ("--set", f"{name}={value}")),
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    while "evaluating: against mcts:1000000, 0 of 2 matches finished" not in line:
        assert line, process.communicate()
        line = process.stdout.readline()
    # It saves first.
    assert interrupted(process) < SOON
    output, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert "strength  not measured in this time" in output
    assert "saved     checkpoint" in output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_live_line_changes_in_place_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr(live_line, "_TERMINAL_SECONDS", 0.01)
    monkeypatch.setenv("COLUMNS", "20")
    with LiveLine("getting ready") as line:
        wait_until(lambda: "getting ready, " in terminal.getvalue())
        line.show("1 of 2 matches finished, 5 plies played")
        wait_until(lambda: "1 of 2" in terminal.getvalue())
    text = terminal.getvalue()
    assert "\n" not in text and text.endswith("\r\x1b[K")
    assert max(len(part) for part in text.split("\r\x1b[K")) == 19  # of 20 columns


def test_a_live_line_is_lines_elsewhere_and_survives_a_closed_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(live_line, "LINE_SECONDS", 0.01)
    with LiveLine("thinking"):
        wait_until(lambda: stream.getvalue().count("\n") >= 2)
    assert all(re.fullmatch(r"thinking, \d+ s", line) for line in stream.getvalue().splitlines())
    stream.close()
    with LiveLine("thinking"):
        time.sleep(0.05)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_interruption_is_said_once_whoever_is_first() -> None:
    with Interruptible() as watch:
        assert [watch.may_tell() for _ in range(3)] == [True, False, False]
