"""The loop as the compose file starts it: its own commands, as processes of this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from selfplay.fleet.fleet import ROLES
from selfplay.reports.health import diagnose
from tests.deploy.files import ROOT, compose_command

# A machine that is many times slower than any of ours still gets there.
DEADLINE_SECONDS = 900.0

# What deploy/settings.env would say: as small as a loop can be.
SETTINGS = {
    "SELFPLAY_NETWORK__BLOCKS": "1",
    "SELFPLAY_NETWORK__CHANNELS": "8",
    "SELFPLAY_SEARCH__NUM_SIMULATIONS": "2",
    "SELFPLAY_ROLLOUT__MATCHES_PER_DEVICE": "8",
    "SELFPLAY_REPLAY__FIRST_POSITIONS": "64",
    "SELFPLAY_LEARNER__BATCH_SIZE": "32",
    "SELFPLAY_TRAINER__CHECKPOINT_SECONDS": "1",
    "SELFPLAY_EVALUATION__MATCHES": "2",
    "SELFPLAY_EVALUATION__OPPONENTS": "random",
}

# What a process must tell when it does its work; more is told as it becomes known.
TOLD = {
    "trainer": {
        "selfplay_matches_total",
        "selfplay_positions_total",
        "selfplay_update",
        "selfplay_checkpoint_update",
        "selfplay_loss_nats",
        "selfplay_learning_rate",
        "selfplay_gradient_norm",
        "selfplay_reuse_ratio",
        "selfplay_window_positions",
        "selfplay_match_results_ratio",
        "selfplay_match_length_plies",
        "selfplay_waiting_seconds_total",
        "selfplay_backlog_positions",
    },
    "worker": {
        "selfplay_matches_total",
        "selfplay_simulations_total",
        "selfplay_checkpoint_update",
        "selfplay_staleness_updates",
        "selfplay_queued_files",
        "selfplay_matches_in_progress",
        "selfplay_waiting_seconds_total",
    },
    "evaluator": {"selfplay_checkpoint_update", "selfplay_staleness_updates"},
    "reanalyzer": {"selfplay_checkpoint_update", "selfplay_reanalysed_positions_total"},
}


class Process:
    """One service, without its container."""

    def __init__(self, role: str, run: Path, home: Path) -> None:
        # A game of one's own in a folder that all of them see, as at /games in the containers.
        game = f"{home / 'games' / 'mygame.py'}:TicTacToe"
        words = compose_command(role, {"GAME": game})
        # Of one machine, not of three containers: any free port each, and not for everybody.
        words = [
            "--metrics-port=0" if word.startswith("--metrics-port=") else word
            for word in words
            if word != "--metrics-host=0.0.0.0"
        ]
        environ = {**os.environ, "TMPDIR": str(home), "SELFPLAY_RUN": str(run)}
        if role == "trainer":
            environ |= SETTINGS
        self.role = role
        self.events: list[dict[str, Any]] = []
        self.other_lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "selfplay", *words],
            env=environ,
            cwd=home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self.events.append(json.loads(line))
            except ValueError:
                self.other_lines.append(line)

    @property
    def port(self) -> int | None:
        """The port of its metrics, as its log says."""
        for event in list(self.events):
            if event["event"] == "metrics_served":
                return int(event["message"].rsplit(":", 1)[1].split("/")[0])
        return None

    def get(self, path: str) -> tuple[int, str]:
        """Returns status and body; (0, "") as long as nobody answers."""
        if self.port is None:
            return 0, ""
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            with urllib.request.urlopen(url, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metrics(self) -> dict[str, float]:
        """Returns the metrics that it tells now; of those with labels of their own, one value."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        return {sample.name: sample.value for family in families for sample in family.samples}

    def end(self) -> int:
        """Waits for the end and returns the exit status."""
        status = self.process.wait(timeout=DEADLINE_SECONDS)
        self._reader.join(timeout=DEADLINE_SECONDS)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def processes(tmp_path: Path, run: Path) -> Iterator[dict[str, Process]]:
    (tmp_path / "games").mkdir()
    shutil.copy(ROOT / "games" / "tic_tac_toe.py", tmp_path / "games" / "mygame.py")
    # The order does not matter: the trainer comes last.
    started = {role: Process(role, run, tmp_path) for role in reversed(ROLES)}
    yield started
    for one in started.values():
        one.process.kill()
        one.end()


def wait_until(condition: Callable[[], bool], what: str, processes: dict[str, Process]) -> None:
    """Waits for a condition; says what the processes said if it does not come."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        ended = [role for role, one in processes.items() if one.process.poll() is not None]
        if ended or time.monotonic() > deadline:
            said = {
                role: [*one.events[-5:], *one.other_lines[-20:]] for role, one in processes.items()
            }
            raise AssertionError(f"{what} did not come; ended: {ended}; {said}")
        time.sleep(0.1)


@pytest.mark.slow
def test_the_loop_of_the_compose_file(processes: dict[str, Process], run: Path) -> None:
    everybody = list(processes.values())
    wait_until(lambda: all(one.port for one in everybody), "a port of each", processes)
    for one in everybody:
        status, body = one.get("/healthz")
        assert (status, json.loads(body)["role"]) == (200, one.role)
    wait_until(
        lambda: all(one.get("/readyz")[0] == 200 for one in everybody), "readiness", processes
    )
    wait_until(
        lambda: all(TOLD[one.role] <= one.metrics().keys() for one in everybody),
        f"every metric of {TOLD}",
        processes,
    )
    # Weights have gone from the trainer to the others, and matches the other way.
    wait_until(
        lambda: all(one.metrics()["selfplay_checkpoint_update"] > 0 for one in everybody),
        "a checkpoint that was trained",
        processes,
    )
    assert max(int(path.name) for path in (run / "checkpoints").glob("[0-9]*")) > 0
    assert list((run / "matches").glob("*/[0-9]*.parquet"))
    for role in ROLES:
        wait_until(lambda role=role: diagnose(run, role, ready=True).healthy, role, processes)  # type: ignore[misc]
    # All at once, as `docker compose stop` does it.
    for one in everybody:
        one.process.send_signal(signal.SIGTERM)
    ended = {one.role: (one.end(), one.other_lines[-20:]) for one in everybody}
    assert ended == dict.fromkeys(processes, (0, []))
    for one in everybody:
        assert {(event["run"], event["role"]) for event in one.events} == {(str(run), one.role)}
    stored = [e for e in processes["worker"].events if "match_ids" in e]
    assert stored and all(
        match.startswith(f"{event['id']}-") for event in stored for match in event["match_ids"]
    )
    # Who left as it should is not missed.
    assert not any(diagnose(run, role).healthy for role in ROLES)
