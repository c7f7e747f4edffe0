"""The state of a run in words: who works on it, and what is wrong."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from selfplay.cli.reports.status import _usage
from selfplay.registry import GameSpec
from selfplay.reports.status import prices_of, process_problems, run_status
from selfplay.run import Heartbeat, RunDirectory, hours_by_role, read_heartbeats, write_heartbeat
from selfplay.runtime.publishing import HeartbeatWriter, RecentMatches
from selfplay.settings import Config
from selfplay.telemetry import Monitor
from tests.training.runs import make_run, tiny_components, train_all


def beat(role: str, id: str, *, alive: bool = True, ahead: float = 0.0, **of: Any) -> Heartbeat:
    return Heartbeat(
        role=role,
        id=id,
        pid=7,
        host="h",
        time=time.time() + ahead,
        age=0.0,
        ahead=ahead,
        alive=alive,
        fields=of,
    )


def problems(*beats: Heartbeat, checkpoint: int | None = 8, age: float | None = 5.0) -> list[str]:
    return process_problems(list(beats), checkpoint=checkpoint, checkpoint_age=age)


def test_all_is_well() -> None:
    assert problems() == []
    trainer = beat("trainer", "trainer", starved_seconds=100.0, state="waiting for matches")
    assert problems(trainer, beat("worker", "w", checkpoint=8)) == []
    # A checkpoint that has just come is not late yet.
    assert problems(trainer, beat("worker", "w", checkpoint=4)) == []


@pytest.mark.parametrize(
    ("beats", "said"),
    [
        (
            [beat("trainer", "t", starved_seconds=130.0, state="waiting for matches")],
            "the trainer is waiting for matches: no worker is alive for 130 seconds",
        ),
        (
            [
                beat("trainer", "t", starved_seconds=130.0, state="waiting for matches"),
                beat("worker", "w", checkpoint=8),
            ],
            "the trainer is waiting for matches: no matches came for 130 seconds",
        ),
        (
            [beat("worker", "w", alive=False)],
            "worker w (pid 7 on h) ended without saying so",
        ),
        (
            [beat("worker", "w", checkpoint=8, store_problem="the disk is full")],
            "worker w: the disk is full",
        ),
        (
            [beat("worker", "w", checkpoint=8, ahead=1e6)],
            "the clock of h, where worker w runs, is 1000000 seconds ahead of that of the store",
        ),
        (
            [beat("worker", "w", checkpoint=8, ahead=-300.0)],
            "the clock of h, where worker w runs, is 300 seconds behind that of the store",
        ),
    ],
)
def test_what_is_wrong_is_said(beats: list[Heartbeat], said: str) -> None:
    (problem,) = problems(*beats)
    assert problem.startswith(said)


def test_a_worker_on_a_stale_checkpoint_is_named() -> None:
    (problem,) = problems(beat("worker", "w", checkpoint=4), age=60.0)
    assert problem == "worker w plays with checkpoint 4, though 8 has been there for 60 seconds"


def test_draws_and_cut_matches_are_counted(tmp_path: Path) -> None:
    run, components = make_run(tmp_path / "run", tiny_components(), updates=1)
    train_all(run, components)
    one = run.matches.get("loop", 0)[0]
    recent = RecentMatches()
    assert recent.metrics() == {
        "recent_matches": 0, "mean_length": None, "results": {}, "truncated_share": None,
        "resigned_share": None,
    }  # fmt: skip
    endings = [
        (1.0, "played_out"), (0.0, "length"), (0.0, "played_out"), (-1.0, "length"),
        (-1.0, "resigned"),
    ]  # fmt: skip
    matches = [
        dataclasses.replace(
            one, returns=(first, -first), truncated=ending == "length", ending=ending
        )
        for first, ending in endings
    ]
    recent.add(matches)
    assert recent.metrics() == {
        "recent_matches": 5,
        "mean_length": float(one.plies),
        "results": {"first": 0.2, "draw": 0.4, "second": 0.4},
        "truncated_share": 0.4,
        "resigned_share": 0.2,
    }


def test_the_prices_are_those_of_the_newest_session(tmp_path: Path) -> None:
    spec = GameSpec("tic_tac_toe")
    config = Config.from_dict({"cost": {"worker_hour": 2.0}})
    run = RunDirectory.create(tmp_path / "run", spec, spec.make(), config)
    monitor = Monitor(role="worker", id="w")
    writer = HeartbeatWriter(run, monitor)
    writer.beat({})
    (beat,) = read_heartbeats(run.store)
    assert beat.fields["lived_seconds"] >= 0
    # As if it had run for three hours and was then killed; another one takes its id.
    write_heartbeat(run.store, "worker", "w", {**beat.fields, "lived_seconds": 3 * 3600})
    writer = HeartbeatWriter(run, monitor)
    writer.beat({})
    assert run_status(run.path)["usage"]["cost"] == pytest.approx(6.0, abs=0.1)
    writer.stop()
    usage = run_status(run.path)["usage"]
    assert usage["hours"] == {"worker": pytest.approx(3.0, abs=0.05)}
    assert prices_of(run, {}).worker_hour == 2.0
    assert prices_of(run, {"config": {"cost": {"worker_hour": 5.0}}}).worker_hour == 5.0
    # A checkpoint of a version without prices.
    assert prices_of(run, {"config": {"trainer": {}}}).worker_hour == 2.0
    assert _usage({"hours": {"worker": 3.0}, "cost": 6.0}) == [
        ("ran", "worker 3.00 h"),
        ("cost", "6.00"),
    ]


def test_the_document_of_a_run(tmp_path: Path) -> None:
    run, components = make_run(tmp_path / "run", tiny_components(), updates=8)
    trainer = train_all(run, components)
    document = run_status(run.path)
    assert (document["update"], document["checkpoint"]) == (8, 8)
    assert document["positions"] == trainer.cursor.positions
    assert document["processes"] == document["problems"] == []
    assert document["left_out"] == {}
    # How the newest matches ended is known afterwards, too: the checkpoint holds it.
    shown = trainer.progress()
    assert document["recent"] == {
        "recent_matches": min(400, trainer.cursor.matches),
        "results": shown.metrics["results"],
        "truncated_share": 0.0,
        "resigned_share": 0.0,
        "resign_threshold": None,
        "false_resign_rate": None,
        "solver_agreement": None,
        "solver_value_error": None,
        "mean_length": shown.metrics["mean_length"],
    }
    assert sum(document["recent"]["results"].values()) == pytest.approx(1)
    assert document["checkpoint_age_seconds"] >= 0
    # The trainer has ended, and its time stays.
    usage = document["usage"]
    assert usage["hours"].keys() == {"trainer"} and usage["hours"]["trainer"] > 0
    assert usage["cost"] is None
    # What a trainer at work says counts more; a worker counts its own matches alone.
    write_heartbeat(run.store, "trainer", "t", {"update": 9, "positions": 999, "state": "training"})
    write_heartbeat(run.store, "worker", "w", {"update": 9, "matches": 1, "checkpoint": 8})
    recent = {"recent_matches": 4, "results": {"draw": 0.5}, "truncated_share": 0.25}
    write_heartbeat(run.store, "trainer", "t", {"update": 9, "positions": 999, **recent})
    document = run_status(str(run.path))
    assert {name: value for name, value in document["recent"].items() if value} == recent
    assert (document["update"], document["positions"]) == (9, 999)
    assert document["matches"] == trainer.cursor.matches
    assert [(p["role"], p["id"], p["alive"]) for p in document["processes"]] == [
        ("trainer", "t", True),
        ("worker", "w", True),
    ]


def test_each_process_of_a_trainer_of_several_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = GameSpec("tic_tac_toe")
    run = RunDirectory.create(tmp_path / "run", spec, spec.make(), Config())
    clock = [1000.0]
    monkeypatch.setattr("selfplay.runtime.publishing.time.monotonic", lambda: clock[0])
    writer = HeartbeatWriter(run, Monitor(role="trainer", id="trainer"), processes=3)
    clock[0] += 3600.0
    writer.beat({})
    assert hours_by_role(run.store) == {"trainer": pytest.approx(3.0)}
    writer.stop()
    assert hours_by_role(run.store) == {"trainer": pytest.approx(3.0)}
