"""Engines on the command line: selfplay arena, selfplay play, errors, Ctrl-C."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Invoke = Callable[..., Any]
STUB = Path(__file__).parents[1] / "arena" / "stub_engine.py"


def stub(protocol: str, *arguments: str) -> str:
    return " ".join([f"{protocol}:{sys.executable} {STUB} {protocol}", *arguments])


@pytest.mark.parametrize("protocol", ["gtp", "uci"])
def test_an_engine_joins_an_arena(invoke: Invoke, protocol: str) -> None:
    command = ("arena", stub(protocol), "random", "--game", "tic_tac_toe", "--matches", 4)
    result = invoke(*command, "--engines", 2, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["agents"] == [stub(protocol), "random"]
    assert document["matches"] == 4 and document["resigned"] == 0


def test_resigned_matches_are_shown(invoke: Invoke) -> None:
    command = ("arena", stub("gtp", "--script 'resign resign'"), "random", "--game", "tic_tac_toe")
    text = invoke(*command, "--matches", 2, "--opening-plies", 0).stdout
    assert "0 won, 0 drawn, 2 lost" in text and "2 matches were given up" in text


def test_a_fault_of_an_engine_is_two_lines(invoke: Invoke) -> None:
    command = ("arena", stub("gtp", "--fault dies"), "random", "--game", "tic_tac_toe")
    result = invoke(*command, "--matches", 2, "--opening-plies", 0)
    assert (result.exit_code, result.stdout) == (1, "")
    message, hint = result.stderr.split("\n\n")
    assert message.startswith(f"error: {stub('gtp', '--fault dies')} ended with exit code 3 when")
    assert hint == "hint: its last words: thinking hard | out of memory\n"


def test_engines_where_they_cannot_be(invoke: Invoke) -> None:
    result = invoke("arena", stub("gtp"), "random")
    assert result.exit_code == 2 and "no run is named, so the game of gtp:" in result.stderr
    result = invoke("analyze", stub("gtp"), "--game", "tic_tac_toe")
    assert result.exit_code == 2 and "an engine can neither analyse nor" in result.stderr
    result = invoke(
        *("train", "tic_tac_toe", "--set", f"evaluation.opponents={stub('gtp')}"),
    )
    assert result.exit_code == 2 and "nor stand in settings" in result.stderr
    play = ("play", "tic_tac_toe", "--opponent", stub("gtp"))
    result = invoke(*play, "--simulations", 8)
    assert result.exit_code == 2 and "--simulations is 8, but gtp:" in result.stderr


def test_a_person_plays_an_engine(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    command = ("play", "tic_tac_toe", "--opponent", stub("uci", "--script 'b2 a3 resign'"))
    result = invoke(*command, "--side", 1, "--json", input="a3\n")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["ending"], document["actions"]) == ("resigned", [4, 0])
    assert document["returns"] == [-1.0, 1.0]


def test_ctrl_c_ends_the_engine(
    start: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    text = stub("gtp", f"--fault silent --log {log}")
    command = ("arena", text, "random", "--game", "tic_tac_toe", "--opening-plies", 0)
    process = start(*command, "--matches", 2)
    deadline = time.monotonic() + 300
    while not log.exists() or "genmove black" not in log.read_text():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    *progress, last = errors.splitlines()
    assert last == "error: interrupted"
    # As long as nothing comes of it, a line every ten seconds says so.
    assert all(re.fullmatch(r"(getting|0 of 2 matches) .*, \d+ s", line) for line in progress)
    engine = int(log.read_text().split(maxsplit=1)[0])
    with pytest.raises(ProcessLookupError):
        os.kill(engine, 0)
