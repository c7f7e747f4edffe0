"""The network of a checkpoint with its weights, and agents that search with it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import PyTree

from selfplay.arena.agents import DEFAULT_BATCH_SIZE, SearchAgent
from selfplay.checkpoints import Checkpoints
from selfplay.errors import CheckpointError
from selfplay.game import Game
from selfplay.inference import Inference, instead_of, make_inference, usable_here
from selfplay.networks import Network, Weights, build_network
from selfplay.registry import fingerprint
from selfplay.run import RunDirectory, find_checkpoint
from selfplay.settings import Config, SearchConfig


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


def agent_inference(
    stored: StoredNetwork,
    asked: str | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Inference:
    """Returns what computes the network of a checkpoint for an agent, which does not calibrate.

    Args:
        stored: the network.
        asked: a value of `search.inference`. By default what the run names, or "auto" where this
            machine cannot use that.
        say: is told if the run names a backend that this machine cannot use.

    Raises:
        ConfigError: the network cannot be computed here by what was asked for.
    """
    problem = ""
    if asked is None:
        asked, problem = usable_here(stored.inference, stored.config.network)
    found = make_inference(
        stored.game, stored.network, stored.config.network, asked, calibrates=False
    )
    if problem:
        say(f"{instead_of(stored.inference, problem)}, which is {found.kind}")
    return found


def load_weights(
    checkpoints: Checkpoints, update: int, network: Network, *, item: str = "weights"
) -> Weights:
    """Returns the weights of a checkpoint that `network` needs; other heads are left out.

    Args:
        checkpoints: of the run.
        update: which checkpoint.
        network: the network.
        item: of the checkpoint that holds the weights.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or of another network.
    """
    stored = checkpoints.load(update, item)
    wanted = network.weight_shapes()
    for name, shape in wanted.items():
        found = stored.get(name)
        if found is None or found.shape != shape.shape:
            raise CheckpointError(
                f"checkpoint {update} of {checkpoints.url} has {name} as "
                f"{None if found is None else found.shape}, but its network needs {shape.shape}",
                hint="it was written with other network settings, or the game has changed",
            )
    return jax.device_put({name: stored[name] for name in wanted})


class CheckpointPlayers:
    """Makes agents of the checkpoints of one run, which all search alike.

    The weights of an agent take memory until it is released.
    """

    def __init__(
        self,
        stored: StoredNetwork,
        search: SearchConfig,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        inference: str | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Chooses what computes the network; compiles nothing.

        Args:
            stored: one of the checkpoints; only its weights differ from those of the others.
            search: how all of them search.
            batch_size: positions searched at once.
            inference: what computes the network, as for `agent_inference`.
            say: likewise.

        Raises:
            ConfigError: the network cannot be computed here by what was asked for.
        """
        self._stored = stored
        self._search = search
        self._batch_size = batch_size
        self._inference = agent_inference(stored, inference, say)
        self._first: SearchAgent | None = None
        self._loaded: dict[int, PyTree] = {}

    def agent(self, name: str, weights: Weights) -> SearchAgent:
        """Returns an agent.

        Args:
            name: of the agent.
            weights: of the run's network.
        """
        params = self._inference.load(weights)
        if self._first is None:
            self._first = SearchAgent(
                name,
                self._stored.game,
                self._inference.evaluate,
                params,
                self._search,
                batch_size=self._batch_size,
            )
        # A copy, so that the agent that is released is never the one that others are made from.
        agent = self._first.with_params(name, params)
        self._loaded[id(agent)] = params
        return agent

    def release(self, agent: SearchAgent) -> None:
        """Frees the weights of an agent, which must not be used any more."""
        self._inference.release(self._loaded.pop(id(agent)))
