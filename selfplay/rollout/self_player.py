"""Self-play: many matches at once, forever, inside one compiled function."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Int32, Key, PyTree, UInt32

from selfplay.game import (
    ChanceGame,
    Game,
    Position,
    advance,
    draw_outcome,
    is_truncated,
    pytree,
    random_legal_action,
    start,
)
from selfplay.mcts import Evaluator, search
from selfplay.parallel import ALONG_BATCH, REPLICATED, local_mesh, per_device
from selfplay.rollout.plies import Plies
from selfplay.settings.sections import SearchConfig
from selfplay.settings.sections.rollout import CHUNK_PLIES, CPU_MATCHES, RolloutConfig


@pytree
class Matches:
    """`B` matches in progress: all that self-play carries from one ply to the next.

    Attributes:
        positions: where each match stands; never over.
        start_keys: data of the key each match was started with.
        random_plies: how many plies at the start of each match are random.
    """

    positions: Position[Any]
    start_keys: UInt32[Array, "B 2"]
    random_plies: Int32[Array, " B"]


class SelfPlayer:
    """Plays `B` matches side by side; a match that ends makes place for a new one at once.

    Nothing is cut off: matches run on from call to call, whatever happens to the weights in
    between, so long and short ones are finished without bias.
    """

    def __init__(
        self,
        game: Game[Any],
        evaluate: Evaluator,
        search_config: SearchConfig,
        config: RolloutConfig,
        *,
        mesh: Mesh | None = None,
    ) -> None:
        """Prepares self-play; nothing is compiled before the first call.

        Args:
            game: the rules.
            evaluate: rates positions for the search.
            search_config: how to think about a move.
            config: how many matches and plies at a time; what suits a device is that of a CPU
                core here, see `selfplay.runtime.memory_plan` for others.
            mesh: the devices that share the matches; by default all local ones.
        """
        self.game = game
        self.search_config = search_config
        if not config.matches_per_device:
            config = dataclasses.replace(config, matches_per_device=CPU_MATCHES)
        if not config.plies_per_chunk:
            config = dataclasses.replace(config, plies_per_chunk=CHUNK_PLIES)
        self.config = config
        self.mesh = mesh or local_mesh()
        self.num_matches = config.matches_per_device * self.mesh.size
        self._start: Callable[..., Matches] = jax.jit(
            per_device(
                lambda keys: _begin(game, config, jax.random.split(keys[0], self._per_device)),
                self.mesh,
                in_specs=ALONG_BATCH,
                out_specs=ALONG_BATCH,
            )
        )

        # Compiled functions have names: traces and the log of compilations show them.
        def play_chunk(params: PyTree, matches: Matches, keys: Array) -> tuple[Matches, Plies]:
            return _play_chunk(game, evaluate, search_config, config, params, matches, key=keys[0])

        self._play = jax.jit(
            per_device(
                play_chunk,
                self.mesh,
                in_specs=(REPLICATED, ALONG_BATCH, ALONG_BATCH),
                out_specs=(ALONG_BATCH, jax.sharding.PartitionSpec(None, *ALONG_BATCH)),
            ),
            donate_argnums=1,
        )

    @property
    def _per_device(self) -> int:
        return self.config.matches_per_device

    def start(self, *, key: Key[Array, ""]) -> Matches:
        """Returns `B` matches at their first position; `key` is consumed."""
        return self._start(jax.random.split(key, self.mesh.size))

    def traced(self, params: PyTree) -> jax.stages.Traced:
        """Returns `play` for such params, traced but not compiled: to see what it is made of.

        Args:
            params: weights for the evaluator, or their shapes.
        """
        keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), self.mesh.size))
        matches = jax.eval_shape(self._start, keys)
        return self._play.trace(params, matches, keys)

    def play(
        self, params: PyTree, matches: Matches, *, key: Key[Array, ""]
    ) -> tuple[Matches, Plies]:
        """Plays `plies_per_chunk` plies in every match.

        Args:
            params: weights for the evaluator.
            matches: where the matches stand; the buffers are donated, do not use them again.
            key: consumed.

        Returns:
            Where they stand now, and what was played, each leaf [T, B, ...].
        """
        return self._play(params, matches, jax.random.split(key, self.mesh.size))


def _begin(game: Game[Any], config: RolloutConfig, keys: Key[Array, " B"]) -> Matches:
    """Returns one new match for each key."""
    start_keys, random_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)

    def draw(key: Key[Array, ""]) -> Array:
        share_key, count_key = jax.random.split(key)
        count = jax.random.randint(count_key, (), 1, config.random_opening_plies + 1)
        return jnp.where(
            jax.random.uniform(share_key) < config.random_opening_share, count, 0
        ).astype(jnp.int32)

    return Matches(
        positions=jax.vmap(functools.partial(start, game))(start_keys),
        start_keys=jax.random.key_data(start_keys),
        random_plies=jax.vmap(draw)(random_keys),
    )


def _play_chunk(
    game: Game[Any],
    evaluate: Evaluator,
    search_config: SearchConfig,
    config: RolloutConfig,
    params: PyTree,
    matches: Matches,
    *,
    key: Key[Array, ""],
) -> tuple[Matches, Plies]:
    def play_ply(matches: Matches, key: Key[Array, ""]) -> tuple[Matches, Plies]:
        return _play_ply(game, evaluate, search_config, config, params, matches, key=key)

    return jax.lax.scan(play_ply, matches, jax.random.split(key, config.plies_per_chunk))


def _play_ply(
    game: Game[Any],
    evaluate: Evaluator,
    search_config: SearchConfig,
    config: RolloutConfig,
    params: PyTree,
    matches: Matches,
    *,
    key: Key[Array, ""],
) -> tuple[Matches, Plies]:
    # A game without chance draws nothing: it plays as if there were no such games.
    num_keys = 4 if isinstance(game, ChanceGame) else 3
    search_key, random_key, begin_key, *chance_key = jax.random.split(key, num_keys)
    positions = matches.positions
    batch = positions.ply.shape[0]
    found = search(game, evaluate, params, positions, search_config, key=search_key)
    random_actions = jax.vmap(lambda state, key: random_legal_action(game, state, key=key))(
        positions.state, jax.random.split(random_key, batch)
    )
    exploratory = positions.ply < matches.random_plies
    actions = jnp.where(exploratory, random_actions, found.actions)
    outcomes = jnp.full_like(actions, -1)
    if chance_key:
        outcomes = jax.vmap(
            lambda position, action, key: draw_outcome(game, position, action, key=key)
        )(positions, actions, jax.random.split(chance_key[0], batch))
    after = jax.vmap(functools.partial(advance, game))(positions, actions, outcomes)
    plies = Plies(
        start_keys=matches.start_keys,
        players=jax.vmap(game.current_player)(positions.state),
        actions=actions,
        outcomes=outcomes,
        simulations=found.visits.sum(axis=-1),
        policy=found.policy,
        root_values=found.value,
        raw_values=found.raw_value,
        exploratory=exploratory,
        over=after.over,
        truncated=jax.vmap(functools.partial(is_truncated, game))(after.position),
        returns=jax.vmap(game.returns)(after.position.state).astype(jnp.float32),
    )
    played = Matches(
        positions=after.position,
        start_keys=matches.start_keys,
        random_plies=matches.random_plies,
    )

    def replace_finished(played: Matches) -> Matches:
        fresh = _begin(game, config, jax.random.split(begin_key, batch))
        return jax.tree.map(
            lambda new, old: jnp.where(after.over.reshape(-1, *[1] * (old.ndim - 1)), new, old),
            fresh,
            played,
        )

    # Not under vmap, so this is a true branch: plies in which no match ends cost nothing.
    return jax.lax.cond(after.over.any(), replace_finished, lambda played: played, played), plies
