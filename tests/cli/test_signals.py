"""Ctrl-C and SIGTERM in a process of its own: it saves, says how to go on, and goes on."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import TINY

Start = Callable[..., subprocess.Popen[str]]


def wait_for(process: subprocess.Popen[str], text: str) -> str:
    """Reads the process's output up to a line with `text`."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if text in line:
            return read
    raise AssertionError(f"{text!r} did not come: {read}{process.communicate()[1]}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_saves_and_the_same_command_goes_on(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    command = ("train", "tic_tac_toe", *TINY, "--run", "my run", "--minutes", 30)
    process = start(*command, cwd=tmp_path)
    wait_for(process, "| update ")
    if number == signal.SIGINT:
        status = start("status", "my run", "--json", cwd=tmp_path)
        document = json.loads(status.communicate(timeout=60)[0])
        assert [(p["role"], p["alive"]) for p in document["processes"]] == [("trainer", True)]
        assert document["problems"] == []
    process.send_signal(number)
    asked = time.monotonic()
    output, errors = process.communicate(timeout=60)
    # What Kubernetes gives a process that nobody says anything of.
    assert time.monotonic() - asked < 30
    assert (process.returncode, errors) == (0, "")
    assert "stopping: saves after the current step" in output
    assert "go on with:\n" in output
    assert (
        f" -m selfplay train tic_tac_toe {' '.join(TINY)} --run 'my run' --minutes 30\n" in output
    )
    (saved,) = [line.split()[2] for line in output.splitlines() if line.startswith("saved")]
    assert (tmp_path / "my run" / "checkpoints" / saved).is_dir()
    if number == signal.SIGTERM:
        # What is saved is the same after both signals: to go on from it once is enough.
        return
    resumed = start(*command, cwd=tmp_path)
    assert f"goes on from checkpoint {saved}, " in wait_for(resumed, "compiling")


def test_the_second_ctrl_c_leaves_at_once(start: Start, tmp_path: Path) -> None:
    # Hundreds of updates come in a row, and the first evaluation right after them.
    process = start("train", "tic_tac_toe", *TINY, "--run", tmp_path / "r")
    wait_for(process, "compiling")
    # The trainer is made a moment later; it then compiles for seconds, which no handler interrupts.
    wait_for_file(tmp_path / "r" / "checkpoints" / "0")
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - begin < 15
    assert process.communicate()[1] == (
        "error: interrupted\n\nhint: the newest checkpoint stays as it is\n"
    )


def wait_for_file(path: Path) -> None:
    """Waits until there is something at `path`."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_before_anything_has_begun(start: Start, tmp_path: Path) -> None:
    process = start("train", "tic_tac_toe", *TINY, "--run", tmp_path / "r")
    wait_for(process, "run ")
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    assert process.returncode in (0, 130)


CUT_OFF = """
import sys, threading
from selfplay.cli.signals import StopSignals
from selfplay.errors import StorageError

def last_act():
    print("last act", file=sys.stderr, flush=True)
    if sys.argv[1] == "lost":
        raise StorageError("3 files are lost", hint="see the store")

with StopSignals(does="stores", grace_seconds=0.2) as signals:
    signals.ready(lambda: None, lambda text: print(text, file=sys.stderr, flush=True), last_act)
    print("ready", flush=True)
    threading.Event().wait(60)
"""


@pytest.mark.parametrize(("outcome", "status"), [("kept", 0), ("lost", 1)])
def test_who_has_had_its_time_does_its_last_act_and_says_how_it_went(
    outcome: str, status: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CUT_OFF, outcome],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(process, "ready")
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == status
    assert "last act" in errors
    assert ("error: 3 files are lost; see the store" in errors) == (outcome == "lost")
