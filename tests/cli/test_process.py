"""A command as a process: odd terminals, closed pipes, and a clean end."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import TINY

UNICODE_GAME = """
from selfplay.games.tic_tac_toe import TicTacToe


class Unicode(TicTacToe):
    name = "unicode"

    def render(self, state):
        return "\\u265f \\u5bfe\\u5c40\\n" + super().render(state)

    def action_to_string(self, state, action):
        return f"\\u2192{int(action)}"
"""


def run(*arguments: object, typed: bytes = b"", **environment: str) -> tuple[int, bytes, bytes]:
    """Returns exit code, output and errors of a command."""
    done = subprocess.run(
        [sys.executable, "-m", "selfplay", *map(str, arguments)],
        input=typed,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "encoding", [pytest.param("latin-1", marks=pytest.mark.slow), "ascii:strict"]
)
def test_a_terminal_without_the_characters_of_a_board(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "unicode_game.py"
    file.write_text(UNICODE_GAME, encoding="utf-8")
    # What is typed need not be of that encoding either.
    status, output, errors = run(
        *("play", file, "--opponent", "random", "--side", "0"),
        typed=b"moves\n\xff\xe2\x86\n#4\nquit\n",
        PYTHONIOENCODING=encoding,
    )
    assert (status, errors) == (0, b"")
    assert b"? ??\n" in output
    assert b"?0 (#0)" in output
    assert output.count(b"player 0, your move> ") == 4
    assert b"left after 2 plies, no result" in output


def test_errors_and_documents_without_utf8(tmp_path: Path) -> None:
    name = tmp_path / "gr\u00f6\u00dfe \u5bfe"
    status, output, errors = run("status", name, PYTHONIOENCODING="ascii")
    assert (status, output) == (1, b"")
    assert b"gr??e ? does not exist" in errors
    status, output, errors = run("health", name, "--json", PYTHONIOENCODING="utf-8")
    assert (status, errors) == (1, b"")
    assert output.isascii() and str(name) in json.loads(output)["text"]


def test_a_reader_that_has_seen_enough() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "from selfplay.cli.main import main; main()", "games"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait(timeout=60) == 1
        assert process.stderr.read() == b""


ENDS = """
import atexit, os, sys
from selfplay.cli import main
class Loud:
    def __del__(self):
        os.write(1, b"the interpreter was taken down\\n")
def last():
    print("what was registered is called")
loud = Loud()
show = main.say
def say(text):
    atexit.register(last)
    show(text)
main.say = say
sys.argv[1:] = ["--version"]
main.main()
"""


def test_the_interpreter_is_not_taken_down() -> None:
    """Threads of compiled code that wake up meanwhile would abort the process."""
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    version, called = done.stdout.splitlines()
    assert version.startswith("selfplay ")
    assert called == "what was registered is called"


def test_exit_codes_survive(tmp_path: Path) -> None:
    assert run("status", "--bogus")[0] == 2
    status, _, errors = run("--debug", "status", tmp_path / "nothing")
    assert status == 1
    assert errors.startswith(b"Traceback")


def newest(run_path: Path) -> int:
    names = [file.parent.name for file in run_path.glob("checkpoints/*/manifest.json")]
    return max((int(name) for name in names if name.isdecimal()), default=-1)


def read_until_trained(terminal: int, heartbeat: Path) -> None:
    """Reads what a trainer shows until it says that it has made updates.

    A terminal that nobody reads would block the writer before long.
    """
    deadline = time.monotonic() + 90
    while not (heartbeat.exists() and json.loads(heartbeat.read_text()).get("update")):
        assert time.monotonic() < deadline, heartbeat
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 65536)


OWN_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "selfplay", *sys.argv[1:]])
"""
"""Runs a command that hears when its terminal is closed, also where the tests run under nohup."""


def test_a_closed_terminal_saves(tmp_path: Path) -> None:
    """As when an ssh session ends: SIGHUP, and nothing more can be written to the terminal."""
    settings = ("--set", "trainer.checkpoint_seconds=3600", "--set", "evaluation.enabled=false")
    command = ("train", "tic_tac_toe", *TINY, *settings, "--run", str(tmp_path / "r"))
    terminal, other_end = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", OWN_TERMINAL, *command],
        start_new_session=True,
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
    ) as process:
        os.close(other_end)
        try:
            # What it compiles before comes to an end first, which may take long on a busy machine.
            read_until_trained(terminal, tmp_path / "r" / "heartbeats" / "trainer-loop.json")
            before = newest(tmp_path / "r")
            os.close(terminal)
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()
    assert newest(tmp_path / "r") > before
    assert not list((tmp_path / "r" / "heartbeats").iterdir())


def test_under_nohup_a_closed_terminal_changes_nothing(trained: Path, tmp_path: Path) -> None:
    command = ("worker", "--run", str(trained), "--dry-run", "--jitter", "0", "--max-matches", "40")
    ignoring = ("sh", "-c", "trap '' HUP; exec \"$@\"", "sh")
    with subprocess.Popen(
        [*ignoring, sys.executable, "-m", "selfplay", *command, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        while "plays for" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGHUP)
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 0
    assert json.loads(output)["matches"] >= 40
