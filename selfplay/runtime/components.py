"""The components of every process: network, inference, self-play and learner of one run."""

import dataclasses
from typing import Any

from jax.sharding import Mesh

from selfplay.game import Game
from selfplay.inference import Inference, make_inference
from selfplay.learner import Learner
from selfplay.mcts import Evaluator
from selfplay.networks import Network, build_network
from selfplay.parallel import local_mesh
from selfplay.records import Provenance
from selfplay.replay import ReplayWindow
from selfplay.rollout import SelfPlayer
from selfplay.run import RunDirectory
from selfplay.runtime.endgame_solver import check_solver
from selfplay.runtime.memory_plan import choose_matches, choose_plies
from selfplay.settings import Config, settings_hash


@dataclasses.dataclass(frozen=True, kw_only=True)
class Components:
    """The components that play and learn in one process.

    Attributes:
        game: the rules.
        config: the settings in force.
        mesh: the devices that share the work.
        network: the network, without weights.
        inference: computes the network for the search.
        player: plays the matches.
        learner: makes the updates.
    """

    game: Game[Any]
    config: Config
    mesh: Mesh
    network: Network
    inference: Inference
    player: SelfPlayer
    learner: Learner

    @property
    def evaluate(self) -> Evaluator:
        """The evaluator of searches; its params come from `inference.load`."""
        return self.inference.evaluate

    def window(self, fingerprint: str = "") -> ReplayWindow:
        """Returns an empty replay window for matches under the rules of that fingerprint."""
        return ReplayWindow(
            self.game,
            self.config.replay,
            fingerprint,
            side_positions=self.config.rollout.side_positions,
        )

    def provenance(self, run: RunDirectory, worker: str) -> Provenance:
        """Returns the origin that the records of `worker` state."""
        return Provenance(
            game=self.game.name,
            version=self.game.version,
            fingerprint=run.fingerprint,
            worker=worker,
            settings_hash=settings_hash(self.config),
            simulations=self.config.search.num_simulations,
        )


def make_components(
    game: Game[Any],
    config: Config,
    *,
    mesh: Mesh | None = None,
    learner_mesh: Mesh | None = None,
    calibrates: bool = True,
) -> Components:
    """Returns the components for `game` under `config`; compiles nothing yet.

    Args:
        game: the rules.
        config: the settings in force.
        mesh: the devices that share the work; by default all local ones.
        learner_mesh: the devices that make updates; by default `mesh`.
        calibrates: whether integer networks get calibrated, as `Playing` does; else
            `search.inference` "auto" leaves out those.

    >>> from selfplay import load_config, make
    >>> config = load_config(preset="quick", environ={}, overrides=["search.inference=xla"])
    >>> components = make_components(make("tic_tac_toe"), config)
    >>> components.network.observation_shape
    (3, 3, 2)
    """
    check_solver(game, config.rollout)
    mesh = mesh or local_mesh()
    network = build_network(game, config.network, **dict.fromkeys(config.learner.extra_heads, True))
    inference = make_inference(
        game, network, config.network, config.search.inference, calibrates=calibrates
    )
    count = choose_matches(game, network, config).count
    chosen = config.updated({"rollout": {"matches_per_device": count}})
    platform = mesh.devices.flat[0].platform
    remembers = inference.traits.remembers
    plies = choose_plies(game, network, chosen, remembers=remembers, platform=platform)
    rollout = dataclasses.replace(chosen.rollout, plies_per_chunk=plies)
    player = SelfPlayer(game, inference.evaluate, config.search, rollout, mesh=mesh)
    return Components(
        game=game,
        config=config,
        mesh=mesh,
        network=network,
        inference=inference,
        player=player,
        learner=Learner(game, network, config.learner, mesh=learner_mesh or mesh),
    )
