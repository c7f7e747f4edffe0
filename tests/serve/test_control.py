"""Stopping the processes of a run through the server, where its owner permits that."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from selfplay.cli.main import app as command
from selfplay.run import RunDirectory, write_heartbeat
from selfplay.runtime import publishing
from selfplay.runtime.lifetime import Lifetime
from selfplay.serve import Library, create_app
from selfplay.training.trainer import Trainer, train
from selfplay.workers.work import work
from selfplay.workers.worker import WorkerOptions
from tests.training.fixtures import compiled_once  # noqa: F401
from tests.training.runs import Listener, make_run, tiny_components

PATIENCE_SECONDS = 120.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes heartbeats frequent."""
    monkeypatch.setattr(publishing, "_HEARTBEAT_SECONDS", 0.1)


def visit(run: RunDirectory, **options: Any) -> TestClient:
    app = create_app(Library(runs=[run.url]), **options)
    return TestClient(app, base_url="http://localhost")


def until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def listening(client: TestClient, role: str) -> dict[str, Any] | None:
    """Returns what the status says of a process that can be asked to end."""
    status = client.get("/api/v1/runs/run/status").json()
    rows = [row for row in status["processes"] if row["role"] == role and row.get("session")]
    return rows[0] if rows else None


def test_a_trainer_saves_and_ends_and_the_run_goes_on_later(tmp_path: Path) -> None:
    run, components = make_run(tmp_path / "run", tiny_components(), updates=10**6)
    reporter, done = Listener(), []
    thread = threading.Thread(target=lambda: done.append(train(run, components, reporter)))
    thread.start()
    with visit(run, allow_control=True) as client:
        assert client.get("/api/v1/about").json()["allow_control"] is True
        row = until(lambda: listening(client, "trainer"))
        body = {"role": "trainer", "id": row["id"]}
        answer = client.post("/api/v1/runs/run/stop", json=body)
        assert (answer.status_code, answer.json()["pid"]) == (200, row["pid"])
        thread.join(PATIENCE_SECONDS)
        trainer: Trainer = done[0]
        assert trainer.stopped and trainer.saved == trainer.update
        assert reporter.messages == ["stopping: asked to, through the run"]
        until(lambda: not client.get("/api/v1/runs/run/status").json()["processes"])
        assert list((run.path / "requests").iterdir()) == []
        # There is nobody left to ask.
        assert client.post("/api/v1/runs/run/stop", json=body).status_code == 404
    resumed, components = make_run(run.path, components, updates=trainer.update + 2)
    assert train(resumed, components, Listener()).update == trainer.update + 2


def test_a_worker_stores_what_is_finished_and_ends(tmp_path: Path) -> None:
    run, components = make_run(tmp_path / "run", tiny_components(), updates=2)
    train(run, components, Listener())
    lifetime = Lifetime(max_seconds=PATIENCE_SECONDS)
    options = WorkerOptions(id="w", jitter_seconds=0.0)
    thread = threading.Thread(target=work, args=(run.url, options, lifetime))
    thread.start()
    with visit(run, allow_control=True) as client:
        until(lambda: listening(client, "worker"))
        body = {"role": "worker", "id": "w"}
        assert client.post("/api/v1/runs/run/stop", json=body).status_code == 200
        thread.join(PATIENCE_SECONDS)
    assert lifetime.reason == "asked to stop"
    assert list((run.path / "heartbeats").iterdir()) == []


def test_without_permission_a_run_is_only_read(run: RunDirectory) -> None:
    before = sorted(path for path in run.path.rglob("*"))
    body = {"role": "trainer", "id": "loop"}
    for permitted, headers, status in (
        (False, {}, 403),
        (True, {"origin": "http://evil.example"}, 403),
        (True, {"sec-fetch-site": "cross-site"}, 403),
        (True, {}, 401),
    ):
        token = "secret" if status == 401 else None
        with visit(run, allow_control=permitted, token=token) as client:
            answer = client.post("/api/v1/runs/noughts/stop", json=body, headers=headers)
            assert answer.status_code == status, answer.text
    with visit(run) as client:
        assert client.get("/api/v1/about").json()["allow_control"] is False
        answer = client.post("/api/v1/runs/noughts/stop", json=body)
        assert "--allow-control" in answer.json()["hint"]
    assert sorted(path for path in run.path.rglob("*")) == before


def test_whom_it_cannot_stop_it_says(tmp_path: Path) -> None:
    run, _ = make_run(tmp_path / "run", tiny_components(), updates=1)
    # Of an older selfplay: its heartbeats have no session.
    write_heartbeat(run.store, "worker", "old", {"checkpoint": 0})
    with visit(run, allow_control=True) as client:
        for body, status, place in (
            ({"role": "worker", "id": "old"}, 409, None),
            ({"role": "worker", "id": "../../x"}, 404, None),
            ({"role": "worker"}, 422, "id"),
            ({"id": "old"}, 422, "role"),
            ({"role": "king", "id": "old"}, 422, "role"),
            ({"role": "worker", "id": "old", "now": 1}, 422, "now"),
        ):
            answer = client.post("/api/v1/runs/run/stop", json=body)
            assert (answer.status_code, answer.json()["place"]) == (status, place)
        body = {"role": "worker", "id": "old"}
        answer = client.post("/api/v1/runs/run/stop", json=body).json()
        assert answer["error"] == "worker old looks for no requests" and "Ctrl-C" in answer["hint"]
    assert not (run.path / "requests").exists()


def test_nobody_without_a_token_may_stop_what_others_can_reach() -> None:
    words = ["serve", "tic_tac_toe", "--allow-control", "--no-token", "--host", "0.0.0.0"]
    result = CliRunner().invoke(command, words, prog_name="selfplay")
    assert result.exit_code == 2 and "--allow-control and --no-token" in result.stderr
