"""A fleet ends when its run has cost as much as it may."""

from pathlib import Path

import pytest

from selfplay.errors import ConfigError, RunError, StorageError
from selfplay.fleet import budget
from selfplay.fleet.budget import Budget
from selfplay.fleet.fleet import Fleet
from selfplay.fleet.request import make_fleet
from selfplay.fleet.supervisor import Supervisor
from selfplay.run.heartbeats import write_heartbeat
from selfplay.store import open_store
from tests.fleet.test_supervisor import FakeStarter


def make(run: Path, *settings: str) -> Fleet:
    return make_fleet(
        run=str(run), game="g", settings=settings, workers=1, evaluators=0, environ={}
    )


def works(run: Path, hours: float) -> None:
    write_heartbeat(run, "worker", "w", {"started": 1, "lived_seconds": hours * 3600})


def test_a_fleet_without_prices_has_no_bill(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no prices") as caught:
        Budget(make(tmp_path), 5.0, print)
    assert "cost.worker_hour" in str(caught.value.hint)


def test_the_prices_are_those_of_the_run_and_then_of_the_launch(tmp_path: Path) -> None:
    works(tmp_path, 10.0)
    open_store(tmp_path).write("run.toml", b"[config.cost]\nworker_hour = 2.0\n")
    assert Budget(make(tmp_path), 50.0, print).cost() == pytest.approx(20.0)
    cheaper = make(tmp_path, "cost.worker_hour=0.5")
    assert Budget(cheaper, 50.0, print).cost() == pytest.approx(5.0)


def test_reanalyzers_are_on_the_bill(tmp_path: Path) -> None:
    write_heartbeat(tmp_path, "reanalyzer", "r", {"started": 1, "lived_seconds": 2 * 3600})
    assert Budget(make(tmp_path, "cost.reanalyzer_hour=3"), 50.0, print).cost() == pytest.approx(6)


def test_the_supervisor_ends_the_fleet_at_the_limit(tmp_path: Path) -> None:
    now = [0.0]
    fleet = make(tmp_path, "cost.worker_hour=0.5")
    works(tmp_path, 9.0)
    watched = Budget(fleet, 5.0, print, clock=lambda: now[0])
    starter = FakeStarter()
    supervisor = Supervisor(fleet.processes(), starter, spent=watched.spent, look_seconds=0.0)
    assert supervisor.look() is None
    works(tmp_path, 11.0)
    # Once a minute is enough.
    assert supervisor.look() is None
    now[0] = 61.0
    outcome = supervisor.run()
    assert "has cost 5.50, and --max-cost is 5" in outcome.reason and not outcome.error
    assert all(handle.asked for _, handle in starter.started)
    # The same command is refused at once; a larger limit resumes.
    with pytest.raises(RunError, match=r"has cost 5\.50 already"):
        Budget(fleet, 5.0, print)
    assert Budget(fleet, 6.0, print).spent() == ""


def test_a_store_that_is_away_does_not_end_the_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    said: list[str] = []
    watched = Budget(make(tmp_path, "cost.worker_hour=1"), 5.0, said.append, clock=lambda: now[0])
    now[0] = 61.0

    def away(run: str) -> dict[str, float]:
        raise StorageError("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(budget, "hours_by_role", away)
        assert watched.spent() == ""
    assert "cannot be read: the store is away" in said[0]
    works(tmp_path, 6.0)
    now[0] = 122.0
    assert "has cost 6.00" in watched.spent()
