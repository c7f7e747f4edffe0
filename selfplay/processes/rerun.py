"""Making a checkpoint again from the records of its run: the proof that they say everything."""

from jax.sharding import Mesh

from selfplay.errors import RunError
from selfplay.processes.cursor import Cursor
from selfplay.processes.learning import Learning, run_keys
from selfplay.processes.ledger import Take, read_segment
from selfplay.processes.parts import make_parts
from selfplay.run import Config, RunDirectory


def rerun(run: RunDirectory, update: int, *, mesh: Mesh | None = None) -> Learning:
    """Returns the learning half as it was at a checkpoint, from its seed and its files alone.

    Every update is made again: this takes as long as training did. On the same devices the
    weights are those of the checkpoint, bit for bit. Nothing is written.

    Args:
        run: the run.
        update: of a checkpoint.
        mesh: as many devices as the trainer had; by default all local ones.

    Raises:
        RunError: the run began before there was a ledger, or a part of it is missing, or it is a
            copy of a run that began with weights from elsewhere.
        RecordError: a file of matches is missing.
    """
    cursor = Cursor.from_json(run.checkpoints.metadata(update)["cursor"])
    if not cursor.segments:
        raise RunError(f"checkpoint {update} of {run.url} has no ledger")
    if run.weights_origin is None and _copies_weights(run):
        raise RunError(
            f"{run.url} is a copy of a run that began with weights from elsewhere",
            hint="make the checkpoints of that run again: the copy does not have its first one",
        )
    game = run.make_game()
    settings, _ = read_segment(run, 0)
    config = Config.from_dict(settings)
    keys = run_keys(config.trainer.seed)
    learning = Learning(
        run, make_parts(game, config, learner_mesh=mesh), init_key=keys.init, update_key=keys.update
    )
    if run.weights_origin is not None:
        # Not those of the seed: checkpoint 0 has them, and is always kept.
        for _ in learning.restore(0):
            pass
    for segment in range(cursor.segments):
        of_segment, events = read_segment(run, segment)
        if of_segment != settings:
            settings = of_segment
            learning.change_parts(make_parts(game, Config.from_dict(settings), learner_mesh=mesh))
        for event in events:
            if isinstance(event, Take):
                learning.take_in(*event, run.matches.get(*event))
            else:
                learning.learn(event.updates, time_share=event.time_share)
    if learning.update != update:
        raise RunError(
            f"the ledger of {run.url} leads to update {learning.update}, not {update}",
            hint="the run began before there was a ledger",
        )
    return learning


def _copies_weights(run: RunDirectory) -> bool:
    """Returns whether a clone's first weights are not those of its seed: they are not there."""
    origin = run.document.get("origin", {}).get("origin")
    while origin is not None:
        if origin.get("weights_only"):
            return True
        origin = origin.get("origin")
    return False
