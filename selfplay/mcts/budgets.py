"""Simulations scaled by uncertainty: few where the network is sure of the result.

Dream Go scales the number of its rollouts by 4 w (1 - w), where w is the probability of a win.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32

FEWEST = 2
"""Simulations of a search: one alone would only expand the root."""


def scaled_simulations(values: Float32[Array, "..."], most: int) -> Int32[Array, "..."]:
    """Returns how many simulations positions get: `most` times 4 w (1 - w), at least `FEWEST`.

    Args:
        values: of the evaluator, in [-1, 1]; w is (1 + value) / 2.
        most: simulations where both players are as likely to win.
    """
    chance = (1 + jnp.clip(values, -1.0, 1.0)) / 2
    number = jnp.round(most * 4 * chance * (1 - chance)).astype(jnp.int32)
    return jnp.clip(number, FEWEST, max(most, FEWEST))


def considered_visits(
    considered: Int32[Array, ""],
    budget: Int32[Array, ""],
    made: Int32[Array, ""],
    *,
    most_considered: int,
) -> Int32[Array, ""]:
    """Returns how many visits an action must have to be chosen next in Sequential Halving.

    It is the timetable of `mctx.gumbel_muzero_root_action_selection`, there a table for one number
    of simulations, here computed for any.

    Args:
        considered: actions that are compared at first.
        budget: simulations in all.
        made: simulations made so far.
        most_considered: a bound of `considered`.
    """
    rounds = jnp.array(
        [max(1, math.ceil(math.log2(max(1, n)))) for n in range(most_considered + 1)]
    )
    left, count, visits = made, jnp.maximum(considered, 1), jnp.int32(0)
    answer, answered = made, considered <= 1
    for _ in range(max(1, math.ceil(math.log2(most_considered)))):
        each = jnp.maximum(1, budget // (rounds[considered] * count))
        # The last two share all that is left.
        here = (left < each * count) | (count <= 2)
        answer = jnp.where(here & ~answered, visits + left // count, answer)
        answered = answered | here
        left, visits = left - each * count, visits + each
        count = jnp.maximum(2, count // 2)
    return answer.astype(jnp.int32)
