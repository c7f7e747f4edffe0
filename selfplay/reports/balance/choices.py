"""What could have been played: legal actions at every ply, from the rules, and names of moves."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float64, Int64

from selfplay.arena.batches import row_on_device
from selfplay.game import ChanceGame, Game
from selfplay.records import MatchRecord
from selfplay.replay.rebuild import Rebuilder

_AT_ONCE = 64
HARDLY = 0.05
"""An action is hardly chosen that is played less than this share as often as by random play."""
_EXPECTED = 20.0
"""Fewer choices than this expected of random play say nothing of an action."""


class Move(NamedTuple):
    """A recorded position and an action that is legal there."""

    match: MatchRecord
    ply: int
    action: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choices:
    """How often each of `A` actions could be chosen, and was.

    Attributes:
        positions: how many were looked at; those whose move was drawn at random are left out.
        branching: mean number of legal actions at the plies of each match [M].
        forced: share of positions with a single legal action.
        widest: most legal actions in a position.
        legal: in how many positions each action was legal [A].
        chosen: how often it was played there [A].
        expected: how often random play would have chosen it [A].
        examples: for each action that was legal, a position where it was.
    """

    positions: int
    branching: Float64[np.ndarray, " M"]
    forced: float
    widest: int
    legal: Int64[np.ndarray, " A"]
    chosen: Int64[np.ndarray, " A"]
    expected: Float64[np.ndarray, " A"]
    examples: dict[int, Move]

    @property
    def never_chosen(self) -> Bool[np.ndarray, " A"]:
        """Actions that were never played, though random play would have, often."""
        found: Bool[np.ndarray, " A"] = (self.chosen == 0) & (self.expected >= _EXPECTED)
        return found

    @property
    def hardly_chosen(self) -> Bool[np.ndarray, " A"]:
        """Actions that were played, but less than `HARDLY` as often as by random play."""
        rarely = self.chosen < HARDLY * self.expected
        found: Bool[np.ndarray, " A"] = rarely & (self.chosen > 0) & (self.expected >= _EXPECTED)
        return found

    def least_chosen(self, most: int) -> list[int]:
        """Returns the actions of both kinds, those first that random play would choose most."""
        found = np.flatnonzero(self.never_chosen | self.hardly_chosen)
        ratio = self.chosen[found] / self.expected[found]
        return [int(one) for one in found[np.lexsort((-self.expected[found], ratio))][:most]]


def count_choices(rebuild: Rebuilder, matches: Sequence[MatchRecord]) -> Choices:
    """Returns what could be chosen in at least one match, by replaying them all.

    Raises:
        RecordError: a match does not follow the rules.
        GameContractError: the game breaks its contract.
    """
    size = rebuild.game.num_actions
    legal_in, chosen = np.zeros(size, np.int64), np.zeros(size, np.int64)
    expected = np.zeros(size, np.float64)
    branching: list[float] = []
    examples: dict[int, Move] = {}
    positions = forced = widest = 0
    for first in range(0, len(matches), _AT_ONCE):
        part = matches[first : first + _AT_ONCE]
        bits = rebuild(part).legal_bits
        legal = np.unpackbits(bits, axis=1)[:, :size].astype(np.bool_)
        widths = legal.sum(axis=1)
        ends = np.cumsum([match.plies for match in part])
        branching += [float(one.mean()) for one in np.split(widths, ends[:-1])]
        counted = ~np.concatenate([match.exploratory for match in part])
        actions = np.concatenate([match.actions for match in part])
        legal_in += legal[counted].sum(axis=0)
        expected += (legal[counted] / widths[counted, None]).sum(axis=0)
        chosen += np.bincount(actions[counted], minlength=size)
        positions += int(counted.sum())
        forced += int((widths[counted] == 1).sum())
        widest = max(widest, int(widths.max()))
        for action in np.flatnonzero(legal.any(axis=0)).tolist():
            if action not in examples:
                place = int(legal[:, action].argmax())
                match = int(np.searchsorted(ends, place, side="right"))
                before = int(ends[match]) - part[match].plies
                examples[action] = Move(part[match], place - before, action)
    return Choices(
        positions=positions,
        branching=np.array(branching, np.float64),
        forced=forced / max(1, positions),
        widest=widest,
        legal=legal_in,
        chosen=chosen,
        expected=expected,
        examples=examples,
    )


def move_names(rebuild: Rebuilder, moves: Sequence[Move]) -> list[str]:
    """Returns how the game writes each of these moves."""
    if not moves:
        return []
    played = {id(move.match): move.match for move in moves}
    states = rebuild(list(played.values())).states
    ends = np.cumsum([match.plies for match in played.values()])
    begins = dict(zip(played, [0, *ends.tolist()[:-1]], strict=True))
    return [
        rebuild.game.action_to_string(
            row_on_device(states, begins[id(move.match)] + move.ply), move.action
        )
        for move in moves
    ]


def mirrorings(game: Game[Any]) -> dict[str, tuple[int, ...]]:
    """Returns the permutations of actions that leave the first position as it is, by name.

    None in a game of chance or with random starts: there no two matches begin alike.
    """
    if isinstance(game, ChanceGame):
        return {}
    init = jax.jit(game.init)
    start, other = jax.device_get((init(jax.random.key(0)), init(jax.random.key(1))))
    if not _same(start, other):
        return {}
    return {
        symmetry.name: tuple(int(action) for action in symmetry.permutation)
        for symmetry in game.symmetries()
        if _same(jax.device_get(symmetry.map_state(jax.tree.map(jnp.asarray, start))), start)
    }


def _same(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)
