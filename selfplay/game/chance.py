"""Games of chance: what a user writes of dice, and what follows from it."""

import abc
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int32, Key

from selfplay.game.position import Position, is_over, stepped
from selfplay.game.rules import Game
from selfplay.game.text import named_outcome

S = TypeVar("S")


class ChanceGame(Game[S]):
    """The rules of a game with dice, cards drawn from a bag, or any other chance seen by both.

    A ply has two halves: `step` plays an action and leads to an afterstate, then, if `is_chance`
    says so, one outcome is drawn and `resolve` leads to the next position. Players only ever move
    in positions, never in afterstates: what they roll before a move is drawn at the end of the
    ply before, and the first roll in `init`, from its key. So `current_player`, `observe` and
    `legal_action_mask` are never asked about an afterstate. A match that is over in an afterstate,
    by the rules or at `max_plies`, ends there without an outcome.

    The search knows the probabilities and takes expectations; nobody learns them.

    Attributes:
        num_outcomes: number `C` of outcomes; they are 0 ... C - 1.
    """

    num_outcomes: int

    @abc.abstractmethod
    def chance_probabilities(self, state: S) -> Float32[Array, " C"]:
        """Returns how likely each outcome is in an afterstate in which `is_chance`; sums to 1."""

    @abc.abstractmethod
    def resolve(self, state: S, outcome: Int32[Array, ""]) -> S:
        """Returns the position after `outcome`, which is possible in the afterstate `state`."""

    def is_chance(self, state: S) -> Bool[Array, ""]:
        """Returns whether chance comes before the next move; by default unless the match is over.

        Only asked about what `step` returned.
        """
        return ~self.is_terminal(state)

    def outcome_to_string(self, state: S, outcome: int) -> str:
        """Returns how a person writes `outcome` of the afterstate `state`, without spaces."""
        return str(outcome)

    def string_to_outcome(self, state: S, text: str) -> int:
        """Returns the outcome a person means by `text`; the inverse of `outcome_to_string`.

        Raises:
            IllegalActionError: no possible outcome is written like that.
        """
        probabilities = self.chance_probabilities(state)
        names = {
            self.outcome_to_string(state, int(outcome)): int(outcome)
            for outcome in jnp.flatnonzero(probabilities > 0)
        }
        return named_outcome(names, text)


def outcome_probabilities(
    game: ChanceGame[Any], position: Position[Any], action: Int32[Array, ""]
) -> Float32[Array, " C"]:
    """Returns how likely each outcome is once `action` is played; all 0 if no chance follows."""
    afterwards = stepped(game, position, action)
    follows = _chance_follows(game, afterwards) & ~is_over(game, position)
    probabilities = game.chance_probabilities(afterwards.state).astype(jnp.float32)
    return jnp.where(follows, probabilities, 0.0)


def draw_outcome(
    game: Game[Any], position: Position[Any], action: Int32[Array, ""], *, key: Key[Array, ""]
) -> Int32[Array, ""]:
    """Returns the chance outcome that follows `action`, -1 if none does; `key` is consumed.

    Equal keys draw equal outcomes wherever the probabilities are equal: common dice.
    """
    if not isinstance(game, ChanceGame):
        return jnp.int32(-1)
    probabilities = outcome_probabilities(game, position, action)
    return pick_outcome(probabilities, jax.random.uniform(key))


def pick_outcome(
    probabilities: Float32[Array, " C"], share: Float32[Array, ""]
) -> Int32[Array, ""]:
    """Returns the outcome at `share`, in [0, 1), of all probability; -1 if there is none.

    An outcome of probability 0 is never picked, whatever the rounding.
    """
    cumulated = jnp.cumsum(probabilities)
    picked = jnp.sum(cumulated <= share * cumulated[-1]).astype(jnp.int32)
    outcomes = jnp.arange(probabilities.shape[0], dtype=jnp.int32)
    last = jnp.max(jnp.where(probabilities > 0, outcomes, -1))
    return jnp.minimum(picked, last)


def is_possible_outcome(
    game: Game[Any],
    position: Position[Any],
    action: Int32[Array, ""],
    outcome: Int32[Array, ""],
) -> Bool[Array, ""]:
    """Returns whether `outcome` may follow `action`: -1 if and only if no chance follows."""
    if not isinstance(game, ChanceGame):
        return outcome == -1
    probabilities = outcome_probabilities(game, position, action)
    in_range = (outcome >= 0) & (outcome < game.num_outcomes)
    return jnp.where(
        (probabilities > 0).any(),
        in_range & (probabilities[jnp.where(in_range, outcome, 0)] > 0),
        outcome == -1,
    )


def resolved(
    game: ChanceGame[Any], afterwards: Position[Any], outcome: Int32[Array, ""]
) -> Position[Any]:
    """Returns the position after the chance that follows, if any does.

    Args:
        game: the rules.
        afterwards: what `stepped` returned.
        outcome: possible there; without meaning where no chance follows.
    """
    # Where none does the outcome may be -1, which JAX would take for the last one.
    state = game.resolve(afterwards.state, jnp.maximum(outcome, 0))
    follows = _chance_follows(game, afterwards)
    return jax.tree.map(
        lambda new, old: jnp.where(follows, new, old),
        Position(state=state, ply=afterwards.ply),
        afterwards,
    )


def _chance_follows(game: ChanceGame[Any], afterwards: Position[Any]) -> Bool[Array, ""]:
    return game.is_chance(afterwards.state) & ~is_over(game, afterwards)
