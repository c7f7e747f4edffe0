"""The network of a checkpoint, with its weights."""

from typing import Any, NamedTuple

import jax

from selfplay.checkpoints import Checkpoints
from selfplay.errors import CheckpointError
from selfplay.game import Game
from selfplay.networks import Network, Weights, build_network
from selfplay.registry import fingerprint
from selfplay.run import RunDirectory, find_checkpoint
from selfplay.settings import Config


class StoredNetwork(NamedTuple):
    """What a checkpoint holds for those who play with it.

    Attributes:
        url: of its run.
        update: which checkpoint.
        game: the rules.
        config: the settings in force when it was written.
        inference: what the run names to compute the network, a value of `search.inference`.
        network: their network, without auxiliary heads.
        weights: of that network.
    """

    url: str
    update: int
    game: Game[Any]
    config: Config
    inference: str
    network: Network
    weights: Weights


def load_network(name: str, *, game: Game[Any] | None = None) -> StoredNetwork:
    """Returns the network of a checkpoint.

    Args:
        name: "RUN[@UPDATE]", the newest checkpoint by default.
        game: the rules it must belong to; by default the run's own game.

    Raises:
        RunError: the directory is no run.
        CheckpointError: there is no such checkpoint, it is damaged, or of another game.
    """
    place, update = find_checkpoint(name)
    run = RunDirectory.open(place)
    checkpoints = run.checkpoints
    if game is None:
        game = run.make_game()
    checkpoints.check_game(update, game=game.name, fingerprint=fingerprint(game))
    # Those of the run may have been overridden since.
    settings = checkpoints.metadata(update).get("config")
    config = run.config if settings is None else Config.from_dict(settings)
    network = build_network(game, config.network)
    weights = load_weights(checkpoints, update, network)
    return StoredNetwork(
        run.url, update, game, config, run.config.search.inference, network, weights
    )


def load_weights(checkpoints: Checkpoints, update: int, network: Network) -> Weights:
    """Returns the weights of a checkpoint that `network` needs; other heads are left out.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or of another network.
    """
    stored = checkpoints.load(update, "weights")
    wanted = jax.eval_shape(lambda: network.init(key=jax.random.key(0)))
    for name, shape in wanted.items():
        found = stored.get(name)
        if found is None or found.shape != shape.shape:
            raise CheckpointError(
                f"checkpoint {update} of {checkpoints.url} has {name} as "
                f"{None if found is None else found.shape}, but its network needs {shape.shape}",
                hint="it was written with other network settings, or the game has changed",
            )
    return jax.device_put({name: stored[name] for name in wanted})
