"""selfplay train: what it says at the end."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest
from typer.testing import CliRunner

from selfplay.cli.main import app
from selfplay.cli.training.summary import reached
from selfplay.errors import RunError


@pytest.mark.parametrize("update", [0, 3])
def test_a_run_without_an_update_is_said_to_have_learnt_nothing(update: int) -> None:
    trainer: Any = SimpleNamespace(
        elapsed=5.0,
        update=update,
        saved=update,
        evaluates=True,
        run=SimpleNamespace(url="runs/a"),
        strength=SimpleNamespace(
            results={}, mistakes=SimpleNamespace(rates=()), suite=SimpleNamespace(scores=())
        ),
    )
    text = " ".join(" ".join(pair) for pair in reached(trainer, finished=True))
    assert f"at update {update}" in text
    assert ("this run has learnt nothing" in text) == (update == 0)
    # Nothing was measured: it says so, and which command does.
    assert ("strength not measured in this time; selfplay arena" in text) == (update == 3)


def test_a_new_run_on_an_accelerator_gets_settings_that_fit_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[dict[str, Any]] = []

    def open_session(place: Path, spec: Any, game: Any, settings: Any, **rest: Any) -> None:
        asked.append(dict(settings))
        raise RunError("enough", hint="of a test")

    monkeypatch.setattr("selfplay.training.session.open_session", open_session)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    run = tmp_path / "run"
    for _ in range(2):
        CliRunner().invoke(app, ["train", "tic_tac_toe", "--updates", "1", "--run", str(run)])
        # A run that exists keeps its own.
        run.mkdir(exist_ok=True)
        (run / "run.toml").touch()
    assert [settings.get("learner", {}).get("batch_size") for settings in asked] == [1024, None]
