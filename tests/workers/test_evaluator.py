"""The evaluator: every new checkpoint meets the opponents and an earlier self; nobody waits."""

import shutil
import threading
import time
from pathlib import Path

import pytest

from selfplay.errors import ConfigError
from selfplay.run import RunDirectory, read_evaluations, read_heartbeats
from selfplay.runtime.lifetime import Lifetime
from selfplay.workers.evaluator import EvaluatorOptions, EvaluatorProcess, evaluate
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
    with pytest.raises(ConfigError, match="settings of search are dictated by the run"):
        evaluate(str(template), options, Lifetime())
