"""Playout cap randomisation: a share of the moves is searched fully, the others fast.

Wu, "Accelerating self-play learning in Go", 2019, section 3.1: policy targets need many
simulations, value targets need many matches. Fast moves have few simulations and no exploration
noise, so a match costs less; their policies are not targets of training.
"""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key

from selfplay.errors import ConfigError
from selfplay.settings.sections.rollout import RolloutConfig
from selfplay.settings.sections.search import SearchConfig

T = TypeVar("T")


def fast_search(search: SearchConfig, config: RolloutConfig) -> SearchConfig | None:
    """Returns the search of fast moves; None if every move is searched fully.

    It has no exploration noise at the root. The root actions that Gumbel compares become fewer as
    the simulations do, so that each still gets as many of them. Openings are sampled as ever: their
    diversity comes from there.

    Raises:
        ConfigError: a fast move would cost as much as a full one.
    """
    if config.full_search_share == 1:
        return None
    if config.fast_simulations >= search.num_simulations:
        raise ConfigError(
            f"rollout.fast_simulations is {config.fast_simulations}, but must be below "
            f"search.num_simulations, which is {search.num_simulations}",
            hint="about a quarter of it is usual; rollout.full_search_share=1 makes no fast moves",
        )
    part = config.fast_simulations / search.num_simulations
    return dataclasses.replace(
        search,
        num_simulations=config.fast_simulations,
        max_considered_actions=max(2, round(part * search.max_considered_actions)),
        gumbel_scale=0.0,
        dirichlet_fraction=0.0,
        forced_playouts=0.0,
        root_temperature=1.0,
        scale_simulations=False,
    )


def full_plies(share: float, count: int, *, key: Key[Array, ""]) -> Bool[Array, " T"]:
    """Returns which of the next `count` plies are searched fully, in all matches alike.

    Matches side by side are at different plies of their own, so one draw for all of them gives each
    the same chance of a full search at every ply, and no device searches for a part of its batch.
    As many plies as the share says, rounded up or down at random, in random order: chunks take
    about the same time, and neither player is favoured.

    Args:
        share: chance of each ply, in (0, 1].
        count: the plies of a chunk.
        key: consumed.
    """
    round_key, order_key = jax.random.split(key)
    full = jnp.floor(share * count + jax.random.uniform(round_key))
    return jax.random.permutation(order_key, count) < full


def search_full_or_fast(
    search_with: Callable[[SearchConfig], T],
    full: SearchConfig,
    fast: SearchConfig,
    is_full: Bool[Array, ""],
) -> T:
    """Returns what the full or the fast search finds; the other one costs nothing.

    Args:
        search_with: searches the positions of all matches as hard as the settings say.
        full: settings of the full search.
        fast: settings of the fast one.
        is_full: which of the two; not under `vmap`, where both would be made.
    """
    found: T = jax.lax.cond(is_full, lambda: search_with(full), lambda: search_with(fast))
    return found


def mean_simulations(search: SearchConfig, config: RolloutConfig) -> float:
    """Returns the mean number of simulations of a move."""
    share = config.full_search_share
    return share * search.num_simulations + (1 - share) * config.fast_simulations
