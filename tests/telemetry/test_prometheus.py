"""The page for Prometheus: its conventions, and values from the snapshot."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from selfplay.telemetry import METRICS
from selfplay.telemetry.metric import COMMON_LABELS
from selfplay.telemetry.prometheus import INFO, make_registry
from tests.telemetry.samples import FULL

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "monitoring.md"
SHOWN = {metric.prometheus_name: metric for metric in METRICS.values() if metric.prometheus_name}
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
    for name, metric in SHOWN.items():
        assert re.fullmatch(r"selfplay_[a-z]+(_[a-z]+)*", name)
        assert metric.help and metric.help == metric.help.strip()
        # Base units only, and a share is a ratio.
        assert not re.search(r"milli|micro|minutes|hours|kilo|mega|percent", name)
        assert name.endswith("_ratio") == ("share" in metric.unit or "/p" in metric.unit
                                           or "points per" in metric.unit)  # fmt: skip
        if metric.unit == "seconds":
            assert re.search(r"_seconds(_total)?$", name)
    # Two metrics of one name would be one metric.
    assert len(SHOWN) == sum(bool(metric.prometheus_name) for metric in METRICS.values())


def test_the_page_is_what_the_snapshot_says() -> None:
    values = samples(
        {
            "matches": 12,
            "positions": 340,
            "losses": {"policy": 1.5, "total": 2.0},
            "results": {"first": 0.5, "draw": 0.25, "second": 0.25},
            "strength": FULL.metrics["strength"],
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


def test_the_documentation_names_no_other_metrics() -> None:
    named = set(re.findall(r"`(selfplay_[a-z_]+)`", DOCUMENTATION.read_text()))
    assert named == SHOWN.keys() | {INFO}
