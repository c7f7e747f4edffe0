"""The law of symmetries, and which symmetries of a game can be tried at all."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from selfplay.check.laws.law import InPython, Law, PlyTest, RulesTest
from selfplay.check.play.arrays import same
from selfplay.check.play.ply import Ply
from selfplay.contract import brief
from selfplay.game import ChanceGame, Game, Symmetry

_ROUNDING = 1e-5
_MESSAGES = {
    "step": "{symmetry} and then the move is not the move and then {symmetry}",
    "legal_action_mask": "under {symmetry} other actions are legal than the images of the legal "
    "ones: {image}",
    "current_player": "under {symmetry} the player to move is neither 0 nor 1",
    "is_terminal": "under {symmetry} a match that is over goes on, or one that goes on is over",
    "returns": "under {symmetry} the result is another",
}


def usable_symmetries(game: Game[Any]) -> tuple[Symmetry[Any], ...]:
    """Returns the symmetries that can be tried: permutations that keep the shapes of a state."""
    try:
        symmetries = list(game.symmetries())
    except Exception:
        return ()
    return tuple(symmetry for symmetry in symmetries if not _unusable(game, symmetry))


def _wrong_symmetries(game: Game[Any]) -> Iterator[str]:
    try:
        symmetries = list(game.symmetries())
    except Exception as error:
        yield f"symmetries() fails: {brief(error)}"
        return
    for symmetry in symmetries:
        if problem := _unusable(game, symmetry):
            yield problem


def _unusable(game: Game[Any], symmetry: Symmetry[Any]) -> str:
    """Returns why a symmetry cannot be tried; empty if it can."""
    identity = list(range(game.num_actions))
    permutation = [int(action) for action in symmetry.permutation]
    name = repr(symmetry.name)
    if sorted(permutation) != identity:
        wrong = sorted(set(identity) - set(permutation))[:5]
        return f"{name} is no permutation of the {game.num_actions} actions: " + (
            f"{len(permutation)} entries"
            if len(permutation) != len(identity)
            else f"{', '.join(map(str, wrong))} are nobody's image"
        )
    state = jax.eval_shape(game.init, jax.random.key(0))
    try:
        image = jax.eval_shape(symmetry.map_state, state)
    except Exception as error:
        return f"map_state of {name} fails: {brief(error)}"
    if not _same_shapes(state, image):
        return f"map_state of {name} changes the structure, a shape or a type of the state"
    return ""


def _same_shapes(left: Any, right: Any) -> bool:
    structure: Any = jax.tree.structure(left)
    if structure != jax.tree.structure(right):
        return False
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return all((one.shape, one.dtype) == (other.shape, other.dtype) for one, other in pairs)


def _images(ply: Ply) -> dict[str, Array]:
    """Returns for each part of the law one entry per symmetry."""
    game, symmetries, before = ply.game, ply.symmetries, ply.before
    if not symmetries:
        return {}

    def images_of(state: PyTree) -> PyTree:
        # Side by side, so that the rules are compiled once and not once for every symmetry.
        images = [symmetry.map_state(state) for symmetry in symmetries]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *images)

    permutations = jnp.array([symmetry.permutation for symmetry in symmetries], jnp.int32)
    images, stepped, after = (
        images_of(state) for state in (ply.state, ply.stepped, ply.after_state)
    )
    masks, players = jax.vmap(
        lambda image: (
            game.legal_action_mask(image),
            game.current_player(image).astype(jnp.int32),
        )
    )(images)
    steps = jax.vmap(game.step)(images, permutations[:, ply.action])
    ends, returns = jax.vmap(
        lambda image: (game.is_terminal(image), game.returns(image).astype(jnp.float32))
    )(after)
    # A symmetry may exchange the players: then results are exchanged too.
    swaps = players != before.player
    results = jnp.where(swaps[:, None], returns[:, ::-1], returns)
    same_step = jax.vmap(same)(steps, stepped)
    if isinstance(game, ChanceGame):
        outcomes = jnp.array(
            [
                symmetry.outcome_permutation or tuple(range(game.num_outcomes))
                for symmetry in symmetries
            ],
            jnp.int32,
        )[:, jnp.maximum(ply.outcome, 0)]
        resolved = jax.vmap(game.resolve)(stepped, outcomes)
        same_step = same_step & ((ply.outcome < 0) | jax.vmap(same)(resolved, after))
    mapped = jax.vmap(lambda mask, permutation: mask[permutation])(masks, permutations)
    wrong = jnp.abs(results - ply.after.returns[None]) > _ROUNDING
    return {
        "step": ply.played & ~same_step,
        "legal_action_mask": ply.live & (mapped != before.mask[None]).any(axis=-1),
        "current_player": ply.live & (players != 0) & (players != 1),
        "is_terminal": ply.played & (ends != ply.after.terminal),
        "returns": ply.played & wrong.any(axis=-1),
    }


SYMMETRY = Law(
    name="symmetry",
    statement="step(map_state(s), permutation[a]) == map_state(step(s, a)), and mask, end and "
    "results follow",
    advice="permutation[a] is the image of action a (not where it comes from), and map_state must "
    "map every field of the state",
    tests=(RulesTest(find=_wrong_symmetries), PlyTest(find=_images, messages=_MESSAGES)),
    in_python=InPython(
        statement="apply(map_state(s), permutation[a]) is map_state(apply(s, a)), and legal "
        "actions, end and results follow",
        advice="permutation[a] is the image of action a (not where it comes from), and map_state "
        "must map every part of the state",
    ),
)

LAWS = (SYMMETRY,)
