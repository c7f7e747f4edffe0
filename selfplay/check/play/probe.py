"""Plays one ply of a match and of its twin in compiled code, and tests the laws on it."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, PyTree

from selfplay.check.play.arrays import (
    Counters,
    Movers,
    changed_contents,
    changes_only_the_turn,
    close,
    close_but,
    same,
)
from selfplay.check.play.ply import PairedMatch, Ply, PlyLaws, PositionFacts, Start, TwinFacts
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

HandOver = Callable[[PyTree], PyTree]


@pytree
class Probe:
    """One ply under the laws.

    Attributes:
        match: after the action, or as before where it was not legal or the match was over.
        outcome: the chance outcome that followed, -1 for none.
        played: whether the action was legal, the match was not over and the outcome possible.
        before: the facts before the action.
        after: the facts after it; as the action leads there, whether legal or not.
        changed: for each field of the state, and for the observation as the next player would have
            seen it before, 0 if the move left it as it was, 1 if its contents only changed places,
            2 if they are others now.
        unchanged: whether the action was played, the match goes on, and the state is the same.
        quiet: whether it was played, the match goes on, and only the turn was handed over.
        broken: by law and part, whether it is broken; symmetries have one entry each.
    """

    match: PairedMatch
    outcome: Int32[Array, ""]
    played: Bool[Array, ""]
    before: PositionFacts
    after: PositionFacts
    changed: Int8[Array, " F"]
    unchanged: Bool[Array, ""]
    quiet: Bool[Array, ""]
    broken: dict[str, Array]


def position_facts(game: Game[Any], state: PyTree, ply: Int32[Array, ""]) -> PositionFacts:
    """Returns what the rules say of one position."""
    # Of a state of plain numbers, which is reported elsewhere, this is a plain truth value.
    terminal = jnp.asarray(game.is_terminal(state))
    return PositionFacts(
        mask=game.legal_action_mask(state),
        player=game.current_player(state).astype(jnp.int32),
        terminal=terminal,
        over=terminal | (ply >= game.max_plies),
        returns=game.returns(state).astype(jnp.float32),
        observation=game.observe(state),
    )


def begin(
    game: Game[Any],
    laws: PlyLaws,
    seats: Bool[Array, "..."],
    state: PyTree,
    twin: PyTree,
    ply: Int32[Array, ""],
    has_twin: Bool[Array, ""],
) -> tuple[PairedMatch, PositionFacts, dict[str, Array]]:
    """Returns a match and its twin where the twin begins, the facts, and the laws broken there."""
    facts = position_facts(game, state, ply)
    other = position_facts(game, twin, ply)
    turned = (other.player == 1 - facts.player) & has_twin
    looks = turned & close(facts.observation, other.observation)
    shows = turned & close_but(seats, facts.observation, other.observation)
    same_mask = (facts.mask == other.mask).all()
    keeps = turned & same_mask & (facts.terminal == other.terminal)
    match = PairedMatch(
        position=Position(state=state, ply=ply),
        twin=twin,
        looks=looks & same_mask,
        shows=shows & same_mask,
        keeps=keeps,
        behaves=keeps,
    )
    start = Start(
        facts=facts,
        has_twin=has_twin,
        looks=looks,
        shows=shows,
        same_mask=same_mask,
        keeps=keeps,
    )
    return match, facts, laws.at_start(start)


def probe(
    game: Game[Any],
    laws: PlyLaws,
    symmetries: Sequence[Symmetry[Any]],
    movers: Movers,
    counters: Counters,
    seats: Bool[Array, "..."],
    hand_over: HandOver | None,
    match: PairedMatch,
    action: Int32[Array, ""],
    outcome: Int32[Array, ""],
    share: Float32[Array, ""],
) -> Probe:
    """Plays one action and tests every law.

    Args:
        game: the rules.
        laws: those to test.
        symmetries: those to hold; their states have the shapes they should.
        movers: numbers of the state that only say who is to move.
        counters: numbers of the state that only count.
        seats: True where a number of the observation only tells the players apart.
        hand_over: gives the same position with the other player to move; None if no change of the
            state does that.
        match: where the match and its twin stand.
        action: what to play; may be illegal, then nothing is played.
        outcome: of chance; -1 to take the one at `share`, in [0, 1), of all probability.
        share: see there.
    """
    state, number = match.position.state, match.position.ply
    before = position_facts(game, state, number)
    live = ~before.over
    index = jnp.clip(action, 0, game.num_actions - 1)
    legal = live & (action == index) & before.mask[index]
    stepped = game.step(state, index)
    if isinstance(game, ChanceGame):
        drawn = pick_outcome(outcome_probabilities(game, match.position, index), share)
        outcome = jnp.where(outcome >= 0, outcome, drawn)
        possible = is_possible_outcome(game, match.position, index, outcome)
        after_state = resolved(game, stepped, number + 1, outcome)
    else:
        possible = outcome < 0
        after_state = stepped
    played = legal & possible
    after = position_facts(game, after_state, number + 1)
    goes_on = played & ~after.over
    unchanged = same(state, after_state)
    same_mover = before.player == after.player
    view = before.observation
    if hand_over is not None:
        view = jnp.where(same_mover, view, game.observe(hand_over(state)))
    known = same_mover | (hand_over is not None)
    unseen = known & close(view, after.observation)
    twin_state = game.step(match.twin, index)
    if isinstance(game, ChanceGame):
        twin_state = resolved(game, twin_state, number + 1, outcome)
    other = position_facts(game, twin_state, number + 1)
    twin = TwinFacts(
        before=match,
        returns=other.returns,
        same_end=after.over == other.over,
        same_player=after.over | (other.player == 1 - after.player),
        same_mask=after.over | (after.mask == other.mask).all(),
        same_returns=~after.over | close(after.returns, other.returns[::-1]),
        alike=after.over | close(after.observation, other.observation),
        shown=after.over | close_but(seats, after.observation, other.observation),
    )
    ply = Ply(
        game=game,
        symmetries=symmetries,
        number=number,
        state=state,
        before=before,
        live=live,
        action=index,
        legal=legal,
        stepped=stepped,
        outcome=outcome,
        played=played,
        after_state=after_state,
        after=after,
        goes_on=goes_on,
        unchanged=unchanged,
        quiet=changes_only_the_turn(movers, counters, state, after_state) | unseen,
        twin=twin,
    )
    following = PairedMatch(
        position=Position(state=after_state, ply=number + 1),
        twin=twin_state,
        looks=match.looks & twin.all_same & twin.alike,
        shows=match.shows & twin.all_same & twin.shown,
        keeps=match.keeps & twin.same_rules,
        behaves=match.behaves & twin.all_same,
    )
    return Probe(
        match=jax.tree.map(lambda new, old: jnp.where(played, new, old), following, match),
        outcome=jnp.where(played, outcome, -1).astype(jnp.int32),
        played=played,
        before=before,
        after=after,
        changed=changed_contents((state, view), (after_state, after.observation)),
        unchanged=goes_on & unchanged,
        quiet=goes_on & ~unchanged & ply.quiet,
        broken=laws.at_ply(ply),
    )


def resolved(
    game: ChanceGame[Any], stepped: PyTree, ply: Int32[Array, ""], outcome: Int32[Array, ""]
) -> PyTree:
    """Returns the state after chance, if any follows."""
    follows = game.is_chance(stepped) & ~game.is_terminal(stepped) & (ply < game.max_plies)
    after = game.resolve(stepped, jnp.maximum(outcome, 0))
    return jax.tree.map(lambda new, old: jnp.where(follows, new, old), after, stepped)


def batched_init(game: Game[Any]) -> Callable[..., Any]:
    """Returns the first positions for a batch of keys, compiled."""
    return jax.jit(jax.vmap(lambda key: jax.tree.map(jnp.asarray, game.init(key))))


def batched_begin(game: Game[Any], laws: PlyLaws, seats: Bool[Array, "..."]) -> Callable[..., Any]:
    """Returns `begin` compiled for a batch of matches."""
    return jax.jit(jax.vmap(functools.partial(begin, game, laws, seats), in_axes=(0, 0, 0, None)))


def batched_probe(
    game: Game[Any],
    laws: PlyLaws,
    symmetries: Sequence[Symmetry[Any]],
    movers: Movers,
    counters: Counters,
    seats: Bool[Array, "..."],
    hand_over: HandOver | None,
) -> Callable[..., Any]:
    """Returns `probe` compiled for a batch of matches."""
    one = functools.partial(probe, game, laws, symmetries, movers, counters, seats, hand_over)
    return jax.jit(jax.vmap(one))
