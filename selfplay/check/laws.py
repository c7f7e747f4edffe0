"""What must hold at every ply of every match, computed on the device for many matches at once.

Each law is one boolean per match: True where it is broken. Two kinds need a word.

Every match has a *twin*: the same moves from the same first position, with the other player to
move. Where everything looked the same so far to the player to move, the twin must go on alike,
and its result must be the other way round. That shows a result with the wrong sign for one player
and an observation from the wrong side without knowing anything else of the game.

*Signs* (their names begin with "?") are no faults in themselves; `selfplay.check.conformance`
judges them once all matches are played.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, Key, PyTree

from selfplay.check.faults import SYMMETRY_PARTS
from selfplay.game import (
    ChanceGame,
    Game,
    Position,
    Symmetry,
    is_possible_outcome,
    outcome_probabilities,
    pick_outcome,
    pytree,
)

_TOLERANCE = 1e-5

Flip = Callable[[PyTree], PyTree]


@pytree
class Walk:
    """Where one match stands, and its twin.

    Attributes:
        position: of the match.
        twin: state of the twin; the state itself where the game has none.
        looks: whether the twin has looked the same so far to the player to move.
        behaves: whether masks, ends and players have been the same so far.
    """

    position: Position[Any]
    twin: PyTree
    looks: Bool[Array, ""]
    behaves: Bool[Array, ""]


@pytree
class Seen:
    """What the rules say of a position."""

    mask: Bool[Array, " A"]
    player: Int32[Array, ""]
    terminal: Bool[Array, ""]
    over: Bool[Array, ""]
    returns: Float32[Array, "2"]
    observation: Array


@pytree
class Probe:
    """One ply under the laws.

    Attributes:
        walk: after the action, or as before where it was not legal or the match was over.
        outcome: the chance outcome that followed, -1 for none.
        played: whether the action was legal, the match was not over and the outcome possible.
        before: what was seen before the action.
        after: what is seen after it; as the action leads there, whether legal or not.
        broken: by law, whether it is broken here; symmetries have one entry each and part.
    """

    walk: Walk
    outcome: Int32[Array, ""]
    played: Bool[Array, ""]
    before: Seen
    after: Seen
    broken: dict[str, Array]


def see(game: Game[Any], state: PyTree, ply: Int32[Array, ""]) -> Seen:
    """Returns what the rules say of one position."""
    # Of a state of plain numbers, which is reported elsewhere, this is a plain truth value.
    terminal = jnp.asarray(game.is_terminal(state))
    return Seen(
        mask=game.legal_action_mask(state),
        player=game.current_player(state).astype(jnp.int32),
        terminal=terminal,
        over=terminal | (ply >= game.max_plies),
        returns=game.returns(state).astype(jnp.float32),
        observation=game.observe(state),
    )


def begin(
    game: Game[Any], flip: Flip | None, key: Key[Array, ""]
) -> tuple[Walk, Seen, dict[str, Array]]:
    """Returns a match and its twin at the start, what is seen, and the laws broken there."""
    state = jax.tree.map(jnp.asarray, game.init(key))
    seen = see(game, state, jnp.int32(0))
    twin = state if flip is None else flip(state)
    other = see(game, twin, jnp.int32(0))
    turned = (other.player == 1 - seen.player) & (flip is not None)
    looks = turned & _close(seen.observation, other.observation)
    same_mask = (seen.mask == other.mask).all()
    walk = Walk(
        position=Position(state=state, ply=jnp.int32(0)),
        twin=twin,
        looks=looks & same_mask,
        behaves=turned & same_mask & (seen.terminal == other.terminal),
    )
    broken = {"start": seen.over, "seats:mask": looks & ~same_mask & ~seen.over}
    return walk, seen, broken


def probe(
    game: Game[Any],
    symmetries: Sequence[Symmetry[Any]],
    flip: Flip | None,
    walk: Walk,
    action: Int32[Array, ""],
    outcome: Int32[Array, ""],
    share: Float32[Array, ""],
) -> Probe:
    """Plays one action and looks at every law.

    Args:
        game: the rules.
        symmetries: those to hold; their states have the shapes they should.
        flip: hands a state to the other player, None if nobody knows how.
        walk: where the match stands.
        action: what to play; may be illegal, then nothing is played.
        outcome: of chance; -1 to take the one at `share`, in [0, 1), of all probability.
        share: see there.
    """
    state, ply = walk.position.state, walk.position.ply
    before = see(game, state, ply)
    live = ~before.over
    index = jnp.clip(action, 0, game.num_actions - 1)
    broken = _position_laws(state, before, live)
    stepped = game.step(state, index)
    if isinstance(game, ChanceGame):
        likely = outcome_probabilities(game, walk.position, index)
        legal = live & (action == index) & before.mask[index]
        broken |= _chance_laws(game, stepped, ply, legal)
        drawn = pick_outcome(likely, share)
        outcome = jnp.where(outcome >= 0, outcome, drawn)
        possible = is_possible_outcome(game, walk.position, index, outcome)
        after_state = _resolve(game, stepped, ply + 1, outcome)
    else:
        possible = outcome < 0
        after_state = stepped
    played = live & (action == index) & before.mask[index] & possible
    after = see(game, after_state, ply + 1)
    goes_on = played & ~after.over
    same_state = _same(state, after_state)
    broken["nothing-changes"] = goes_on & same_state
    broken["?pass"] = (
        goes_on & ~same_state & _is_pass(game, flip, state, after_state, before, after)
    )
    broken |= _symmetry_laws(
        game, symmetries, state, before, index, stepped, outcome, after_state, live, played
    )
    twin = game.step(walk.twin, index)
    if isinstance(game, ChanceGame):
        twin = _resolve(game, twin, ply + 1, outcome)
    other = see(game, twin, ply + 1)
    same = {
        "end": after.over == other.over,
        "player": after.over | (other.player == 1 - after.player),
        "mask": after.over | (after.mask == other.mask).all(),
        "returns": ~after.over | _close(after.returns, other.returns[::-1]),
    }
    alike = after.over | _close(after.observation, other.observation)
    all_same = same["end"] & same["player"] & same["mask"] & same["returns"]
    looked = played & walk.looks
    broken["value-sign"] = looked & same["end"] & ~same["returns"]
    broken["seats:end"] = looked & ~same["end"]
    broken["seats:player"] = looked & same["end"] & ~same["player"]
    broken["seats:mask"] = looked & same["end"] & same["player"] & alike & ~same["mask"]
    broken["?side"] = looked & walk.behaves & all_same & ~alike
    broken["?seats-differ"] = played & walk.behaves & ~all_same
    following = Walk(
        position=Position(state=after_state, ply=ply + 1),
        twin=twin,
        looks=walk.looks & all_same & alike,
        behaves=walk.behaves & all_same,
    )
    return Probe(
        walk=jax.tree.map(lambda new, old: jnp.where(played, new, old), following, walk),
        outcome=jnp.where(played, outcome, -1).astype(jnp.int32),
        played=played,
        before=before,
        after=after,
        broken=broken,
    )


def batched_begin(game: Game[Any], flip: Flip | None) -> Callable[..., Any]:
    """Returns `begin` compiled for a batch of keys."""
    return jax.jit(jax.vmap(functools.partial(begin, game, flip)))


def batched_probe(
    game: Game[Any], symmetries: Sequence[Symmetry[Any]], flip: Flip | None
) -> Callable[..., Any]:
    """Returns `probe` compiled for a batch of matches."""
    return jax.jit(jax.vmap(functools.partial(probe, game, symmetries, flip)))


def _position_laws(state: PyTree, seen: Seen, live: Bool[Array, ""]) -> dict[str, Array]:
    finite = jnp.isfinite(seen.returns).all()
    return {
        "player": live & (seen.player != 0) & (seen.player != 1),
        "no-legal-action": live & ~seen.mask.any(),
        "returns:finite": ~finite,
        "returns:range": finite & (jnp.abs(seen.returns) > 1 + _TOLERANCE).any(),
        "returns:zero-sum": finite & (jnp.abs(seen.returns.sum()) > _TOLERANCE),
        "finite:observation": live & ~jnp.isfinite(seen.observation).all(),
        "finite:state": jnp.stack([_has_nan(leaf) for leaf in jax.tree.leaves(state)]).any(),
    }


def _chance_laws(
    game: ChanceGame[Any], stepped: PyTree, ply: Int32[Array, ""], legal: Bool[Array, ""]
) -> dict[str, Array]:
    follows = legal & game.is_chance(stepped) & ~game.is_terminal(stepped)
    follows = follows & (ply + 1 < game.max_plies)
    likely = game.chance_probabilities(stepped)
    finite = jnp.isfinite(likely).all()
    return {
        "chance:finite": follows & ~finite,
        "chance:negative": follows & finite & (likely < 0).any(),
        "chance:sum": follows & finite & (jnp.abs(likely.sum() - 1) > 1e-4),
    }


def _resolve(
    game: ChanceGame[Any], stepped: PyTree, ply: Int32[Array, ""], outcome: Int32[Array, ""]
) -> PyTree:
    """Returns the state after chance, if any follows."""
    follows = game.is_chance(stepped) & ~game.is_terminal(stepped) & (ply < game.max_plies)
    resolved = game.resolve(stepped, jnp.maximum(outcome, 0))
    return jax.tree.map(lambda new, old: jnp.where(follows, new, old), resolved, stepped)


def _symmetry_laws(
    game: Game[Any],
    symmetries: Sequence[Symmetry[Any]],
    state: PyTree,
    before: Seen,
    action: Int32[Array, ""],
    stepped: PyTree,
    outcome: Int32[Array, ""],
    after: PyTree,
    live: Bool[Array, ""],
    played: Bool[Array, ""],
) -> dict[str, Array]:
    """Returns for each part of the law one entry per symmetry."""
    if not symmetries:
        return {}

    def images_of(state: PyTree) -> PyTree:
        # Side by side, so that the rules are compiled once and not once for every symmetry.
        images = [symmetry.map_state(state) for symmetry in symmetries]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *images)

    permutations = jnp.array([symmetry.permutation for symmetry in symmetries], jnp.int32)
    images, stepped_images, after_images = images_of(state), images_of(stepped), images_of(after)
    seen = jax.vmap(lambda image: _facts(game, image))(images)
    steps = jax.vmap(game.step)(images, permutations[:, action])
    after_returns = game.returns(after).astype(jnp.float32)
    after_seen = jax.vmap(
        lambda image: (game.is_terminal(image), game.returns(image).astype(jnp.float32))
    )(after_images)
    # A symmetry may exchange the players: then results are exchanged too.
    swaps = seen["player"] != before.player
    results = jnp.where(swaps[:, None], after_seen[1][:, ::-1], after_seen[1])
    same_step = jax.vmap(_same)(steps, stepped_images)
    if isinstance(game, ChanceGame):
        outcomes = jnp.array(
            [
                symmetry.outcome_permutation or tuple(range(game.num_outcomes))
                for symmetry in symmetries
            ],
            jnp.int32,
        )[:, jnp.maximum(outcome, 0)]
        resolved = jax.vmap(game.resolve)(stepped_images, outcomes)
        same_step = same_step & ((outcome < 0) | jax.vmap(_same)(resolved, after_images))
    masks = jax.vmap(lambda mask, permutation: mask[permutation])(seen["mask"], permutations)
    parts = {
        "step": played & ~same_step,
        "legal_action_mask": live & (masks != before.mask[None]).any(axis=-1),
        "current_player": live & (seen["player"] != 0) & (seen["player"] != 1),
        "is_terminal": played & (after_seen[0] != game.is_terminal(after)),
        "returns": played & (jnp.abs(results - after_returns[None]) > _TOLERANCE).any(axis=-1),
    }
    return {f"symmetry:{name}": parts[name] for name in SYMMETRY_PARTS}


def _facts(game: Game[Any], state: PyTree) -> dict[str, Array]:
    return {
        "mask": game.legal_action_mask(state),
        "player": game.current_player(state).astype(jnp.int32),
    }


def _is_pass(
    game: Game[Any],
    flip: Flip | None,
    state: PyTree,
    after_state: PyTree,
    before: Seen,
    after: Seen,
) -> Bool[Array, ""]:
    """Returns whether a move changed nothing but the turn and counters, or nothing visible."""
    turned = state if flip is None else flip(state)
    quiet = []
    for old, handed, new in zip(
        jax.tree.leaves(state), jax.tree.leaves(turned), jax.tree.leaves(after_state), strict=True
    ):
        same = (new == old).all() | (new == handed).all()
        if old.ndim == 0 and jnp.issubdtype(old.dtype, jnp.integer):
            same = same | (new == old + 1)
        quiet.append(same)
    same_mover = before.player == after.player
    unseen = same_mover & _close(before.observation, after.observation)
    if flip is not None:
        unseen = unseen | (~same_mover & _close(game.observe(turned), after.observation))
    return jnp.stack(quiet).all() | unseen


def _same(left: PyTree, right: PyTree) -> Bool[Array, ""]:
    """Returns whether two states are equal; floats to within rounding."""
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return jnp.stack([_close(one, other) for one, other in pairs]).all()


def _close(left: Array, right: Array) -> Bool[Array, ""]:
    if jnp.issubdtype(left.dtype, jnp.inexact):
        close = jnp.abs(left - right) <= _TOLERANCE * (1 + jnp.abs(left))
        return (close | (left == right) | (jnp.isnan(left) & jnp.isnan(right))).all()
    return (left == right).all()


def _has_nan(leaf: Array) -> Bool[Array, ""]:
    # Infinity may be a sentinel of the game's own; NaN is equal to nothing, not even itself.
    if jnp.issubdtype(leaf.dtype, jnp.inexact):
        return jnp.isnan(leaf).any()
    return jnp.bool_(False)
