"""From moves back to positions: records are replayed under the rules, in compiled batches."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool, Float32, Int32, Key, PyTree

from selfplay.errors import RecordError
from selfplay.game import Game, Position, advance, is_over, is_truncated, pytree, start
from selfplay.records import MatchRecord

_MATCHES_AT_ONCE = 64
_SHORTEST = 16


@pytree
class Replayed:
    """One match replayed over `T` plies, padded after its end.

    Attributes:
        states: [T] before each ply.
        final_state: where it ended.
        players: who was to move.
        legal: whether the recorded action was legal; True after the end.
        over: whether the match is over at its recorded end, and was not before.
        truncated: whether it ended by its length alone.
        returns: the result under the rules.
    """

    states: PyTree
    final_state: PyTree
    players: Int32[Array, " T"]
    legal: Bool[Array, " T"]
    over: Bool[Array, ""]
    truncated: Bool[Array, ""]
    returns: Float32[Array, "2"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Positions:
    """The positions of some matches, one after the other.

    Attributes:
        states: leaves [sum of plies, ...].
        final_states: leaves [matches, ...].
    """

    states: PyTree
    final_states: PyTree


class Rebuilder:
    """Replays matches; compiled once for each power of two of plies."""

    def __init__(self, game: Game[Any]) -> None:
        self.game = game

        def replay(key_data: Array, actions: Array, lengths: Array) -> Replayed:
            keys = jax.random.wrap_key_data(key_data)
            return jax.vmap(lambda k, a, n: _replay(game, k, a, n))(keys, actions, lengths)

        self._replay: Callable[..., Replayed] = jax.jit(replay)

    def __call__(self, matches: Sequence[MatchRecord]) -> Positions:
        """Returns the positions of `matches`, which must not be empty.

        Raises:
            RecordError: a match is of another game or version, holds an illegal action, does not
                end where its record ends, or ends with another result.
        """
        for match in matches:
            if (match.game, match.version) != (self.game.name, self.game.version):
                raise RecordError(
                    f"match {match.match_id} is of {match.game} version {match.version}, "
                    f"but the game is {self.game.name} version {self.game.version}"
                )
        parts = [
            self._replay_some(matches[first : first + _MATCHES_AT_ONCE])
            for first in range(0, len(matches), _MATCHES_AT_ONCE)
        ]
        return Positions(
            states=jax.tree.map(lambda *leaves: np.concatenate(leaves), *(p[0] for p in parts)),
            final_states=jax.tree.map(
                lambda *leaves: np.concatenate(leaves), *(p[1] for p in parts)
            ),
        )

    def _replay_some(self, matches: Sequence[MatchRecord]) -> tuple[PyTree, PyTree]:
        lengths = np.zeros(_MATCHES_AT_ONCE, np.int32)
        lengths[: len(matches)] = [match.plies for match in matches]
        actions = np.zeros((_MATCHES_AT_ONCE, _bucket(int(lengths.max()))), np.int32)
        keys = np.zeros((_MATCHES_AT_ONCE, 2), np.uint32)
        for row, match in enumerate(matches):
            actions[row, : match.plies] = match.actions
            keys[row] = match.start_key
        replayed = jax.tree.map(np.asarray, self._replay(keys, actions, lengths))
        for row, match in enumerate(matches):
            _check(match, jax.tree.map(lambda leaf, row=row: leaf[row], replayed))
        played = np.arange(actions.shape[1]) < lengths[:, None]
        return (
            jax.tree.map(lambda leaf: leaf[played], replayed.states),
            jax.tree.map(lambda leaf: leaf[: len(matches)], replayed.final_state),
        )


def _bucket(plies: int) -> int:
    """Returns the padded length: a power of two, so that few programs are compiled."""
    return max(_SHORTEST, 1 << (plies - 1).bit_length())


def _replay(
    game: Game[Any], key: Key[Array, ""], actions: Int32[Array, " T"], length: Int32[Array, ""]
) -> Replayed:
    def play(position: Position[Any], step: tuple[Array, Array]) -> tuple[Position[Any], Any]:
        action, index = step
        playing = index < length
        # Out of range JAX would read, and play, another action.
        known = (action >= 0) & (action < game.num_actions)
        legal = known & game.legal_action_mask(position.state)[action] & ~is_over(game, position)
        after = advance(game, position, action).position
        next_position = jax.tree.map(lambda new, old: jnp.where(playing, new, old), after, position)
        return next_position, (
            position.state,
            game.current_player(position.state),
            legal | ~playing,
        )

    indices = jnp.arange(actions.shape[0], dtype=jnp.int32)
    final, (states, players, legal) = jax.lax.scan(play, start(game, key), (actions, indices))
    return Replayed(
        states=states,
        final_state=final.state,
        players=players,
        legal=legal,
        over=is_over(game, final),
        truncated=is_truncated(game, final),
        returns=game.returns(final.state).astype(jnp.float32),
    )


def _check(match: MatchRecord, replayed: Replayed) -> None:
    """Raises `RecordError` unless the record agrees with the rules."""
    legal: npt.NDArray[np.bool_] = np.asarray(replayed.legal)
    players = np.asarray(replayed.players)[: match.plies]
    if not legal.all():
        ply = int(np.argmin(legal))
        problem = f"action {match.actions[ply]} at ply {ply} is not legal"
    elif not np.array_equal(players, match.players):
        problem = f"player {match.players[np.argmax(players != match.players)]} moves out of turn"
    elif not replayed.over:
        problem = f"the match goes on after its last ply {match.plies}"
    elif bool(replayed.truncated) != match.truncated:
        problem = f"truncated is {match.truncated}, but the rules say {bool(replayed.truncated)}"
    elif not np.allclose(replayed.returns, match.returns, atol=1e-6):
        problem = f"the result is {match.returns}, but the rules say {tuple(replayed.returns)}"
    else:
        return
    raise RecordError(
        f"match {match.match_id} does not follow the rules of {match.game}: {problem}",
        hint="the record is damaged, or the rules changed without a new `version`",
    )
