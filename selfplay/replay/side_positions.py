"""The side positions of the replay window: positions beside the matches, with targets."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool, Int32, PyTree, UInt8

from selfplay.game import Game, Position, advance
from selfplay.parallel import host_device
from selfplay.records import MatchRecord
from selfplay.replay.columns import Columns
from selfplay.replay.policies import padded_policies
from selfplay.replay.rebuild import Positions
from selfplay.replay.record_checks import check_side_moves, check_side_positions

SIDE_SHARE = 0.5
"""Of the samples: how often the side position of a ply is learnt from instead of its own."""

_AT_ONCE = 256


class Sides(NamedTuple):
    """The side positions of some matches.

    Attributes:
        present: [sum of plies] which plies have one.
        states: leaves [number of them, ...].
    """

    present: npt.NDArray[np.bool_]
    states: PyTree


class SideRing:
    """Keeps the side position of each position in the ring of the window, at the same index."""

    def __init__(self, game: Game[Any], ring: int, width: int) -> None:
        """Allocates memory.

        Args:
            game: the rules, without chance.
            ring: positions.
            width: actions that are kept of a policy.
        """
        self._game = game
        self._device = host_device()
        state = jax.eval_shape(game.init, jax.random.key(0))
        self.states = jax.tree.map(lambda leaf: np.zeros((ring, *leaf.shape), leaf.dtype), state)
        self.present = np.zeros(ring, np.bool_)
        self.values = np.zeros(ring, np.float32)
        self.policy_actions = np.zeros((ring, width), np.int32)
        self.policy_probabilities = np.zeros((ring, width), np.float32)

    def rebuild(self, matches: Sequence[MatchRecord], positions: Positions) -> Sides:
        """Returns the side positions of matches; keeps none of them.

        Args:
            matches: at least one.
            positions: of these.

        Raises:
            RecordError: a side position does not follow the rules.
        """
        check_side_moves(matches, positions.legal_bits)
        actions = np.concatenate([match.side_actions for match in matches])
        present = actions >= 0
        rows = np.flatnonzero(present)
        plies = np.concatenate([np.arange(match.plies, dtype=np.int32) for match in matches])
        over = np.zeros(len(actions), np.bool_)
        legal_bits = np.zeros_like(positions.legal_bits)
        parts = []
        for first in range(0, len(rows), _AT_ONCE):
            # Always as many, so that one program serves all.
            some = np.resize(rows[first : first + _AT_ONCE], _AT_ONCE)
            before = jax.tree.map(lambda leaf, at=some: leaf[at], positions.states)
            with jax.default_device(self._device):
                found = _play(self._game, before, plies[some], actions[some])
            states, ends, legal = jax.tree.map(np.asarray, found)
            over[some], legal_bits[some] = ends, legal
            count = min(_AT_ONCE, len(rows) - first)
            parts.append(jax.tree.map(lambda leaf, end=count: leaf[:end], states))
        check_side_positions(matches, over=over, legal_bits=legal_bits)
        states = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts) if parts else None
        return Sides(present=present, states=states)

    def put(
        self,
        slots: npt.NDArray[Any],
        kept: npt.NDArray[Any],
        matches: Sequence[MatchRecord],
        sides: Sides,
    ) -> None:
        """Writes what belongs to the positions `kept` of `matches` to these indices of the ring."""
        present = sides.present[kept]
        self.present[slots] = present
        if not present.any():
            return
        at, plies = slots[present], kept[present]
        numbers = np.cumsum(sides.present)[plies] - 1

        def write(ring: npt.NDArray[Any], leaf: npt.NDArray[Any]) -> None:
            ring[at] = leaf[numbers]

        jax.tree.map(write, self.states, sides.states)
        self.values[at] = np.concatenate([match.side_values for match in matches])[plies]
        actions, shares = padded_policies(
            matches, self.policy_actions.shape[1], table="side_policy"
        )
        self.policy_actions[at], self.policy_probabilities[at] = actions[plies], shares[plies]

    def replace(
        self,
        states: PyTree,
        actions: npt.NDArray[np.int32],
        probabilities: npt.NDArray[np.float32],
        columns: Columns,
        *,
        slots: npt.NDArray[Any],
        aside: npt.NDArray[np.bool_],
    ) -> None:
        """Puts side positions and their targets in the place of some positions, in the arrays.

        Args:
            states: of the positions drawn.
            actions: of their policy targets.
            probabilities: likewise.
            columns: theirs.
            slots: their indices in the ring.
            aside: which of them give way.
        """
        at = slots[aside]

        def put(leaf: npt.NDArray[Any], ring: npt.NDArray[Any]) -> None:
            leaf[aside] = ring[at]

        jax.tree.map(put, states, self.states)
        put(actions, self.policy_actions)
        put(probabilities, self.policy_probabilities)
        put(columns["search_values"], self.values)
        columns["short_term_values"][aside] = self.values[at, None]
        columns["is_target"] |= aside
        # The match went another way: neither its result nor its next move belongs to them.
        columns["has_next"] &= ~aside
        columns["outcome_known"] &= ~aside

    def drawn(self, slots: npt.NDArray[Any], *, seed: int, update: int) -> npt.NDArray[np.bool_]:
        """Returns for which positions of a batch the side position is taken instead.

        The draw depends on `seed` and `update` alone, and on where there are side positions.
        """
        # Another stream than that of the positions, which has the counter 0.
        bits = np.random.Philox(key=[seed, update], counter=[0, 0, 0, 1])
        chosen = np.random.Generator(bits).random(len(slots)) < SIDE_SHARE
        return np.asarray(chosen & self.present[slots])


@functools.partial(jax.jit, static_argnums=0)
def _play(
    game: Game[Any], states: PyTree, plies: Int32[Array, " N"], actions: Int32[Array, " N"]
) -> tuple[PyTree, Bool[Array, " N"], UInt8[Array, "N bytes"]]:
    """Returns where moves lead, whether the match is over there, and what is legal, packed."""

    def play(state: Any, ply: Array, action: Array) -> tuple[Any, Array, Array]:
        after = advance(game, Position(state=state, ply=ply), action, jnp.int32(-1))
        state = after.position.state
        return state, after.over, jnp.packbits(game.legal_action_mask(state))

    return jax.vmap(play)(states, plies, actions)
