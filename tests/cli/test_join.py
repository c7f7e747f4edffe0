"""The commands that join a run: worker, trainer and evaluator, as a person uses them."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from selfplay.cli.training.joining import GRACE_SECONDS
from selfplay.runtime.lifetime import Lifetime
from tests.cli.conftest import TINY, Invoke

Start = Callable[..., subprocess.Popen[str]]
PATIENCE_SECONDS = 300.0


def test_a_worker_fills_a_run_and_a_trainer_learns_from_it(invoke: Invoke, own_run: Path) -> None:
    result = invoke(
        "worker", "--run", own_run, "--id", "w", "--jitter", 0, "--max-matches", 40, "--json"
    )
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["id"] == "w"
    assert document["matches"] >= 40
    assert document["ended"].endswith("matches are done")
    files = list(own_run.glob("matches/w/[0-9]*.parquet"))
    assert files
    # No --game: the run knows it. Bounded by its plan or by the want of matches.
    result = invoke("trainer", "--run", own_run, "--updates", 10, "--idle-exit", 1, *TINY, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["update"] == 10
    result = invoke(
        "evaluator", "--run", own_run, "--max-matches", 1, "--json",
        "--set", "evaluation.opponents=random", "--set", "evaluation.matches=2",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["evaluation_matches"] == 2
    assert document["mistakes"]["update"] == 10
    result = invoke(
        "reanalyze", own_run, "--id", "r", "--checkpoint", 10, "--positions", 1, "--json"
    )
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["id"], document["ended"]) == ("r", "everything is searched again")
    assert document["matches"] == document["positions"] >= 40
    assert list(own_run.glob("reanalyses/r/[0-9]*.parquet"))


@pytest.mark.parametrize("document", [(), ("--json",)])
def test_with_json_logs_every_line_is_an_object(
    invoke: Invoke, own_run: Path, document: tuple[str, ...]
) -> None:
    json_logs = ("--run", own_run, "--log-format", "json", *document)
    none = ("--set", "evaluation.opponents=")
    events: dict[str, list[str]] = {}
    for role, *options in (
        ("trainer", "--updates", 8),
        ("trainer", "--updates", 9, "--idle-exit", 0.1),
        ("worker", "--jitter", 0, "--max-matches", 1),
        ("evaluator", "--max-seconds", 0.1, *none),
    ):
        result = invoke(role, *json_logs, *options)
        assert result.exit_code == 0, result.stderr
        printed, logged = (
            [json.loads(line) for line in text.splitlines()]
            for text in (result.stdout, result.stderr)
        )
        assert all(isinstance(line, dict) for line in (*printed, *logged))
        assert len(printed) == len(document)
        events.setdefault(role, []).extend(line["event"] for line in logged)
        messages = [line.get("message", "") for line in logged]
    assert messages[-1].startswith("ended: ")
    # Of a plan that was fulfilled there is nothing more to say.
    assert events["trainer"][0] == "closing"
    assert events["trainer"][1] == "opening"
    assert events["trainer"][-1] == "closing"
    # What is wrong is a line, too.
    result = invoke("trainer", *json_logs, "--set", "network.channels=9")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = map(json.loads, result.stderr.splitlines())
    assert (line["event"], line["level"]) == ("error", "error")
    assert "network.channels = 8, but 9 was asked for" in line["message"]


def test_a_run_begins_with_the_weights_of_another(
    invoke: Invoke, trained: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    # Neither the game nor the network need be named.
    options = ("--run", new, "--init-from", f"{trained}@4", "--idle-exit", 0.1)
    result = invoke("trainer", *options)
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert f"run {new} (begins with the weights of {trained}@4)" in text
    status = json.loads(invoke("status", new, "--json").stdout)
    assert (status["update"], status["checkpoint"], status["matches"]) == (0, 0, 0)
    assert (status["origin"]["run"], status["origin"]["update"]) == (str(trained), 4)
    assert f"began with the weights of {trained}@4" in invoke("status", new).stdout
    # The same command goes on; another one must not.
    assert invoke("trainer", *options).exit_code == 0
    result = invoke("train", "tic_tac_toe", "--run", new, "--init-from", f"{trained}@8", *TINY)
    assert result.exit_code == 1
    assert "is a run already, which did not begin with" in result.stderr
    assert "\n\nhint: choose another --run" in result.stderr
    result = invoke("train", "connect_four", "--run", tmp_path / "c4", "--init-from", trained)
    assert result.exit_code == 1
    assert "has weights for tic_tac_toe, but the game is connect_four" in result.stderr
    assert not (tmp_path / "c4").exists()


def test_the_default_command_of_the_image_makes_a_run(invoke: Invoke, tmp_path: Path) -> None:
    variables = {"SELFPLAY_RUN": str(tmp_path / "run"), "SELFPLAY_GAME": "tic_tac_toe"}
    result = invoke("trainer", *TINY, "--idle-exit", 0.1, env=variables)
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "run" / "run.toml").is_file()


def test_what_they_refuse(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    before = sorted(trained.rglob("*"))
    result = invoke("worker", "--run", trained, "--set", "search.num_simulations=99")
    assert result.exit_code == 2
    assert "error: search.num_simulations is 8 in " in result.stderr
    result = invoke("trainer", "--run", tmp_path / "none")
    assert result.exit_code == 1
    assert "hint: name its game: --game GAME, or SELFPLAY_GAME=GAME in the" in result.stderr
    result = invoke("worker", "--run", trained, "--max-seconds", -1)
    assert result.exit_code == 2
    result = invoke("evaluator", "--run", trained, "--set", "trainer.replay_ratio=2")
    assert result.exit_code == 2
    result = invoke("reanalyze", trained, "--share", 0.5, "--positions", 2)
    assert result.exit_code == 2
    assert "error: --positions and --share are both given" in result.stderr
    result = invoke("reanalyze", trained, "--from", tmp_path / "none")
    assert result.exit_code == 1
    assert "does not exist\n\nhint: name a Parquet file of matches" in result.stderr
    assert sorted(trained.rglob("*")) == before


def test_workers_begin_after_a_random_part_of_jitter(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    def sleep(lifetime: Lifetime, seconds: float) -> None:
        slept.append(seconds)
        lifetime.stop()

    monkeypatch.setattr(Lifetime, "sleep", sleep)
    # Before it looks for the run, which is not even there.
    for _ in range(12):
        assert invoke("worker", "--run", tmp_path / "none", "--jitter", 8).exit_code == 0
    assert all(0 <= seconds <= 8 for seconds in slept)
    # Not all in one second, whichever that is; all 12 by chance: 1 in 10 to the power of 8.
    assert max(slept) - min(slept) > 1
    del slept[:]
    invoke("worker", "--run", tmp_path / "none")
    invoke("worker", "--run", tmp_path / "none", "--jitter", 0)
    assert 0 <= slept[0] <= 3
    assert slept[1] == 0
    assert invoke("worker", "--run", tmp_path / "none", "--jitter", -1).exit_code == 2


def test_a_dry_run_leaves_no_trace(invoke: Invoke, trained: Path) -> None:
    before = sorted(trained.rglob("*"))
    result = invoke(
        "worker", "--run", trained, "--dry-run", "--jitter", 0, "--max-matches", 8, "--json"
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["matches"] >= 8
    assert sorted(trained.rglob("*")) == before


# Both are the same to a command, see test_signals.py.
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_ends_a_worker_with_all_matches_stored(
    start: Start, trained: Path, tmp_path: Path, number: signal.Signals
) -> None:
    run = shutil.copytree(trained, tmp_path / "run")
    process = start("worker", "--run", run, "--id", "w", "--jitter", 0, "--json")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not list(run.glob("matches/w/[0-9]*.parquet")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    asked = time.monotonic()
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    # Whoever sends SIGTERM often kills after ten seconds.
    assert time.monotonic() - asked < GRACE_SECONDS + 1 <= 10
    assert process.returncode == 0, errors
    assert "stopping: stores the matches that are finished" in errors
    document = json.loads(output)
    assert document["ended"] == "asked to stop"
    assert document["queue_files"] == 0
    assert list((run / "heartbeats").glob("worker-*")) == []


def test_status_again_and_again(start: Start, trained: Path) -> None:
    process = start("status", trained, "--watch")
    assert process.stdout is not None
    seen = 0
    for line in process.stdout:
        seen += "tic_tac_toe" in line
        if seen == 2:
            break
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_SECONDS) == 130
