"""One table of metrics: every sink shows every metric that the table gives it, under its name."""

import dataclasses
import importlib.util
import io
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from prometheus_client import generate_latest
from rich.console import Console

from selfplay.cli.reports.status import _text
from selfplay.registry import GameSpec
from selfplay.run import Heartbeat, RunDirectory, read_heartbeats
from selfplay.runtime.meter import Meter
from selfplay.runtime.publishing import HeartbeatWriter, ProgressPublisher
from selfplay.settings import Config
from selfplay.telemetry import METRICS, Monitor, PlainReporter, Progress, read_scalars
from selfplay.telemetry.logs import EventLog, JsonReporter
from selfplay.telemetry.metric import ROWS, Metric, readings
from selfplay.telemetry.metrics import line_parts, of_role, rows
from selfplay.telemetry.prometheus import make_registry
from selfplay.telemetry.screen import plain_line, render
from tests.telemetry.samples import FULL

ROOT = Path(__file__).parents[2]
MADE_UP = Metric("policy_entropy", "nats", "TWE", "learn", "mean entropy of the policy targets")
LABELLED = Metric(
    "head_norms", "", "T", "loss", "norm of each head", label="head", prometheus="head_norms"
)
NEW: dict[str, Any] = {"policy_entropy": 1.625, "head_norms": {"value": 3.25}}


def words(text: str) -> list[str]:
    return text.split()


# What 0.1.0 showed, and so what dashboards, scripts and readers of logs rely on.
PROMETHEUS = words("""
    ready heartbeat_age_seconds matches_total positions_total matches_per_second
    positions_per_second simulations_per_second match_length_plies match_results_ratio
    matches_truncated_ratio matches_in_progress simulations_total queued_files update loss_nats
    learning_rate gradient_norm updates_per_second reuse_ratio window_positions window_age_updates
    checkpoint_update checkpoint_age_seconds pickup_seconds median_pickup_seconds
    worst_pickup_seconds staleness_updates data_age_seconds stale_matches_total
    foreign_matches_total damaged_files_total backlog_positions store_errors_total
    waiting_seconds_total elapsed_seconds_total time_ratio strength_score_ratio mistakes_ratio
    """)
TAGS = words("""
    learner/learning_rate learner/gradient_norm replay/reuse replay/window_positions
    replay/window_age_updates rollout/matches rollout/positions rollout/mean_length
    rate/matches_per_second rate/positions_per_second rate/simulations_per_second
    rate/updates_per_second time/elapsed_seconds workers/data_age_seconds
    workers/staleness_updates workers/backlog_positions workers/damaged_files
    time/waiting_seconds loss/policy loss/total results/first results/draw results/second
    results/truncated left_out/stale left_out/foreign time_share/play time_share/train
    time_share/evaluate time_share/other strength/random strength_low/random strength_high/random
    strength/mcts:100 mistakes/all mistakes_low/0-13 mistakes_high/0-13 mistakes_raw/all
    """)
LOGGED = words("""
    update matches positions matches_per_second positions_per_second simulations_per_second
    updates_per_second losses learning_rate gradient_norm reuse window_positions last_checkpoint
    """)
BEATEN = {
    "trainer": words("""
        update matches positions elapsed_seconds matches_per_second positions_per_second
        simulations_per_second updates_per_second reuse window_positions window_age_updates
        mean_length recent_matches truncated_share learning_rate gradient_norm losses results
        phases waiting_seconds starved_seconds backlog_positions damaged_files data_age_seconds
        staleness_updates checkpoint_age_seconds checkpoint newest_checkpoint stale_matches
        foreign_matches
        """),
    "worker": words("""
        update checkpoint newest_checkpoint staleness_updates checkpoint_age_seconds
        pickup_seconds median_pickup_seconds worst_pickup_seconds matches positions simulations
        matches_per_second positions_per_second simulations_per_second recent_matches mean_length
        results truncated_share matches_in_progress queue_files waiting_seconds elapsed_seconds
        """),
    "evaluator": words("""
        update checkpoint newest_checkpoint staleness_updates evaluation_matches evaluations
        matches_per_second elapsed_seconds
        """),
}


@pytest.fixture
def grown(monkeypatch: pytest.MonkeyPatch) -> Progress:
    """Returns a snapshot with two metrics more, each one entry of the table."""
    for metric in (MADE_UP, LABELLED):
        monkeypatch.setitem(METRICS, metric.key, metric)
    return FULL.updated(**NEW)


def screen(progress: Progress) -> str:
    console = Console(file=io.StringIO(), width=400, record=True)
    console.print(render(progress))
    return console.export_text()


def logged(progress: Progress) -> dict[str, Any]:
    written: list[str] = []
    reporter = JsonReporter(
        EventLog(written.append, run="r", role="trainer", id="t"), clock=lambda: 0.0
    )
    reporter.update(progress)
    (line,) = written
    return json.loads(line)


def page(values: dict[str, Any]) -> str:
    names = {"run": "r", "role": "trainer", "id": "t"}
    return generate_latest(make_registry(lambda: names, {}, lambda: values)).decode()


def published(path: Path, progress: Progress) -> tuple[Heartbeat, Monitor, dict[str, Any]]:
    """Returns what a trainer leaves in its run: heartbeat, monitor, scalars."""
    spec = GameSpec("tic_tac_toe")
    run = RunDirectory.create(path / "run", spec, spec.make(), Config())
    monitor = Monitor(role="trainer", id="t")
    heartbeat = HeartbeatWriter(run, monitor)
    reporter = PlainReporter(lambda line: None)
    publisher = ProgressPublisher(run, heartbeat, reporter, resume_at=None)
    publisher.tell(progress, Meter())
    (beat,) = read_heartbeats(run.store)
    publisher.close(progress)
    return beat, monitor, read_scalars(run.tensorboard_path)


def of_the_docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_new_metric_is_one_line_of_the_table(grown: Progress, tmp_path: Path) -> None:
    assert "policy entropy 1.625 nats" in screen(grown)
    assert "head norms value 3.25" in screen(grown)
    assert "| policy entropy 1.625 nats | " in plain_line(grown)
    line = logged(grown)
    assert (line["policy_entropy"], line["head_norms"]) == (1.625, {"value": 3.25})
    beat, monitor, scalars = published(tmp_path, grown)
    assert (beat.fields["policy_entropy"], beat.fields["head_norms"]) == (1.625, {"value": 3.25})
    text = page(monitor.fields)
    assert 'selfplay_policy_entropy{id="t",role="trainer",run="r"} 1.625' in text
    assert 'selfplay_head_norms{head="value",id="t",role="trainer",run="r"} 3.25' in text
    assert [point.value for point in scalars["learn/policy_entropy"]] == [1.625]
    assert [point.value for point in scalars["head_norms/value"]] == [3.25]
    status = {**beat.fields, "role": "trainer", "id": "t", "alive": True, "seconds_ago": 1.0}
    assert "policy entropy 1.625 nats" in _text(document(status))
    documented = of_the_docs().pages()[ROOT / "docs" / "monitoring.md"]
    assert (
        "| `policy_entropy` | `selfplay_policy_entropy` | gauge | `learn/policy_entropy` | nats | "
        "trainer, worker, evaluator | mean entropy of the policy targets |\n" in documented
    )
    # Of a worker, too.
    assert "policy entropy 1.625 nats" in line_parts(NEW, "worker")


def document(process: dict[str, Any]) -> dict[str, Any]:
    """Returns what `selfplay status` prints, with one process."""
    facts = (
        "checkpoint",
        "checkpoint_age_seconds",
        "mistakes",
        "origin",
        "recent",
        "reuse",
        "suite",
        "held_out",
        "gate",
        "diagnosis",
    )
    empty = {"left_out": {}, "strength": [], "problems": [], "damaged_files": 0}
    counts = dict.fromkeys(("update", "matches", "positions", "elapsed_seconds"), 0)
    plan = {"minutes": 0.0, "updates": 0}
    usage: dict[str, Any] = {"hours": {}, "cost": None}
    names = {"run": "r", "game": "g", "plan": plan, "processes": [process], "usage": usage}
    return {**dict.fromkeys(facts), **empty, **counts, **names}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS.keys())
def test_every_sink_shows_every_metric_it_should(metric: Metric, tmp_path: Path) -> None:
    assert metric.help and metric.help == metric.help.strip()
    value = FULL.metrics.get(metric.key, {"x": 3.0} if metric.label else 3.0)
    alone = {"update": 1, "losses": {"total": 1.0}, metric.key: value}
    progress = dataclasses.replace(FULL, metrics=alone)
    if metric.prometheus_name:
        assert f"\n{metric.prometheus_name}{{" in page({metric.key: value})
    if not metric.of("trainer"):
        return
    parts = metric.parts(value)
    if metric.row:
        # Strength is laid out as a table: its texts are there, but not in one piece.
        wanted = " ".join(parts).split() if metric.row == "strength" else parts
        assert [part for part in wanted if part not in screen(progress)] == []
    if metric.row in ROWS:
        assert rows(alone)[metric.row] and set(parts) <= set(rows(alone)[metric.row])
    if metric.in_line("trainer"):
        assert [part for part in metric.line_parts(value) if part not in plain_line(progress)] == []
    if metric.log:
        assert metric.key in logged(progress)
    beat, monitor, scalars = published(tmp_path, progress)
    if metric.heartbeat:
        assert beat.fields[metric.key] == value
    elif metric.key not in ("ready", "heartbeat_age_seconds", "store_errors"):
        # Those three are the process's own, whatever the snapshot says.
        assert monitor.fields[metric.key] == value
    if metric.tensorboard_tag:
        for one in readings(value):
            tag = metric.tensorboard_tag + (f"_{one.part}" if one.part else "")
            name = f"{tag}/{one.name}" if one.name else tag
            assert scalars[name][0].value == pytest.approx(one.number)


def test_names_seen_outside_stay_as_they_were(tmp_path: Path) -> None:
    shown = {metric.prometheus_name for metric in METRICS.values()}
    assert {f"selfplay_{name}" for name in PROMETHEUS} <= shown
    assert set(LOGGED) <= logged(FULL).keys()
    assert logged(FULL)["last_checkpoint"] == FULL.metrics["checkpoint"]
    beat, _, scalars = published(tmp_path, FULL)
    assert set(TAGS) <= scalars.keys()
    assert {*BEATEN["trainer"], "suspends", "state", "ready"} <= beat.fields.keys()
    for role, keys in BEATEN.items():
        assert set(keys) <= {metric.key for metric in of_role(role) if metric.heartbeat}


def test_a_heartbeat_of_0_1_0_is_shown() -> None:
    old = {
        "update": 40, "matches": 3, "positions": 90, "losses": {"total": 1.25}, "results": {},
        "window_positions": 80, "window_age_updates": 4, "data_age_seconds": 2.0,
        "staleness_updates": None, "backlog_positions": 0, "state": "training", "checkpoint": 32,
        "matches_per_second": 1.5, "suspends": False, "reuse": 2.0, "phases": {"play": 0.5},
    }  # fmt: skip
    process = {**old, "role": "trainer", "id": "t", "alive": True, "seconds_ago": 1.0}
    text = _text(document(process))
    assert "window 80 positions, 4 updates old on average" in text
    assert "newest matches 2 s old" in text and "total 1.250" in text


def test_a_metric_that_no_sink_would_show_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^not in the table of metrics: winrate$"):
        FULL.updated(winrate=0.5)
    with pytest.raises(ValueError, match="is not a row of the screen"):
        dataclasses.replace(MADE_UP, row="leaning")
    with pytest.raises(ValueError, match="names no process"):
        dataclasses.replace(MADE_UP, roles="TX")
