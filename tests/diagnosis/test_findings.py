"""Every finding finds what it is for, and nothing else; sound runs have none."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from selfplay.diagnosis.diagnose import Diagnosis, diagnose
from selfplay.diagnosis.evidence import Evidence, read_evidence
from selfplay.diagnosis.table import FINDINGS
from selfplay.run import RunDirectory
from selfplay.settings import Config
from tests.diagnosis.bad_runs import BAD, SOUND
from tests.diagnosis.made_runs import MadeRun
from tests.training.runs import SPEC


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    path = tmp_path_factory.mktemp("made") / "run"
    return RunDirectory.create(path, SPEC, SPEC.make(), Config()).document


def problems(diagnosis: Diagnosis) -> list[str]:
    return [finding.name for finding, _ in diagnosis.named("problem")]


def test_every_finding_has_a_bad_run() -> None:
    assert BAD.keys() == FINDINGS.keys()
    assert len(BAD) >= 10 and len(SOUND) >= 5


@pytest.mark.parametrize("name", BAD)
def test_a_bad_run_is_found_by_its_cause_alone(name: str) -> None:
    found = diagnose(BAD[name].evidence())
    assert problems(found) == [name]
    assert name in found.headline
    judgement = found.judgements[name]
    assert judgement.number is not None and math.isfinite(judgement.number)
    assert any(letter.isdigit() for letter in judgement.words)
    assert found.learns is (not FINDINGS[name].decides)
    (entry,) = [one for one in found.to_dict()["findings"] if one["state"] == "problem"]
    assert entry["name"] == name and entry["threshold"] and entry["advice"]


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_run_has_no_problem(name: str) -> None:
    found = diagnose(SOUND[name].evidence())
    assert problems(found) == []
    assert found.learns is (None if name == "in its first minute" else True)


def test_of_an_empty_run_nothing_can_be_told() -> None:
    found = diagnose(Evidence(config=Config()))
    assert {judgement.state for judgement in found.judgements.values()} == {"unknown"}
    assert all("cannot tell yet: " in one.words for one in found.judgements.values())
    assert found.headline == "too early to tell"
    assert found.to_dict()["learns"] is None


def test_the_slope_of_the_loss_is_reported() -> None:
    falling = diagnose(MadeRun().evidence()).trend
    assert falling is not None
    # From 2.0 to 1.2 over 3,000 updates.
    assert falling["low"] < -0.8 / 3 < falling["high"] < 0
    flat = diagnose(BAD["plateau"].evidence()).trend
    assert flat is not None and flat["low"] < 0 < flat["high"]


def test_damaged_files_are_named_and_the_rest_is_judged(
    document: Mapping[str, Any], tmp_path: Path
) -> None:
    run = MadeRun().write(tmp_path / "run", document)
    next((run.path / "matches" / "loop").glob("*.parquet")).write_bytes(b"?")
    next((run.path / "ratings").glob("*.jsonl")).write_bytes(b"?")
    evidence = read_evidence(run, network=False)
    assert len(evidence.problems) == 2
    assert len(evidence.matches) == 225
    found = diagnose(evidence)
    assert found.judgements["value calibration"].state == "fine"
    assert found.to_dict()["unreadable"] == list(evidence.problems)


def test_strength_that_is_not_measured_is_said() -> None:
    config = Config().updated({"evaluation": {"enabled": False}})
    found = diagnose(Evidence(config=config))
    assert problems(found) == ["thin evaluation"]


def test_no_simulations_teach_nothing() -> None:
    raw = MadeRun(settings={"search": {"num_simulations": 0}})
    assert problems(diagnose(raw.evidence())) == ["search gain"]


def test_reuse_is_named_where_overfitting_is_not_measured() -> None:
    found = diagnose(MadeRun().evidence())
    overfitting = found.judgements["overfitting"]
    assert overfitting.state == "unknown"
    assert "each position was used 6.4 times" in overfitting.words


def test_what_is_read_of_files_is_judged_alike(document: Mapping[str, Any], tmp_path: Path) -> None:
    made = dataclasses.replace(SOUND["keeps matches out"], worker_waiting=0.1, mistakes=0.3)
    known = made.evidence()
    read = read_evidence(made.write(tmp_path / "run", document), network=False)
    found = dataclasses.replace(read, weights=known.weights, quality=known.quality)
    assert read.problems == () and len(read.matches) == len(known.matches)
    for name, judgement in diagnose(known).judgements.items():
        state, words, number = diagnose(found).judgements[name]
        assert (name, state) == (name, judgement.state)
        # Event files hold single precision.
        assert (number is None) == (judgement.number is None), words
        if number is not None and judgement.number is not None:
            assert number == pytest.approx(judgement.number, rel=1e-3, abs=1e-4), words
