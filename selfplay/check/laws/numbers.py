"""Laws of the numbers that methods return: results, observations, states and auxiliary targets."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from selfplay.check.laws.law import (
    Finding,
    InPython,
    Law,
    PlyTest,
    RulesTest,
    Sample,
    SampleTest,
)
from selfplay.check.laws.values import TOLERANCE, shortened
from selfplay.check.play.arrays import has_nan
from selfplay.check.play.ply import Ply
from selfplay.contract import brief
from selfplay.game import ChanceGame, Game

_ROUNDING = 1e-5


def _returns(ply: Ply) -> dict[str, Array]:
    returns = ply.before.returns
    finite = jnp.isfinite(returns).all()
    return {
        "finite": ~finite,
        "range": finite & (jnp.abs(returns) > 1 + _ROUNDING).any(),
        "zero-sum": finite & (jnp.abs(returns.sum()) > _ROUNDING),
    }


RETURNS = Law(
    name="returns",
    statement="returns are finite, in [-1, 1] and sum to 0, in every position",
    advice="scale a score to [-1, 1], and give one player the negative of the other's",
    tests=(
        PlyTest(
            find=_returns,
            messages={
                "finite": "returns is {returns}, which is not finite",
                "range": "returns is {returns}, but must lie in [-1, 1]",
                "zero-sum": "returns is {returns}, but must sum to 0",
            },
            at_position=True,
        ),
    ),
)


def _not_finite(ply: Ply) -> dict[str, Array]:
    finite = jnp.isfinite(ply.before.observation).all()
    return {
        "observation": ply.live & ~finite,
        # A search evaluates ended positions too, and a NaN of one row would spread.
        "ended-observation": ~ply.live & ~finite,
        "state": jnp.stack([has_nan(leaf) for leaf in jax.tree.leaves(ply.state)]).any(),
    }


FINITE = Law(
    name="finite",
    statement="observations are finite, those of ended matches too, and no NaN stands in a state",
    advice="a division by zero, a logarithm of zero, or infinity less infinity in observe or step",
    tests=(
        PlyTest(
            find=_not_finite,
            messages={
                "observation": "the observation holds NaN or infinity",
                "ended-observation": "the match is over, and its observation holds NaN or "
                "infinity: a search evaluates ended positions too",
                "state": "the state holds NaN",
            },
            at_position=True,
        ),
    ),
    in_python=InPython(
        statement="observations are finite",
        advice="a division by zero, a logarithm of zero, or infinity less infinity in observe",
    ),
)


def _probabilities(ply: Ply) -> dict[str, Array]:
    game = ply.game
    if not isinstance(game, ChanceGame):
        return {}
    follows = ply.legal & game.is_chance(ply.stepped) & ~game.is_terminal(ply.stepped)
    follows = follows & (ply.number + 1 < game.max_plies)
    likely = game.chance_probabilities(ply.stepped)
    finite = jnp.isfinite(likely).all()
    return {
        "finite": follows & ~finite,
        "negative": follows & finite & (likely < 0).any(),
        "sum": follows & finite & (jnp.abs(likely.sum() - 1) > TOLERANCE),
    }


CHANCE = Law(
    name="chance",
    statement="chance probabilities are finite, not negative and sum to 1, and every outcome that "
    "is possible can be resolved",
    advice="chance_probabilities; an impossible outcome has probability 0",
    tests=(
        PlyTest(
            find=_probabilities,
            messages={
                "finite": "chance_probabilities after this move are not finite",
                "negative": "an outcome after this move has a negative probability",
                "sum": "the probabilities of the outcomes after this move do not sum to 1",
            },
        ),
    ),
)


def _target_types(game: Game[Any]) -> Iterator[str]:
    state = jax.eval_shape(game.init, jax.random.key(0))
    try:
        targets = jax.eval_shape(game.auxiliary_targets, state, state)
    except Exception as error:
        yield f"auxiliary_targets cannot be traced: {brief(error)}"
        return
    for name, target in targets.items():
        if not jnp.issubdtype(target.dtype, jnp.floating):
            yield f"{name!r} is {target.dtype}, but must be float32"


def _target_values(sample: Sample) -> Iterator[Finding]:
    game, matches = sample.game, sample.matches
    if matches is None or not matches.kept:
        return
    if type(game).auxiliary_targets is Game.auxiliary_targets:
        return
    states = jax.tree.map(lambda *leaves: np.stack(leaves), *[one.state for one in matches.kept])
    finals = jax.tree.map(
        lambda *leaves: np.stack(leaves), *[matches.finals[one.match] for one in matches.kept]
    )
    targets = jax.device_get(jax.jit(jax.vmap(game.auxiliary_targets))(states, finals))
    for name, values in targets.items():
        flat = np.asarray(values).reshape(len(matches.kept), -1)
        wrong = ~np.isfinite(flat).all(axis=1) | (np.abs(flat) > 1 + TOLERANCE).any(axis=1)
        if wrong.any():
            row = int(np.argmax(wrong))
            yield Finding(
                f"{name!r} is {shortened(values[row])} at the end of a match",
                # All of the match: the end belongs to it.
                matches.lines[matches.kept[row].match],
            )


AUXILIARY = Law(
    name="auxiliary",
    statement="auxiliary targets have fixed names and shapes and are floats in [-1, 1]",
    advice="scale them in auxiliary_targets, for example by the number of cells",
    tests=(RulesTest(find=_target_types), SampleTest(find=_target_values)),
)

LAWS = (RETURNS, FINITE, CHANCE, AUXILIARY)
