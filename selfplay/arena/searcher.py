"""A compiled search for any number of positions: pads, spreads over devices, cuts. Host code."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Key, PyTree

from selfplay.arena.batches import fixed_batches
from selfplay.game import ChanceGame, Game, Position
from selfplay.mcts.compact_tree import CompactTree
from selfplay.mcts.evaluation import Evaluator
from selfplay.mcts.search import (
    SearchResult,
    no_trees,
    search,
    search_from,
    search_with_tree,
)
from selfplay.mcts.tree import SearchTree
from selfplay.parallel import ALONG_BATCH, REPLICATED, local_mesh, per_device
from selfplay.settings.sections.search import SearchConfig


class Searcher:
    """`search`, compiled once for a fixed batch and shared by all local devices.

    Any number of positions may be given: they are cut into batches of `batch_size` and the last
    one is filled up with copies, so nothing ever recompiles.

    If it reuses trees, it keeps those of the last call. Then results depend on the calls before,
    and it must not be called by several threads at once.
    """

    def __init__(
        self,
        game: Game[Any],
        evaluate: Evaluator,
        config: SearchConfig,
        *,
        batch_size: int = 64,
        mesh: Mesh | None = None,
        keep_trees: bool = False,
        reuse_trees: bool = False,
    ) -> None:
        """Prepares a search.

        Args:
            game: the rules.
            evaluate: rates positions.
            config: how hard to search.
            batch_size: positions per compiled call; raised to a multiple of the devices.
            mesh: the devices; by default all local ones.
            keep_trees: whether `with_trees` may be called.
            reuse_trees: whether a search goes on where the last call was, see
                `selfplay.mcts.reuse`; without effect in games of chance, without simulations, and
                together with `keep_trees`.
        """
        self.game = game
        self.config = config
        self.mesh = mesh or local_mesh()
        devices = self.mesh.size
        self.batch_size = -(-batch_size // devices) * devices

        def search_positions(
            params: PyTree, positions: Position[Any], keys: Array
        ) -> tuple[SearchResult, SearchTree | None]:
            if keep_trees:
                return search_with_tree(game, evaluate, params, positions, config, key=keys[0])
            return search(game, evaluate, params, positions, config, key=keys[0]), None

        self.keep_trees = keep_trees
        self._reuses = (
            reuse_trees
            and config.num_simulations > 0
            and not keep_trees
            and not isinstance(game, ChanceGame)
        )
        self._earlier: dict[int, CompactTree] = {}
        self._earlier_of: PyTree = None

        def search_on(
            params: PyTree, positions: Position[Any], earlier: CompactTree, keys: Array
        ) -> tuple[SearchResult, CompactTree]:
            return search_from(game, evaluate, params, positions, config, earlier, key=keys[0])

        self._search_on: Callable[..., tuple[SearchResult, CompactTree]] = jax.jit(
            per_device(
                search_on,
                self.mesh,
                in_specs=(REPLICATED, ALONG_BATCH, ALONG_BATCH, ALONG_BATCH),
                out_specs=ALONG_BATCH,
            )
        )
        self._search: Callable[..., tuple[SearchResult, SearchTree | None]] = jax.jit(
            per_device(
                search_positions,
                self.mesh,
                in_specs=(REPLICATED, ALONG_BATCH, ALONG_BATCH),
                out_specs=ALONG_BATCH,
            )
        )

    def __call__(
        self, params: PyTree, positions: Position[Any], *, key: Key[Array, ""]
    ) -> SearchResult:
        """Returns the search results of `n >= 1` positions, in order, as NumPy arrays.

        Args:
            params: weights for the evaluator.
            positions: `n` positions, on the host or on a device.
            key: consumed.
        """
        return self.with_trees(params, positions, key=key)[0]

    def with_trees(
        self, params: PyTree, positions: Position[Any], *, key: Key[Array, ""]
    ) -> tuple[SearchResult, SearchTree | None]:
        """Returns the same and, if this searcher keeps them, the trees of the searches."""
        results = []
        for index, batch in enumerate(fixed_batches(positions, self.batch_size)):
            keys = jax.random.split(jax.random.fold_in(key, index), self.mesh.size)
            if self._reuses:
                found = self._go_on(params, index, batch.positions, keys), None
            else:
                found = jax.device_get(self._search(params, batch.positions, keys))
            results.append(jax.tree.map(lambda leaf, n=batch.meant: leaf[:n], found))
        return jax.tree.map(lambda *parts: np.concatenate(parts), *results)

    def _go_on(
        self, params: PyTree, index: int, positions: Position[Any], keys: Array
    ) -> SearchResult:
        """Searches a batch with what its trees of the last call know."""
        if params is not self._earlier_of:
            self._earlier, self._earlier_of = {}, params
        earlier = self._earlier.get(index)
        if earlier is None:
            earlier = no_trees(self.game, positions, self.config)
        found, self._earlier[index] = self._search_on(params, positions, earlier, keys)
        return jax.device_get(found)
