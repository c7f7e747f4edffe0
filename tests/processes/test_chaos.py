"""Chaos in small: some of every fault, on a run that must not notice; see `benchmarks/chaos.py`."""

from pathlib import Path

import pytest

from benchmarks.chaos import OTHERS, WHAT, Chaos, plan, table


def endure(folder: Path, faults: list[str], *, seed: int) -> str:
    """Returns the table of what was tried."""
    chaos = Chaos(folder, seed=seed)
    try:
        for kind in faults:
            chaos.fault(kind)
        result = chaos.finish()
    finally:
        chaos.close()
    assert chaos.survived == chaos.tried
    assert sum(chaos.tried.values()) == len(faults)
    assert result["matches"] > 0
    assert result["update"] > 0
    # One whose predecessor vanished in a kill is looked at a minute later, or after the test.
    damaged = result["damaged_files"] + result["damaged_files_left"]
    assert damaged == faults.count("damaged matches")
    return table(chaos, result, seconds=0.0)


def test_some_faults_change_nothing(tmp_path: Path) -> None:
    faults = ["SIGKILL"] * 4 + ["SIGTERM", "SIGSTOP", *OTHERS]
    text = endure(tmp_path / "chaos", faults, seed=1)
    assert all(kind in text for kind in WHAT)


@pytest.mark.slow
def test_many_faults_change_nothing(tmp_path: Path) -> None:
    endure(tmp_path / "chaos", plan(40, seed=2), seed=2)
