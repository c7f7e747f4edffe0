"""The parts of a training run, put together from its directory: used by every process."""

import dataclasses
from typing import Any

from jax.sharding import Mesh

from selfplay.game import Game
from selfplay.learner import Learner
from selfplay.networks import Network, build
from selfplay.parallel import local_mesh
from selfplay.records import Provenance
from selfplay.replay import ReplayWindow
from selfplay.rollout import SelfPlayer
from selfplay.run import Config, RunDirectory, settings_hash
from selfplay.search import Evaluator, network_evaluator


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """What plays and learns in one process.

    Attributes:
        game: the rules.
        config: the settings in force.
        mesh: the devices that share the work.
        network: the network, without weights.
        evaluate: asks the network for the search.
        player: plays the matches.
        learner: makes the updates.
    """

    game: Game[Any]
    config: Config
    mesh: Mesh
    network: Network
    evaluate: Evaluator
    player: SelfPlayer
    learner: Learner

    def window(self) -> ReplayWindow:
        """Returns an empty replay window."""
        return ReplayWindow(self.game, self.config.replay)

    def provenance(self, run: RunDirectory, worker: str) -> Provenance:
        """Returns what the records of `worker` say of their origin."""
        return Provenance(
            game=self.game.name,
            version=self.game.version,
            fingerprint=run.fingerprint,
            worker=worker,
            settings_hash=settings_hash(self.config),
            simulations=self.config.search.num_simulations,
        )


def make_parts(game: Game[Any], config: Config, *, mesh: Mesh | None = None) -> Parts:
    """Returns the parts for `game` under `config`; compiles nothing yet."""
    mesh = mesh or local_mesh()
    network = build(game, config.network, next_policy=config.learner.next_policy_weight > 0)
    evaluate = network_evaluator(game, network)
    return Parts(
        game=game,
        config=config,
        mesh=mesh,
        network=network,
        evaluate=evaluate,
        player=SelfPlayer(game, evaluate, config.search, config.rollout, mesh=mesh),
        learner=Learner(game, network, config.learner, mesh=mesh),
    )
