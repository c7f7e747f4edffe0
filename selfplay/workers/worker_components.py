"""The components of a worker, and the memory that they need."""

from typing import Any

from jax.sharding import Mesh

from selfplay.game import Game
from selfplay.parallel import local_mesh
from selfplay.runtime.components import Components, make_components
from selfplay.runtime.memory_plan import MemoryPlan, plan_memory
from selfplay.settings import Config


def worker_components(
    game: Game[Any],
    config: Config,
    *,
    like: Components | None = None,
    **options: bool,
) -> Components:
    """Returns the components of a worker; compiles nothing yet.

    Args:
        game: the rules.
        config: the settings in force.
        like: components made before for the same game, which are returned if their settings are
            the same; else their devices are used again.
        options: as for `make_components`: `calibrates`.
    """
    if like is not None and config == like.config:
        return like
    mesh = local_mesh()
    # A worker never uses its learner: on one device any batch size fits.
    one = Mesh(mesh.devices[:1], mesh.axis_names)
    mine = None if like is None else like.mesh
    return make_components(game, config, mesh=mine, learner_mesh=one, **options)


def plan_worker_memory(components: Components) -> MemoryPlan:
    """Returns the memory that a worker needs."""
    return plan_memory(components.game, components.network, components.config, learns=False)
