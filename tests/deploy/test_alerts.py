"""The alerts of Prometheus: each fires on trouble of its kind, and none on a run that is sound."""

import functools
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.files import DEPLOY, ROOT, compose, program
from tests.deploy.test_dashboard import BY_NAME, labels_of

RULES = DEPLOY / "prometheus" / "alerts.yml"
PROMTOOL = program("promtool")

Series = dict[str, tuple[float, float]]
"""A value at the beginning, and by how much it grows a minute, by name and role."""

SOUND: Series = {
    "ready trainer": (1, 0),
    "ready worker": (1, 0),
    "matches_total trainer": (0, 100),
    "matches_total worker": (0, 100),
    "update trainer": (0, 60),
    "starved_seconds trainer": (0, 0),
    "checkpoint_age_seconds trainer": (30, 0),
    "checkpoint_age_seconds worker": (60, 0),
    "staleness_updates worker": (20, 0),
    "heartbeat_age_seconds trainer": (1, 0),
    "heartbeat_age_seconds worker": (1, 0),
    "damaged_files_total trainer": (3, 0),
    "store_errors_total worker": (5, 0),
    "store_errors_total trainer": (0, 0),
}
"""A run at work. Some errors lie behind it."""

TROUBLE: dict[str, Series] = {
    "SelfplayNobodyPlays": {"ready worker": (0, 0), "matches_total trainer": (500, 0)},
    "SelfplayTrainerStarved": {"starved_seconds trainer": (0, 60)},
    "SelfplayTrainerStandsStill": {"update trainer": (900, 0)},
    "SelfplayCheckpointStale": {"checkpoint_age_seconds trainer": (0, 60)},
    "SelfplayWorkerStale": {"checkpoint_age_seconds worker": (0, 60)},
    "SelfplayProcessSilent": {"heartbeat_age_seconds worker": (0, 60)},
    "SelfplayDamagedFiles": {"damaged_files_total trainer": (0, 0.1)},
    "SelfplayStoreErrors": {"store_errors_total worker": (0, 1)},
}

ALONE: Series = {name: series for name, series in SOUND.items() if not name.endswith("worker")}
"""`selfplay train`, which plays its own matches: there is no worker."""

OWN_COMPILATION: Series = SOUND | {"heartbeat_age_seconds worker": (800, 0)}

MINUTES = 180


@functools.cache
def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def test_every_metric_and_label_exists() -> None:
    for rule in rules():
        names = set(re.findall(r"\bselfplay_\w+", rule["expr"]))
        assert names and names <= BY_NAME.keys(), rule["alert"]
        for name, selector in re.findall(r"\b(selfplay_\w+)\{([^}]*)\}", rule["expr"]):
            assert set(re.findall(r"(\w+)\s*=", selector)) <= labels_of(name)
        for name in names:
            roles = set(re.findall(rf"{name}\{{role=\"(\w+)\"", rule["expr"]))
            assert roles <= set(BY_NAME[name].processes), rule["alert"]


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    for rule in rules():
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_the_documentation_lists_every_alert() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text()
    assert set(re.findall(r"`(Selfplay\w+)`", text)) == {rule["alert"] for rule in rules()}


def test_prometheus_reads_them_everywhere() -> None:
    settings = yaml.safe_load((RULES.parent / "prometheus.yml").read_text())
    assert settings["rule_files"] == [RULES.name]
    mounted = compose()["services"]["prometheus"]["volumes"]
    assert f"./prometheus/{RULES.name}:/etc/prometheus/{RULES.name}:ro" in mounted
    component = yaml.safe_load((RULES.parent / "kustomization.yaml").read_text())
    (made,) = component["configMapGenerator"]
    assert set(made["files"]) == {"prometheus.yml", RULES.name}


def test_every_alert_has_a_trouble_of_its_own() -> None:
    assert TROUBLE.keys() == {rule["alert"] for rule in rules()}


def run_rules(tmp_path: Path, series: Series) -> set[str]:
    """Returns which alerts fire at the end of three hours, as promtool says."""
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {
                        "series": f'selfplay_{name}{{run="r", role="{role}", id="{role}-1"}}',
                        "values": f"{start}+{step}x{MINUTES}",
                    }
                    for key, (start, step) in series.items()
                    for name, role in [key.split()]
                ],
                "alert_rule_test": [
                    {"eval_time": f"{MINUTES}m", "alertname": rule["alert"], "exp_alerts": []}
                    for rule in rules()
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(document))
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "test", "rules", str(file)], capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0 or "got:" in said, said
    return set(re.findall(r"alertname:\s*(\w+)", said))


needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")


@needs_promtool
@pytest.mark.parametrize("series", [SOUND, ALONE, OWN_COMPILATION], ids=["fleet", "alone", "slow"])
def test_a_sound_run_raises_no_alert(tmp_path: Path, series: Series) -> None:
    assert run_rules(tmp_path, series) == set()


@needs_promtool
@pytest.mark.parametrize("alert", TROUBLE)
def test_trouble_raises_its_own_alert_alone(tmp_path: Path, alert: str) -> None:
    assert run_rules(tmp_path, SOUND | TROUBLE[alert]) == {alert}


@needs_promtool
def test_the_files_are_what_prometheus_reads() -> None:
    assert PROMTOOL is not None
    subprocess.run([PROMTOOL, "check", "config", str(RULES.parent / "prometheus.yml")], check=True)
