"""Self-play of many matches at once in one compiled function: weights in, plies out."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Key, PyTree

from selfplay.game import (
    ChanceGame,
    Game,
    Position,
    advance,
    draw_outcome,
    is_truncated,
    pytree,
    random_legal_action,
)
from selfplay.mcts import Evaluator, SearchResult, policy_surprise, search, search_with_sides
from selfplay.parallel import ALONG_BATCH, REPLICATED, local_mesh, per_device
from selfplay.records.match import ENDINGS, LENGTH, PLAYED_OUT, RESIGNED
from selfplay.rollout.playout_cap import fast_search, full_plies, search_full_or_fast
from selfplay.rollout.plies import Plies
from selfplay.rollout.resignation import (
    NEVER,
    check_resignation,
    may_resign,
    resigns,
    returns_of_resigned,
)
from selfplay.rollout.side_positions import check_side_positions
from selfplay.rollout.starts import Matches, Restarts, begin, no_restarts, repeat
from selfplay.settings.sections import SearchConfig
from selfplay.settings.sections.rollout import CHUNK_PLIES, CPU_MATCHES, RolloutConfig


@pytree
class Plan:
    """What the host decides of a chunk of plies; None for methods that are switched off.

    Attributes:
        full: which plies are searched fully, [T], or whether one is.
        resign_below: value at or below which players give up.
        restarts: from where new matches go on.
    """

    full: Any
    resign_below: Any
    restarts: Any


class SelfPlayer:
    """Plays `B` matches side by side. When one ends, a new one starts in its place.

    Matches continue from call to call, also when the weights change in between. None is cut off,
    so long and short matches are recorded without bias.
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
        """Prepares self-play. The first call compiles it.

        Args:
            game: the rules.
            evaluate: evaluates positions for the search.
            search_config: settings of the search.
            config: numbers of matches and plies per call. Where it leaves them open, they are those
                for a CPU core; `selfplay.runtime.memory_plan` chooses them for other devices.
            mesh: the devices that share the matches; all local ones by default.
        """
        self.game = game
        self.search_config = search_config
        self._fast = fast_search(search_config, config)
        check_resignation(game, config)
        check_side_positions(game, config)
        if not config.matches_per_device:
            config = dataclasses.replace(config, matches_per_device=CPU_MATCHES)
        if not config.plies_per_chunk:
            config = dataclasses.replace(config, plies_per_chunk=CHUNK_PLIES)
        self.config = config
        self.mesh = mesh or local_mesh()
        self.num_matches = config.matches_per_device * self.mesh.size
        self._start: Callable[..., Matches] = jax.jit(
            per_device(
                lambda keys: begin(game, config, jax.random.split(keys[0], self._per_device)),
                self.mesh,
                in_specs=ALONG_BATCH,
                out_specs=ALONG_BATCH,
            )
        )

        searches = (search_config, self._fast)

        # Compiled functions have names: traces and the log of compilations show them.
        def play_chunk(
            params: PyTree,
            matches: Matches,
            keys: Array,
            plan: Plan,
        ) -> tuple[Matches, Plies]:
            return _play_chunk(game, evaluate, searches, config, params, matches, plan, key=keys[0])

        self._play = jax.jit(
            per_device(
                play_chunk,
                self.mesh,
                in_specs=(REPLICATED, ALONG_BATCH, ALONG_BATCH, REPLICATED),
                out_specs=(ALONG_BATCH, jax.sharding.PartitionSpec(None, *ALONG_BATCH)),
            ),
            donate_argnums=1,
        )

    @property
    def _per_device(self) -> int:
        return self.config.matches_per_device

    def start(self, *, key: Key[Array, ""]) -> Matches:
        """Returns `B` new matches at their first position. `key` is consumed."""
        return self._start(jax.random.split(key, self.mesh.size))

    def traced(self, params: PyTree) -> jax.stages.Traced:
        """Returns `play` traced for such weights but not compiled, for inspection.

        Args:
            params: weights for the evaluator, or their shapes.
        """
        keys, plan = self._planned(jax.random.key(0), None, None)
        return self._play.trace(params, jax.eval_shape(self._start, keys), keys, plan)

    def play(
        self,
        params: PyTree,
        matches: Matches,
        *,
        key: Key[Array, ""],
        resign_below: float | None = None,
        restarts: Restarts | None = None,
    ) -> tuple[Matches, Plies]:
        """Plays `plies_per_chunk` plies in every match.

        Args:
            params: weights for the evaluator.
            matches: the matches in progress. Their buffers are donated: do not use them again.
            key: consumed.
            resign_below: a player gives up at or below this value, where `resign_share` lets him;
                None for nobody.
            restarts: from where new matches go on, `restart_share` of them; None for nowhere.

        Returns:
            The matches as they stand now, and the plies that were played, each leaf [T, B, ...].
        """
        keys, plan = self._planned(key, resign_below, restarts)
        return self._play(params, matches, keys, plan)

    def _planned(
        self, key: Key[Array, ""], resign_below: float | None, restarts: Restarts | None
    ) -> tuple[Key[Array, " D"], Plan]:
        """Returns a key for each device, and what holds for a chunk on all of them.

        All devices search fully at the same plies, so that none waits for another.
        """
        config, full = self.config, None
        keys = jax.random.split(key, self.mesh.size)
        if self._fast is not None:
            *_, plan_key = jax.random.split(key, self.mesh.size + 1)
            full = full_plies(config.full_search_share, config.plies_per_chunk, key=plan_key)
        threshold = NEVER if resign_below is None else resign_below
        nowhere = no_restarts(self.game) if restarts is None else restarts
        plan = Plan(
            full=full,
            resign_below=jnp.float32(threshold) if config.resign_share else None,
            restarts=jax.tree.map(jnp.asarray, nowhere) if config.restart_share else None,
        )
        return keys, plan


def _play_chunk(
    game: Game[Any],
    evaluate: Evaluator,
    searches: tuple[SearchConfig, SearchConfig | None],
    config: RolloutConfig,
    params: PyTree,
    matches: Matches,
    plan: Plan,
    *,
    key: Key[Array, ""],
) -> tuple[Matches, Plies]:
    def play_ply(
        matches: Matches, ply: tuple[Key[Array, ""], Bool[Array, ""] | None]
    ) -> tuple[Matches, Plies]:
        now = dataclasses.replace(plan, full=ply[1])
        return _play_ply(game, evaluate, searches, config, params, matches, now, key=ply[0])

    keys = jax.random.split(key, config.plies_per_chunk)
    return jax.lax.scan(play_ply, matches, (keys, plan.full))


def _play_ply(
    game: Game[Any],
    evaluate: Evaluator,
    searches: tuple[SearchConfig, SearchConfig | None],
    config: RolloutConfig,
    params: PyTree,
    matches: Matches,
    plan: Plan,
    *,
    key: Key[Array, ""],
) -> tuple[Matches, Plies]:
    # A game without chance splits fewer keys, so games of chance do not change how it plays.
    num_keys = 4 if isinstance(game, ChanceGame) else 3
    search_key, random_key, begin_key, *chance_key = jax.random.split(key, num_keys)
    positions = matches.positions
    batch = positions.ply.shape[0]
    found, marks = _search(
        game, evaluate, searches, config, params, positions, plan.full, key=search_key
    )
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
    if matches.repeated is not None:
        repeats, moves = repeat(matches.repeated, positions.ply, actions, outcomes)
        actions, outcomes = moves["actions"], moves["outcomes"]
        exploratory |= repeats
        marks["restart_plies"] = matches.repeated.lengths
    after = jax.vmap(functools.partial(advance, game))(positions, actions, outcomes)
    players = jax.vmap(game.current_player)(positions.state)
    over = after.over
    truncated = jax.vmap(functools.partial(is_truncated, game))(after.position)
    returns = jax.vmap(game.returns)(after.position.state).astype(jnp.float32)
    if plan.resign_below is not None:
        allowed = may_resign(matches.start_keys, config.resign_share) & ~exploratory
        resigned = resigns(found.value, plan.resign_below, allowed, over)
        over = over | resigned
        returns = jnp.where(resigned[:, None], returns_of_resigned(players), returns)
        ending = jnp.where(truncated, ENDINGS.index(LENGTH), ENDINGS.index(PLAYED_OUT))
        marks["endings"] = jnp.where(resigned, ENDINGS.index(RESIGNED), ending).astype(jnp.int8)
    plies = Plies(
        start_keys=matches.start_keys,
        players=players,
        actions=actions,
        outcomes=outcomes,
        simulations=found.visits.sum(axis=-1),
        policy=found.policy,
        root_values=found.value,
        raw_values=found.raw_value,
        proven=found.proven,
        exploratory=exploratory,
        surprises=policy_surprise(found.policy, found.raw_policy),
        over=over,
        truncated=truncated,
        returns=returns,
        **marks,
    )
    played = Matches(
        positions=after.position,
        start_keys=matches.start_keys,
        random_plies=matches.random_plies,
        repeated=matches.repeated,
    )

    def replace_finished(played: Matches) -> Matches:
        fresh = begin(game, config, jax.random.split(begin_key, batch), plan.restarts)
        return jax.tree.map(
            lambda new, old: jnp.where(over.reshape(-1, *[1] * (old.ndim - 1)), new, old),
            fresh,
            played,
        )

    # Not under vmap, so this is a real branch: it costs nothing at plies where no match ends.
    return jax.lax.cond(over.any(), replace_finished, lambda played: played, played), plies


def _search(
    game: Game[Any],
    evaluate: Evaluator,
    searches: tuple[SearchConfig, SearchConfig | None],
    config: RolloutConfig,
    params: PyTree,
    positions: Position[Any],
    is_full: Bool[Array, ""] | None,
    *,
    key: Key[Array, ""],
) -> tuple[SearchResult, dict[str, Array]]:
    """Returns what the search found, and columns of `Plies` that say how it searched, and what."""

    def search_with(search_config: SearchConfig) -> tuple[SearchResult, dict[str, Array]]:
        if not config.side_positions:
            return search(game, evaluate, params, positions, search_config, key=key), {}
        found, side = search_with_sides(game, evaluate, params, positions, search_config, key=key)
        return found, {
            "side_actions": side.actions,
            "side_values": side.values,
            "side_policy": side.policies,
        }

    full_search, fast = searches
    if fast is None or is_full is None:
        return search_with(full_search)
    found, marks = search_full_or_fast(search_with, full_search, fast, is_full)
    is_target = jnp.broadcast_to(is_full, found.actions.shape)
    return found, {**marks, "is_target": is_target, "fast": ~is_target}
