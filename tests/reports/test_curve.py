"""The training curve of a run on disk."""

from pathlib import Path

import pytest

from selfplay.errors import RunError
from selfplay.registry import GameSpec, make
from selfplay.reports.curve import training_curve
from selfplay.run import RunDirectory, append_evaluation
from selfplay.settings import Config
from selfplay.telemetry import Progress, TensorBoardWriter


def test_training_curve(tmp_path: Path) -> None:
    output = tmp_path / "curve.png"
    with pytest.raises(RunError, match="does not exist"):
        training_curve(tmp_path / "run", output)
    run = RunDirectory.create(
        tmp_path / "run", GameSpec("tic_tac_toe"), make("tic_tac_toe"), Config()
    )
    with pytest.raises(RunError, match="has nothing to draw yet"):
        training_curve(run.path, output)
    append_evaluation(
        run.path, {"update": 5, "opponent": "random", "score": 0.9, "low": 0.8, "high": 1.0}
    )
    writer = TensorBoardWriter(run.tensorboard_path)
    for update in (5, 6):
        writer.write(
            Progress(
                game="tic_tac_toe",
                run="run",
                metrics={
                    "update": update,
                    "elapsed_seconds": 60.0 * update,
                    "losses": {"total": 1.0 / update},
                },
            )
        )
    writer.close()
    training_curve(run.path, output)
    assert output.read_bytes().startswith(b"\x89PNG")
