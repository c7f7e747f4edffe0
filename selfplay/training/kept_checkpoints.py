"""Which checkpoints of a run are kept."""

from selfplay.run import RunDirectory
from selfplay.settings import Config

_SPREAD_SHARE = 0.1
"""Of `storage.max_bytes`, for the older checkpoints that cover the training."""


def prune_checkpoints(run: RunDirectory, config: Config, newest: int) -> None:
    """Removes the checkpoints of a run that are not to be kept.

    Args:
        run: the run.
        config: says how many are kept.
        newest: update of the newest checkpoint, whose size stands for all.

    Raises:
        StorageError: the store cannot be reached or refuses.
    """
    spread, limit = config.trainer.spread_checkpoints, config.storage.max_bytes
    if spread and limit:
        size = max(1, run.checkpoints.size(newest))
        spread = min(spread, int(_SPREAD_SHARE * limit / size))
    run.checkpoints.prune(
        keep_last=config.trainer.keep_checkpoints,
        spread=spread,
        pinned_every=config.trainer.pinned_every_updates,
        # Weights from another run cannot be made again.
        pinned=() if run.weights_origin is None else (0,),
    )
