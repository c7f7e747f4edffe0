"""Chaos in small: some of every fault, on a run that must not notice; see `benchmarks/chaos.py`."""

from collections import Counter
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.chaos import OTHERS, WHAT, plan, table
from benchmarks.faults.driver import Chaos
from benchmarks.faults.outcome import MUST_BE_ZERO, count_outcome
from tests.programs import keep_new, link_known
from tests.training.runs import make_run, match_files, tiny_components, train_all


def endure(folder: Path, faults: list[str], *, seed: int) -> str:
    """Returns the table of what was tried."""
    chaos = Chaos(folder, seed=seed)
    try:
        link_known(folder / "programs")
        chaos.wait_for_progress(checkpoint=True)
        chaos.wait_for(lambda: any(chaos.run.glob("ratings/[0-9]*.jsonl")), "no evaluation")
        keep_new(folder / "programs")
        for kind in faults:
            chaos.fault(kind)
        result = chaos.finish()
    finally:
        chaos.close()
    assert chaos.survived == chaos.tried
    assert sum(chaos.tried.values()) == len(faults)
    assert result["matches"] > 0
    assert result["update"] > 0
    assert {name: result[name] for name in MUST_BE_ZERO} == dict.fromkeys(MUST_BE_ZERO, 0)
    # One whose predecessor vanished in a kill is looked at a minute later, or after the test.
    damaged = result["damaged_files"] + result["damaged_files_left"]
    assert damaged == faults.count("damaged matches")
    return table(chaos, result, seconds=0.0)


def test_some_faults_change_nothing(tmp_path: Path) -> None:
    # A wrong clock comes with a second kill; test_kill.py has more of them.
    faults = ["SIGKILL", "SIGTERM", "SIGSTOP", *OTHERS]
    text = endure(tmp_path / "chaos", faults, seed=1)
    assert all(kind in text for kind in WHAT)


@pytest.mark.slow
def test_many_faults_change_nothing(tmp_path: Path) -> None:
    endure(tmp_path / "chaos", plan(40, seed=2), seed=2)


def test_what_is_wrong_is_counted_and_printed(tmp_path: Path) -> None:
    chaos: Any = SimpleNamespace(tried=Counter(), survived=Counter(), slowest_end=1.0)
    counts = {name: 11 + index for index, name in enumerate(MUST_BE_ZERO)}
    others = ("matches", "files", "confirmed_files", "damaged_files", "damaged_files_left",
              "evaluations", "update")  # fmt: skip
    text = table(chaos, {**counts, **dict.fromkeys(others, 7)}, seconds=0.0)
    # No number is a word of the sentence: each is what was counted.
    assert [name for name, count in counts.items() if f" {count} " not in text] == []
    assert " 0 " not in text.rpartition("At the end")[2].replace("0 minutes", "")


def test_a_lost_and_a_changed_file_are_seen(tmp_path: Path) -> None:
    run, components = make_run(tmp_path / "run", tiny_components())
    train_all(run, components)
    names = sorted(match_files(run))
    lines = [f"loop {index} {sha256(match_files(run)[name]).hexdigest()}\n"
             for index, name in enumerate(names)]  # fmt: skip
    confirmed = tmp_path / "confirmed"
    confirmed.write_text("".join(lines))
    found = count_outcome(run.path, confirmed)
    assert (found["lost"], found["changed"], found["twice"], found["not_learnt"]) == (0, 0, 0, 0)
    confirmed.write_text("".join([*lines[1:], f"loop 0 {'0' * 64}\n", f"loop 999 {'0' * 64}\n"]))
    found = count_outcome(run.path, confirmed)
    assert (found["lost"], found["changed"]) == (1, 1)
