"""Metrics: conventions of Prometheus, values from the snapshot, and a page that tells the truth."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from selfplay.telemetry.metrics import COMMON_LABELS, INFO, METRICS, make_registry, reference
from tests.telemetry.samples import FULL

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "monitoring.md"
NAMES = {"run": "runs/a", "role": "trainer", "id": "t1"}

Sample = tuple[str, Mapping[str, str], float]


def page(snapshot: Callable[[], Mapping[str, Any]]) -> str:
    registry = make_registry(lambda: NAMES, {"version": "1"}, snapshot)
    return generate_latest(registry).decode()


def samples(fields: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """Returns the values of selfplay's own metrics by name and extra label."""
    found = {}
    for family in text_string_to_metric_families(page(lambda: fields)):
        for sample in family.samples:
            if sample.name.startswith("selfplay_"):
                assert {key: sample.labels[key] for key in COMMON_LABELS} == NAMES
                extra = {k: v for k, v in sample.labels.items() if k not in COMMON_LABELS}
                found[sample.name, "".join(extra.values())] = sample.value
    return found


def test_names_follow_the_conventions() -> None:
    for name, metric in METRICS.items():
        assert re.fullmatch(r"selfplay_[a-z]+(_[a-z]+)*", name)
        assert metric.help and metric.help == metric.help.strip()
        assert set(metric.roles) <= set("TWE") and metric.roles
        # Base units only, and a share is a ratio.
        assert not re.search(r"milli|micro|minutes|hours|kilo|mega|percent", name)
        assert name.endswith("_ratio") == ("share" in metric.unit or "/p" in metric.unit
                                           or "points per" in metric.unit)  # fmt: skip
        if metric.unit == "seconds":
            assert re.search(r"_seconds(_total)?$", name)
    # Two metrics of one field would say the same.
    fields = [metric.field for metric in METRICS.values()]
    assert len(set(fields)) == len(fields)


def test_the_page_is_what_the_snapshot_says() -> None:
    values = samples(
        {
            "matches": 12,
            "positions": 340,
            "losses": {"policy": 1.5, "total": 2.0},
            "results": {"first": 0.5, "draw": 0.25, "second": 0.25},
            "strength": FULL.strength,
            "learning_rate": 0.002,
            "reuse": None,
            "ready": True,
            "something_new": 3,
        }
    )
    assert values == {
        (INFO, "1"): 1.0,
        ("selfplay_matches_total", ""): 12.0,
        ("selfplay_positions_total", ""): 340.0,
        ("selfplay_loss_nats", "policy"): 1.5,
        ("selfplay_loss_nats", "total"): 2.0,
        ("selfplay_match_results_ratio", "first"): 0.5,
        ("selfplay_match_results_ratio", "draw"): 0.25,
        ("selfplay_match_results_ratio", "second"): 0.25,
        ("selfplay_strength_score_ratio", "random"): 1.0,
        ("selfplay_strength_score_ratio", "mcts:100"): 0.844,
        ("selfplay_learning_rate", ""): 0.002,
        ("selfplay_ready", ""): 1.0,
    }


def test_every_metric_can_be_had() -> None:
    labelled = {"losses": {"total": 1.0}, "results": {"draw": 1.0}, "phases": {"play": 1.0}}
    fields = {metric.field: 1 for metric in METRICS.values()} | labelled
    fields["mistakes"] = {"all": 0.031, "0-13": 0.012}
    fields["strength"] = [{"opponent": "random", "score": 0.5}]
    assert {name for name, _ in samples(fields)} == METRICS.keys() | {INFO}


def test_strength_may_come_as_heartbeats_hold_it() -> None:
    values = samples({"strength": [{"opponent": "random", "score": 0.75, "update": 3}]})
    assert values["selfplay_strength_score_ratio", "random"] == 0.75


def test_labels_are_escaped() -> None:
    values = samples({"losses": {'a"b\\c\nd': 1.0}})
    assert values["selfplay_loss_nats", 'a"b\\c\nd'] == 1.0


def test_a_page_is_made_anew_each_time() -> None:
    fields: dict[str, Any] = {"update": 1}
    registry = make_registry(lambda: NAMES, {}, lambda: fields)
    assert b"selfplay_update{" in generate_latest(registry)
    fields = {"update": 7}
    assert b"} 7.0" in generate_latest(registry).split(b"TYPE selfplay_update")[1]


def test_the_process_itself_is_measured_too() -> None:
    text = page(dict)
    assert "python_info" in text and "python_gc_objects_collected_total" in text


def test_the_documentation_is_the_code() -> None:
    written = DOCUMENTATION.read_text()
    assert reference() in written, (
        "write the table anew: python -c 'from selfplay.telemetry.metrics import reference; "
        "print(reference())'"
    )
    named = set(re.findall(r"`(selfplay_[a-z_]+)`", written))
    assert named == METRICS.keys() | {INFO}


@pytest.mark.parametrize("name", ["matches", "positions", "update", "reuse", "losses", "results"])
def test_the_snapshot_of_a_trainer_has_the_fields(name: str) -> None:
    assert hasattr(FULL, name)
    assert name in {metric.field for metric in METRICS.values()}
