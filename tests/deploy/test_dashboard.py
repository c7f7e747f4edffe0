"""The dashboard: it asks only for what there is."""

import re

from selfplay.telemetry import METRICS
from selfplay.telemetry.metric import COMMON_LABELS
from selfplay.telemetry.prometheus import INFO
from tests.deploy.files import ROOT, dashboard

BY_NAME = {metric.prometheus_name: metric for metric in METRICS.values() if metric.prometheus_name}

# Of prometheus-client itself.
FOREIGN = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


def expressions() -> list[str]:
    return [
        target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())
    ]


def labels_of(name: str) -> set[str]:
    return {*COMMON_LABELS, "version"} if name == INFO else set(BY_NAME[name].prometheus_labels)


def test_every_metric_and_label_exists() -> None:
    assert len(expressions()) > 20
    for text in expressions():
        names = set(re.findall(r"\b(?:selfplay|process)_\w+", text))
        assert names and names <= BY_NAME.keys() | {INFO} | FOREIGN, text
        for name, selector in re.findall(r"\b(selfplay_\w+)\{([^}]*)\}", text):
            used = set(re.findall(r"(\w+)\s*=", selector))
            assert "run" in used and used <= labels_of(name), text


def test_counters_are_asked_for_their_growth_only() -> None:
    for text in expressions():
        for name in re.findall(r"\b(selfplay_\w+)\{", text):
            asked = rf"(?:rate|increase)\({name}\{{[^}}]*\}}\[\d+m\]\)"
            counted = re.search(asked, text) is not None
            assert counted == (name != INFO and BY_NAME[name].counter), text


def test_legends_name_labels_that_are_there() -> None:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            wanted = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = re.search(r"sum by \((\w+)\)", target["expr"])
            (first, *_) = re.findall(r"\bselfplay_\w+", target["expr"])
            available = {grouped[1]} if grouped else labels_of(first)
            assert wanted <= available, panel["title"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not taken & cells and max(x for x, _ in cells) < 24
        taken |= cells
    identifiers = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(identifiers)) == len(identifiers)


def test_expressions_of_the_documentation_exist_too() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text()
    used = set(re.findall(r"\bselfplay_\w+", text))
    assert used <= BY_NAME.keys() | {INFO}
