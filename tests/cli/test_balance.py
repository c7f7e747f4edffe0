"""selfplay balance, as a person types it."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from selfplay.registry import GameSpec
from selfplay.run import RunDirectory
from selfplay.settings import Config
from tests.cli.conftest import Invoke


def test_the_bare_command_reads_and_plays_nothing(invoke: Invoke, own_run: Path) -> None:
    before = sorted(own_run.rglob("*"))
    result = invoke("balance", own_run)
    assert result.exit_code == 0, result.stderr
    for word in ("first", "draws", "length", "branching", "decided", "diversity"):
        assert f"\n{word} " in result.stdout
    assert "The player who makes the first move scores" in result.stdout
    assert f"selfplay balance {own_run} --matches 64" in result.stdout
    new = sorted(set(own_run.rglob("*")) - set(before))
    assert [str(path.relative_to(own_run)) for path in new] == ["balance", "balance/report.json"]
    document = json.loads(invoke("balance", own_run, "--json").stdout)
    assert document["game"] == "tic_tac_toe"
    assert {sample["source"] for sample in document["samples"]} == {"self-play"}


def test_it_plays_at_several_strengths_and_keeps_the_matches(
    invoke: Invoke, own_run: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    asked = ("--matches", 4, "--simulations", "0,2", "--json")
    first = invoke("balance", own_run, *asked, "--output", page)
    assert first.exit_code == 0, first.stderr
    document = json.loads(first.stdout)
    own = [one for one in document["samples"] if one["source"] == "played for this report"]
    assert [(one["simulations"], one["matches"]) for one in own] == [(0, 4), (2, 4)]
    assert all(one["last_checkpoint"] == 8 for one in own)
    assert all("without noise" in one["how"] for one in own)
    pairs = [one for one in document["skill"] if one["stronger"] == "2 simulations"]
    assert [(one["weaker"], one["matches"]) for one in pairs] == [("0 simulations", 4)]
    assert page.read_text().startswith("<!doctype html>")
    # What is there is not played again, and counts from now on without being asked for.
    files = {path: path.stat().st_mtime_ns for path in (own_run / "balance").rglob("*-*")}
    again = invoke("balance", own_run, *asked)
    assert {path: path.stat().st_mtime_ns for path in (own_run / "balance").rglob("*-*")} == files
    assert len(files) == 3
    bare = json.loads(invoke("balance", own_run, "--json").stdout)
    assert json.loads(again.stdout)["samples"] == document["samples"] == bare["samples"]


def test_two_runs_are_compared(invoke: Invoke, own_run: Path, tmp_path: Path) -> None:
    other = shutil.copytree(own_run, tmp_path / "other")
    result = invoke("balance", own_run, other, "--output", tmp_path / "both.html")
    assert result.exit_code == 0, result.stderr
    assert "more than chance" in result.stdout
    assert "both runs have the same rules" in result.stdout
    document = json.loads(invoke("balance", f"{own_run}@4", other, "--json").stdout)
    assert [one["update"] for one in document["reports"]] == [4, None]
    assert not any(row["exceeds"] for row in document["differences"] if row["measure"] == "cut")


def test_a_run_without_matches(invoke: Invoke, own_run: Path) -> None:
    shutil.rmtree(own_run / "matches")
    result = invoke("balance", own_run)
    assert result.exit_code == 1
    error, _, hint = result.stderr.strip().splitlines()[-3:]
    assert error == f"error: {own_run} has no finished matches"
    assert hint.startswith("hint: train it, or let it play: selfplay balance ")


def test_a_checkpoint_that_is_gone(invoke: Invoke, own_run: Path) -> None:
    shutil.rmtree(own_run / "checkpoints" / "4")
    result = invoke("balance", f"{own_run}@4")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"error: {own_run} has no checkpoint 4\n\nhint: complete")


def test_runs_of_different_games(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    spec = GameSpec("hex", {"size": 3})
    other = RunDirectory.create(tmp_path / "other", spec, spec.make(), Config())
    result = invoke("balance", trained, other.url, "--matches", 4)
    assert result.exit_code == 2
    assert result.stderr.startswith(
        f"error: {trained} is of tic_tac_toe, but {other.url} of hex\n\nhint: variants of one game"
    )


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--output", "nowhere/page.html"), "--output is nowhere/page.html, but nowhere is no"),
        (("--output", "page.pdf"), "the ending of --output is '.pdf', but must be"),
        (("--simulations", "16"), "--simulations is given, but no matches are to be played"),
        (("--matches", "4", "--simulations", "16,x"), "--simulations is '16,x', but must be"),
        (("--matches", "4", "--simulations", "1"), "--simulations is 1, but must be at least 2"),
        (("--matches", "0"), "--matches is 0, but must be at least 1"),
        (("--minutes", "0"), "--minutes is 0"),
    ],
)
def test_what_cannot_be_right(
    invoke: Invoke, trained: Path, options: tuple[str, ...], error: str
) -> None:
    result = invoke("balance", trained, *options)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {error}")
    assert not (trained / "balance").exists()


@pytest.mark.slow
def test_ctrl_c_ends_it_and_keeps_the_rounds_that_are_over(
    start: Callable[..., "subprocess.Popen[str]"], invoke: Invoke, own_run: Path
) -> None:
    process = start("balance", own_run, "--minutes", 10, "--simulations", 8)
    deadline = time.monotonic() + 300
    while not list((own_run / "balance").glob("matches/*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    process.wait(timeout=60)
    assert time.monotonic() - begin < 2.5
    assert process.returncode == 130
    document = json.loads(invoke("balance", own_run, "--json").stdout)
    assert document["problems"] == []
    own = [one for one in document["samples"] if one["source"] == "played for this report"]
    assert own[0]["matches"] >= 32
