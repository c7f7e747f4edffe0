"""What must hold at every ply of every match, computed on the device for many matches at once.

Each law is one boolean per match: True where it is broken. Two kinds need a word.

Every match has a *twin*: the same moves from the same first position, with the other player to
move (`selfplay.check.exchange`). Where everything looked the same so far to the player to move, the
twin must go on alike, and its result must be the other way round. That shows a result with the
wrong sign for one player and an observation from the wrong side without knowing anything else of
the game.

*Signs* (their names begin with "?") are no faults in themselves; `selfplay.check.conformance`
judges them once all matches are played.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int8, Int32, PyTree

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

LARGEST_SLOT_ARRAY = 8
"""Fields of at most so many numbers may hold counters and who is to move, each number by itself."""

Counters = Sequence[tuple[int, int]]
"""Numbers of a state that only count, as leaf and element."""

HandOver = Callable[[PyTree], PyTree]

Movers = Sequence[tuple[int, int, int]]
"""Numbers of a state that only say who is to move: leaf, element, and bits (0 for all of it)."""


@pytree
class Walk:
    """Where one match stands, and its twin.

    Attributes:
        position: of the match.
        twin: state of the twin; the state itself where the game has none.
        looks: whether the twin has looked the same so far to the player to move.
        shows: the same but for numbers of the observation that only tell the players apart.
        keeps: whether masks, ends and players have been the same so far.
        behaves: whether the results were opposite, too.
    """

    position: Position[Any]
    twin: PyTree
    looks: Bool[Array, ""]
    shows: Bool[Array, ""]
    keeps: Bool[Array, ""]
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
        changed: for each field of the state, and for the observation as the next player would have
            seen it before, 0 if the move left it as it was, 1 if its contents only changed places,
            2 if others stand in it now.
        broken: by law, whether it is broken here; symmetries have one entry each and part.
    """

    walk: Walk
    outcome: Int32[Array, ""]
    played: Bool[Array, ""]
    before: Seen
    after: Seen
    changed: Int8[Array, " F"]
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
    game: Game[Any],
    seats: Bool[Array, "..."],
    state: PyTree,
    twin: PyTree,
    has_twin: Bool[Array, ""],
) -> tuple[Walk, Seen, dict[str, Array]]:
    """Returns a match and its twin at the start, what is seen, and the laws broken there."""
    seen = see(game, state, jnp.int32(0))
    other = see(game, twin, jnp.int32(0))
    turned = (other.player == 1 - seen.player) & has_twin
    looks = turned & _close(seen.observation, other.observation)
    shows = turned & _close_but(seats, seen.observation, other.observation)
    same_mask = (seen.mask == other.mask).all()
    keeps = turned & same_mask & (seen.terminal == other.terminal)
    walk = Walk(
        position=Position(state=state, ply=jnp.int32(0)),
        twin=twin,
        looks=looks & same_mask,
        shows=shows & same_mask,
        keeps=keeps,
        behaves=keeps,
    )
    broken = {
        "start": seen.over,
        "seats:mask": looks & ~same_mask & ~seen.over,
        "?rules-differ": has_twin & ~keeps,
    }
    return walk, seen, broken


def probe(
    game: Game[Any],
    symmetries: Sequence[Symmetry[Any]],
    movers: Movers,
    counters: Counters,
    seats: Bool[Array, "..."],
    hand_over: HandOver | None,
    walk: Walk,
    action: Int32[Array, ""],
    outcome: Int32[Array, ""],
    share: Float32[Array, ""],
) -> Probe:
    """Plays one action and looks at every law.

    Args:
        game: the rules.
        symmetries: those to hold; their states have the shapes they should.
        movers: numbers of the state that only say who is to move.
        counters: numbers of the state that only count.
        seats: True where a number of the observation only tells the players apart.
        hand_over: gives the same position with the other player to move, None if nobody knows how.
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
    same_mover = before.player == after.player
    view = before.observation
    if hand_over is not None:
        view = jnp.where(same_mover, view, game.observe(hand_over(state)))
    known = same_mover | (hand_over is not None)
    unseen = known & _close(view, after.observation)
    quiet = _is_quiet(movers, counters, state, after_state) | unseen
    broken["?quiet"] = goes_on & ~same_state & quiet
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
    shown = after.over | _close_but(seats, after.observation, other.observation)
    same_rules = same["end"] & same["player"] & same["mask"]
    all_same = same_rules & same["returns"]
    looked = played & walk.looks
    broken["value-sign"] = looked & same["end"] & ~same["returns"]
    broken["seats:end"] = looked & ~same["end"]
    broken["seats:player"] = looked & same["end"] & ~same["player"]
    broken["seats:mask"] = looked & same["end"] & same["player"] & alike & ~same["mask"]
    broken["?side"] = played & walk.shows & walk.behaves & all_same & ~shown
    broken["?seats-differ"] = played & walk.behaves & ~all_same
    decided = played & walk.keeps & same_rules & after.over & (jnp.abs(after.returns[0]) > 1e-6)
    broken["?result-kept"] = decided & _close(after.returns, other.returns)
    broken["?result-turned"] = decided & same["returns"]
    broken["?rules-differ"] = played & walk.keeps & ~same_rules
    following = Walk(
        position=Position(state=after_state, ply=ply + 1),
        twin=twin,
        looks=walk.looks & all_same & alike,
        shows=walk.shows & all_same & shown,
        keeps=walk.keeps & same_rules,
        behaves=walk.behaves & all_same,
    )
    return Probe(
        walk=jax.tree.map(lambda new, old: jnp.where(played, new, old), following, walk),
        outcome=jnp.where(played, outcome, -1).astype(jnp.int32),
        played=played,
        before=before,
        after=after,
        changed=_changed_contents((state, view), (after_state, after.observation)),
        broken=broken,
    )


def batched_init(game: Game[Any]) -> Callable[..., Any]:
    """Returns the first positions for a batch of keys, compiled."""
    return jax.jit(jax.vmap(lambda key: jax.tree.map(jnp.asarray, game.init(key))))


def batched_begin(game: Game[Any], seats: Bool[Array, "..."]) -> Callable[..., Any]:
    """Returns `begin` compiled for a batch of matches."""
    return jax.jit(jax.vmap(functools.partial(begin, game, seats), in_axes=(0, 0, None)))


def batched_probe(
    game: Game[Any],
    symmetries: Sequence[Symmetry[Any]],
    movers: Movers,
    counters: Counters,
    seats: Bool[Array, "..."],
    hand_over: HandOver | None,
) -> Callable[..., Any]:
    """Returns `probe` compiled for a batch of matches."""
    one = functools.partial(probe, game, symmetries, movers, counters, seats, hand_over)
    return jax.jit(jax.vmap(one))


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


def _is_quiet(
    movers: Movers, counters: Counters, state: PyTree, after_state: PyTree
) -> Bool[Array, ""]:
    """Returns whether a move changed nothing but who is to move, and counters by one."""
    quiet = []
    pairs = zip(jax.tree.leaves(state), jax.tree.leaves(after_state), strict=True)
    for index, (old, new) in enumerate(pairs):
        old, new = old.reshape(-1), new.reshape(-1)
        same = new == old
        for leaf, element in counters:
            if leaf == index:
                same = same | ((jnp.arange(old.size) == element) & (new == old + 1))
        for leaf, element, bits in movers:
            if leaf == index:
                same = same | ((jnp.arange(old.size) == element) & _differ_in(old, new, bits))
        quiet.append(same.all())
    return jnp.stack(quiet).all()


def _differ_in(old: Array, new: Array, bits: int) -> Bool[Array, " N"]:
    """Returns where two fields differ in these bits at most; 0 stands for all bits."""
    if bits == 0:
        return jnp.ones(old.shape, bool)
    rest = jnp.array(np.int64(~bits).astype(old.dtype))
    return ((old ^ new) & rest) == 0


def _changed_contents(before: PyTree, after: PyTree) -> Int8[Array, " F"]:
    """Returns for each field 0 if it is as before, 1 if its contents moved, 2 if it holds others.

    Contents are the numbers in a large field, whatever their places, and the bits in a small one.
    """
    found = []
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        others = _contents(new) != _contents(old)
        found.append(jnp.where((new == old).all(), 0, jnp.where(others, 2, 1)).astype(jnp.int8))
    return jnp.stack(found)


def _contents(leaf: Array) -> Array:
    """Returns a number that stays if the contents of a field change places alone."""
    if leaf.dtype == jnp.bool_:
        return leaf.sum(dtype=jnp.uint32)
    if jnp.issubdtype(leaf.dtype, jnp.floating):
        words = jax.lax.bitcast_convert_type(leaf.astype(jnp.float32), jnp.uint32)
    elif leaf.size <= LARGEST_SLOT_ARRAY:
        return jax.lax.population_count(leaf).astype(jnp.uint32).sum(dtype=jnp.uint32)
    else:
        words = leaf.astype(jnp.uint32)
    # Equal numbers give equal terms, and different ones hardly ever the same sum.
    words = (words ^ (words >> 15)) * jnp.uint32(0x2C1B3C6D)
    words = (words ^ (words >> 12)) * jnp.uint32(0x297A2D39)
    return (words ^ (words >> 15)).sum(dtype=jnp.uint32)


def _same(left: PyTree, right: PyTree) -> Bool[Array, ""]:
    """Returns whether two states are equal; floats to within rounding."""
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return jnp.stack([_close(one, other) for one, other in pairs]).all()


def _close(left: Array, right: Array) -> Bool[Array, ""]:
    if jnp.issubdtype(left.dtype, jnp.inexact):
        close = jnp.abs(left - right) <= _TOLERANCE * (1 + jnp.abs(left))
        return (close | (left == right) | (jnp.isnan(left) & jnp.isnan(right))).all()
    return (left == right).all()


def _close_but(seats: Bool[Array, "..."], left: Array, right: Array) -> Bool[Array, ""]:
    """Returns whether two observations are equal where `seats` is False."""
    return _close(jnp.where(seats, 0, left), jnp.where(seats, 0, right))


def _has_nan(leaf: Array) -> Bool[Array, ""]:
    # Infinity may be a sentinel of the game's own; NaN is equal to nothing, not even itself.
    if jnp.issubdtype(leaf.dtype, jnp.inexact):
        return jnp.isnan(leaf).any()
    return jnp.bool_(False)
