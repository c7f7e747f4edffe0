"""The training curve of a run on disk."""

from collections.abc import Callable
from pathlib import Path

from selfplay.errors import RunError
from selfplay.run.directory import RunDirectory
from selfplay.run.mistake_records import read_mistakes
from selfplay.run.ratings import read_evaluations
from selfplay.run.suite_records import read_suite_results
from selfplay.store.place import Place
from selfplay.telemetry.plots import plot_training
from selfplay.telemetry.tensorboard import read_scalars


def training_curve(
    run_path: Place, output: Path, *, say: Callable[[str], None] = lambda text: None
) -> None:
    """Draws strength, suites, mistakes if there is a solver, and losses of a run.

    Args:
        run_path: the run directory.
        output: the picture to write; its ending chooses the format (.png, .svg, .pdf).
        say: is told of damaged files, which are left out.

    Raises:
        RunError: it is not a run, or it has neither evaluations nor losses yet.
        MissingExtraError: matplotlib is not installed.
    """
    run = RunDirectory.open(run_path)
    evaluations = read_evaluations(run.store, lambda error: say(f"left out: {error}"))
    mistakes, suites = read_mistakes(run.store), read_suite_results(run.store)
    run.fetch_files("tensorboard")
    scalars = read_scalars(run.tensorboard_path)
    if not (evaluations or mistakes or suites or scalars):
        raise RunError(f"{run.url} has nothing to draw yet", hint="train it for a minute first")
    plot_training(
        evaluations, scalars, output, title=run.game_name, mistakes=mistakes, suites=suites
    )
