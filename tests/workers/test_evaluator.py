"""The evaluator: every new checkpoint meets the opponents and an earlier self; nobody waits."""

import dataclasses
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import ConfigError
from selfplay.run import RunDirectory, read_evaluations, read_heartbeats
from selfplay.runtime.components import make_components
from selfplay.runtime.lifetime import Lifetime
from selfplay.workers.evaluator import EvaluatorOptions, EvaluatorProcess, evaluate
from selfplay.workers.joining import silent
from selfplay.workers.trainer_watch import load_published
from tests.training.runs import make_run, tiny_components, train_all

SETTINGS = {
    "evaluation": {
        "opponents": ("random",),
        "matches": 4,
        "simulations": 2,
        "mistake_positions": 20,
    }
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a run with the checkpoints 0, 4 and 8; not to be changed."""
    path = tmp_path_factory.mktemp("evaluator") / "run"
    train_all(*make_run(path, tiny_components(), updates=8, checkpoint_updates=4))
    return path


def rate(path: Path, lifetime: Lifetime) -> EvaluatorProcess | None:
    return evaluate(str(path), EvaluatorOptions(id="e", settings=SETTINGS), lifetime)


def test_new_checkpoints_are_rated_as_they_come(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("selfplay.workers.evaluator._LOOK_SECONDS", 0.02)
    path = shutil.copytree(template, tmp_path / "run")
    for later in ("4", "8"):
        (path / "checkpoints" / later).rename(tmp_path / later)
    lifetime = Lifetime()
    done: list[EvaluatorProcess | None] = []
    thread = threading.Thread(target=lambda: done.append(rate(path, lifetime)))
    thread.start()
    store = RunDirectory.open(path).store

    def wait_for(count: int) -> None:
        deadline = time.monotonic() + 120
        while len(read_evaluations(store)) < count:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    try:
        wait_for(1)
        (tmp_path / "4").rename(path / "checkpoints" / "4")
        wait_for(3)
        (tmp_path / "8").rename(path / "checkpoints" / "8")
        wait_for(5)
    finally:
        lifetime.stop()
        thread.join(120)
    rows = [(row["update"], row["opponent"], row["matches"]) for row in read_evaluations(store)]
    assert sorted(rows) == [
        (0, "random", 4), (4, "@0", 4), (4, "random", 4), (8, "@4", 4), (8, "random", 4),
    ]  # fmt: skip
    assert read_heartbeats(store) == []
    # The next one rates nothing again.
    again = rate(path, Lifetime(idle_exit_seconds=0.3))
    assert again is not None
    assert again.rated == []
    assert len(read_evaluations(store)) == 5


def test_it_ends_after_so_many_matches_and_can_be_stopped_in_the_middle(
    template: Path, tmp_path: Path
) -> None:
    path = shutil.copytree(template, tmp_path / "run")
    lifetime = Lifetime(max_matches=4)
    evaluator = rate(path, lifetime)
    assert evaluator is not None
    assert lifetime.matches == 4
    stopped = Lifetime()
    other = shutil.copytree(template, tmp_path / "other")

    class Stopping(Lifetime):
        """Ends after the first ply of the first match."""

        asked = 0

        @property
        def stopped(self) -> bool:
            self.asked += 1
            if self.asked > 1:
                stopped.stop()
                self.stop()
            return super().stopped

    assert rate(other, Stopping()) is not None
    assert stopped.over
    assert read_evaluations(RunDirectory.open(other).store) == []


def test_settings_of_the_run_are_not_its_own(template: Path) -> None:
    options = EvaluatorOptions(settings={"search": {"num_simulations": 9}})
    with pytest.raises(ConfigError, match=r"search\.num_simulations is set by the run"):
        evaluate(str(template), options, Lifetime())


def test_it_takes_over_settings_that_the_trainer_has_changed(
    template: Path, tmp_path: Path
) -> None:
    run = RunDirectory.open(shutil.copytree(template, tmp_path / "run"))
    config = run.config.updated(
        {"evaluation": {"opponents": ("random",), "matches": 4, "mistake_positions": 20}}
    )
    components = make_components(run.make_game(), config)
    said: list[str] = []
    listeners = dataclasses.replace(silent("evaluator"), say=said.append)
    listeners.monitor.id = "e"
    settings = {"search": {"inference": "onnx"}}

    def rate(update: int, changed: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """Rates a checkpoint of a trainer that was started again with other settings."""
        published = load_published(run, update, components.network)
        published = dataclasses.replace(published, config=config.updated(changed))
        evaluator = EvaluatorProcess(
            run,
            components,
            id="e",
            lifetime=Lifetime(max_matches=4),
            listeners=listeners,
            settings=settings,
        )
        evaluator.work(published)
        return [row for row in read_evaluations(run.store) if row["update"] == update]

    for update, simulations in ((4, 2), (8, 6)):
        (row,) = rate(update, {"search": {"num_simulations": simulations}})
        assert (row["simulations"], row["opponent"]) == (simulations, "random")
    assert said.count("the trainer has changed its settings: compiling") == 2


def test_it_keeps_its_settings_where_those_of_the_trainer_cannot_be_used(
    template: Path, tmp_path: Path
) -> None:
    run = RunDirectory.open(shutil.copytree(template, tmp_path / "run"))
    config = run.config.updated(
        {"evaluation": {"opponents": ("random",), "matches": 4, "mistake_positions": 20}}
    )
    components = make_components(run.make_game(), config)
    said: list[str] = []
    listeners = dataclasses.replace(silent("evaluator"), say=said.append)
    listeners.monitor.id = "e"
    published = load_published(run, 8, components.network)
    absent = config.updated({"evaluation": {"opponents": ("runs/elsewhere",)}})
    evaluator = EvaluatorProcess(
        run, components, id="e", lifetime=Lifetime(max_matches=4), listeners=listeners
    )
    evaluator.work(dataclasses.replace(published, config=absent))
    assert [row["opponent"] for row in read_evaluations(run.store)] == ["random"]
    assert said[0].startswith("the trainer has changed its settings, which cannot be used here: ")
