"""Rebuilds positions from the moves of records, by replaying them in compiled batches."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool, Float32, Int32, PyTree, UInt8, UInt32

from selfplay.errors import RecordError
from selfplay.game import (
    Game,
    Position,
    advance,
    is_over,
    is_possible_outcome,
    is_truncated,
    pytree,
    start,
)
from selfplay.parallel import host_device
from selfplay.records import MatchRecord
from selfplay.replay.blame import broken_by
from selfplay.replay.record_checks import check_policies, check_rules, check_values

_MATCHES_AT_ONCE = 64
_PLIES_AT_ONCE = 256
_SHORTEST = 16


@pytree
class Replayed:
    """`B` matches replayed over at most `T` plies.

    Attributes:
        states: [T, B] the state before each ply; without meaning after the end.
        final_states: [B] the state after the last ply.
        over: whether the match is over at its recorded end.
        truncated: whether it ended by its length alone.
        returns: the result under the rules.
    """

    states: PyTree
    final_states: PyTree
    over: Bool[Array, " B"]
    truncated: Bool[Array, " B"]
    returns: Float32[Array, "B 2"]


@pytree
class Plies:
    """What the rules say of `N` plies.

    Attributes:
        players: the player to move.
        legal: whether the recorded action was legal.
        legal_bits: all legal actions, eight to a byte as `jnp.packbits` packs them.
        possible: whether the recorded chance outcome could follow.
    """

    players: Int32[Array, " N"]
    legal: Bool[Array, " N"]
    legal_bits: UInt8[Array, "N bytes"]
    possible: Bool[Array, " N"]


@pytree
class Positions:
    """The positions of some matches, match after match.

    Attributes:
        states: leaves [sum of plies, ...].
        final_states: leaves [matches, ...].
        legal_bits: [sum of plies, bytes] the legal actions, eight to a byte as `np.packbits`
            packs them.
    """

    states: PyTree
    final_states: PyTree
    legal_bits: npt.NDArray[np.uint8]


class Rebuilder:
    """Replays matches. It compiles once for each game and power of two of plies.

    Only the moves themselves are made one after the other. What the rules say of the positions is
    computed for many at once afterwards: on CPU cores each operation takes the same time for one
    position as for dozens.
    """

    def __init__(self, game: Game[Any], fingerprint: str = "") -> None:
        """Compiles nothing yet.

        Args:
            game: the rules.
            fingerprint: of the rules, which every record must have; "" accepts any.
        """
        self.game = game
        self.fingerprint = fingerprint
        self._device = host_device()

    def __call__(self, matches: Sequence[MatchRecord]) -> Positions:
        """Returns the positions of `matches`, which must not be empty.

        Raises:
            RecordError: a match is of another game, version or fingerprint, has an illegal
                action, a policy on illegal actions or a value out of range, does not end where
                its record ends, or ends with another result.
            GameContractError: the game itself breaks its contract in that match.
        """
        for match in matches:
            if (match.game, match.version) != (self.game.name, self.game.version):
                raise RecordError(
                    f"match {match.match_id} is of {match.game} version {match.version}, "
                    f"but the game is {self.game.name} version {self.game.version}"
                )
            if self.fingerprint and match.fingerprint != self.fingerprint:
                raise RecordError(
                    f"match {match.match_id} was played by other rules of {match.game} "
                    f"(fingerprint {match.fingerprint}, here {self.fingerprint})",
                    hint="whoever played it needs the game of this run, with its options",
                )
        parts = [
            self._replay_some(matches[first : first + _MATCHES_AT_ONCE])
            for first in range(0, len(matches), _MATCHES_AT_ONCE)
        ]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)

    def _replay_some(self, matches: Sequence[MatchRecord]) -> Positions:
        count = len(matches)
        lengths = np.zeros(_MATCHES_AT_ONCE, np.int32)
        lengths[:count] = [match.plies for match in matches]
        actions = np.zeros((_bucket(int(lengths.max())), _MATCHES_AT_ONCE), np.int32)
        outcomes = np.full_like(actions, -1)
        keys = np.zeros((_MATCHES_AT_ONCE, 2), np.uint32)
        for row, match in enumerate(matches):
            actions[: match.plies, row] = match.actions
            outcomes[: match.plies, row] = match.outcomes
            keys[row] = match.start_key
        rows = np.repeat(np.arange(count), lengths[:count])
        indices = np.concatenate([np.arange(length) for length in lengths[:count]])
        # On an accelerator it would wait for the chunk of self-play that is in progress there.
        with jax.default_device(self._device):
            replayed = jax.tree.map(
                np.asarray, _replay_moves(self.game, keys, actions, outcomes, lengths)
            )
            states = jax.tree.map(lambda leaf: leaf[indices, rows], replayed.states)
            plies = self._described(
                states, indices.astype(np.int32), actions[indices, rows], outcomes[indices, rows]
            )
        legal_bits = np.asarray(plies.legal_bits)
        try:
            check_rules(
                matches,
                players=np.asarray(plies.players),
                legal=np.asarray(plies.legal),
                possible=np.asarray(plies.possible),
                over=np.asarray(replayed.over)[:count],
                truncated=np.asarray(replayed.truncated)[:count],
                returns=np.asarray(replayed.returns)[:count],
            )
            check_values(matches)
            check_policies(matches, legal_bits)
        except RecordError as error:
            # A game that breaks its contract makes records that do not follow it.
            broken = next(filter(None, (broken_by(self.game, match) for match in matches)), None)
            if broken is None:
                raise
            raise broken from error
        return Positions(
            states=states,
            final_states=jax.tree.map(lambda leaf: leaf[:count], replayed.final_states),
            legal_bits=legal_bits,
        )

    def _described(
        self,
        states: PyTree,
        plies: npt.NDArray[np.int32],
        actions: npt.NDArray[np.int32],
        outcomes: npt.NDArray[np.int32],
    ) -> Plies:
        """Returns what the rules say of positions and of what was played there."""
        parts = []
        asked = (states, plies, actions, outcomes)
        for first in range(0, max(1, len(actions)), _PLIES_AT_ONCE):
            some = jax.tree.map(lambda leaf, at=first: leaf[at : at + _PLIES_AT_ONCE], asked)
            size = len(some[-1])
            if size < _PLIES_AT_ONCE:
                some = jax.tree.map(
                    lambda leaf: np.resize(leaf, (_PLIES_AT_ONCE, *leaf.shape[1:])), some
                )
            found = _describe_plies(self.game, *some)
            parts.append(jax.tree.map(lambda leaf, end=size: np.asarray(leaf)[:end], found))
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _bucket(plies: int) -> int:
    """Returns the padded length: a power of two, so that few programs are compiled."""
    return max(_SHORTEST, 1 << (plies - 1).bit_length())


@functools.partial(jax.jit, static_argnums=0)
def _replay_moves(
    game: Game[Any],
    key_data: UInt32[Array, "B 2"],
    actions: Int32[Array, "T B"],
    outcomes: Int32[Array, "T B"],
    lengths: Int32[Array, " B"],
) -> Replayed:
    """Makes the moves; no longer than the longest match."""
    begin = jax.vmap(functools.partial(start, game))(jax.random.wrap_key_data(key_data))
    plies = actions.shape[0]

    def play(index: Array, carry: tuple[Position[Any], PyTree]) -> tuple[Position[Any], PyTree]:
        positions, states = carry
        states = jax.tree.map(
            lambda buffer, one: buffer.at[index].set(one), states, positions.state
        )
        after = jax.vmap(functools.partial(advance, game))(
            positions, actions[index], outcomes[index]
        ).position
        plays = index < lengths

        def kept(new: Array, old: Array) -> Array:
            return jnp.where(plays.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return jax.tree.map(kept, after, positions), states

    room = jax.tree.map(lambda leaf: jnp.zeros((plies, *leaf.shape), leaf.dtype), begin.state)
    final, states = jax.lax.fori_loop(0, lengths.max(), play, (begin, room))
    return Replayed(
        states=states,
        final_states=final.state,
        over=jax.vmap(functools.partial(is_over, game))(final),
        truncated=jax.vmap(functools.partial(is_truncated, game))(final),
        returns=jax.vmap(game.returns)(final.state).astype(jnp.float32),
    )


@functools.partial(jax.jit, static_argnums=0)
def _describe_plies(
    game: Game[Any],
    states: PyTree,
    plies: Int32[Array, " N"],
    actions: Int32[Array, " N"],
    outcomes: Int32[Array, " N"],
) -> Plies:
    def describe(state: Any, ply: Array, action: Array, outcome: Array) -> tuple[Array, ...]:
        position: Position[Any] = Position(state=state, ply=ply)
        # Out of range JAX would read, and play, another action.
        known = (action >= 0) & (action < game.num_actions)
        mask = game.legal_action_mask(state)
        return (
            game.current_player(state),
            known & mask[action] & ~is_over(game, position),
            jnp.packbits(mask),
            is_possible_outcome(game, position, action, outcome),
        )

    players, legal, legal_bits, possible = jax.vmap(describe)(states, plies, actions, outcomes)
    return Plies(players=players, legal=legal, legal_bits=legal_bits, possible=possible)
