"""Makes a checkpoint again from the records of its run, to prove that they are complete."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from selfplay.errors import RunError
from selfplay.game import Game
from selfplay.registry import GameSpec
from selfplay.run import RunDirectory
from selfplay.runtime.components import Components, make_components
from selfplay.runtime.process_config import process_config
from selfplay.settings import Config
from selfplay.training.cursor import Cursor
from selfplay.training.learning import Learning
from selfplay.training.training_log import Renew, Take, read_segment


def rerun(
    run: RunDirectory,
    update: int,
    *,
    start: int | None = None,
    game: GameSpec | None = None,
    mesh: Mesh | None = None,
    progress: Callable[[int], None] = lambda update: None,
) -> Learning:
    """Returns the `Learning` of a checkpoint, made from the seed and the files of the run.

    It makes every update again, which takes as long as the updates took in training. On the same
    devices the weights are those of the checkpoint, bit for bit. Nothing is written.

    Args:
        run: the run.
        update: of a checkpoint.
        start: update of an earlier checkpoint to start from; by default the beginning of the run.
        game: where the game of the run is now; None for where the run has it.
        mesh: as many devices as the trainer had; by default all local ones.
        progress: called now and then with the number of updates reached.

    Raises:
        RunError: the run has no training log, or lacks a segment of it; or it is a copy of a run
            that began with weights from elsewhere; or `start` is not earlier.
        CheckpointError: a checkpoint is missing or damaged.
        RecordError: a file of matches is missing.
    """
    cursor = Cursor.from_json(run.checkpoints.metadata(update)["cursor"])
    if not cursor.segments:
        raise RunError(f"checkpoint {update} of {run.url} has no training log")
    if start is None and run.weights_origin is None and _copies_weights(run):
        raise RunError(
            f"{run.url} is a copy of a run that began with weights from elsewhere",
            hint="make the checkpoints of that run again: the copy does not have its first one",
        )
    first = _segments_before(run, start, update)
    rules = run.make_game(game)
    settings, _ = read_segment(run, first)
    config = Config.from_dict(settings)
    learning = Learning(run, _components(rules, config, mesh))
    if start is None and run.weights_origin is not None:
        # These weights do not come from the seed; checkpoint 0 has them, and is always kept.
        start = 0
    if start is not None:
        for _ in learning.restore(start):
            pass
    for segment in range(first, cursor.segments):
        of_segment, events = read_segment(run, segment)
        if (changed := Config.from_dict(of_segment)) != config:
            config = changed
            learning.change_components(_components(rules, config, mesh))
        for event in events:
            if isinstance(event, Take):
                learning.take_in(*event, run.matches.get(*event))
            elif isinstance(event, Renew):
                learning.renew(*event, run.reanalyses.get(*event))
            else:
                learning.learn(event.updates, time_share=event.time_share)
            progress(learning.update)
    if learning.update != update:
        raise RunError(
            f"the training log of {run.url} leads to update {learning.update}, not {update}",
            hint="the run began with an early version of selfplay, which wrote no log",
        )
    return learning


def largest_difference(learning: Learning, update: int) -> float:
    """Returns the largest difference between the train state and that of a checkpoint.

    The train state is weights, their average and the optimiser's state; 0 if it is equal bit for
    bit.

    Raises:
        CheckpointError: the checkpoint is missing or damaged.
    """
    stored = learning.run.checkpoints.load(
        update, "train_state", learning.components.learner.like()
    )
    pairs = zip(jax.tree.leaves(learning.state), jax.tree.leaves(stored), strict=True)
    return max(
        float(np.max(np.abs(np.asarray(one, float) - np.asarray(other, float)), initial=0.0))
        for one, other in pairs
    )


def _components(game: Game[Any], config: Config, mesh: Mesh | None) -> Components:
    """Returns the components that learn under these settings; they do not play."""
    here = process_config(config, {}, named=config.search.inference)
    return make_components(game, here, learner_mesh=mesh)


def _segments_before(run: RunDirectory, start: int | None, update: int) -> int:
    """Returns the number of segments of the training log before the checkpoint to start from."""
    if start is None:
        return 0
    if start >= update:
        raise RunError(
            f"checkpoint {update} of {run.url} is to be made again from {start}, which is not "
            "an earlier one"
        )
    return Cursor.from_json(run.checkpoints.metadata(start)["cursor"]).segments


def _copies_weights(run: RunDirectory) -> bool:
    """Returns whether the first weights of a clone came from another run, not from its seed."""
    origin = run.document.get("origin", {}).get("origin")
    while origin is not None:
        if origin.get("weights_only"):
            return True
        origin = origin.get("origin")
    return False
