"""A compiled search for any number of positions: pads, spreads over devices, cuts."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Key, PyTree

from selfplay.game import Game, Position
from selfplay.parallel import ALONG_BATCH, REPLICATED, local_mesh, per_device
from selfplay.search.config import SearchConfig
from selfplay.search.evaluation import Evaluator
from selfplay.search.search import SearchResult, search


class Searcher:
    """`search`, compiled once for a fixed batch and shared by all local devices.

    Any number of positions may be given: they are cut into batches of `batch_size` and the last
    one is filled up with copies, so nothing ever recompiles.
    """

    def __init__(
        self,
        game: Game[Any],
        evaluate: Evaluator,
        config: SearchConfig,
        *,
        batch_size: int = 64,
        mesh: Mesh | None = None,
    ) -> None:
        """Prepares a search.

        Args:
            game: the rules.
            evaluate: rates positions.
            config: how hard to search.
            batch_size: positions per compiled call; raised to a multiple of the devices.
            mesh: the devices; by default all local ones.
        """
        self.game = game
        self.config = config
        self.mesh = mesh or local_mesh()
        devices = self.mesh.size
        self.batch_size = -(-batch_size // devices) * devices

        def on_one_device(params: PyTree, positions: Position[Any], keys: Array) -> SearchResult:
            return search(game, evaluate, params, positions, config, key=keys[0])

        self._search: Callable[..., SearchResult] = jax.jit(
            per_device(
                on_one_device,
                self.mesh,
                in_specs=(REPLICATED, ALONG_BATCH, ALONG_BATCH),
                out_specs=ALONG_BATCH,
            )
        )

    def __call__(
        self, params: PyTree, positions: Position[Any], *, key: Key[Array, ""]
    ) -> SearchResult:
        """Returns the search results of `n >= 1` positions, in order; `key` is consumed."""
        count = positions.ply.shape[0]
        batches = -(-count // self.batch_size)
        indices = jnp.arange(batches * self.batch_size) % count
        results = []
        for batch, batch_key in enumerate(jax.random.split(key, batches)):
            rows = indices[batch * self.batch_size : (batch + 1) * self.batch_size]
            part = jax.tree.map(lambda leaf, rows=rows: leaf[rows], positions)
            results.append(self._search(params, part, jax.random.split(batch_key, self.mesh.size)))
        return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:count], *results)
