"""Rebuilds positions from the moves of records, by replaying them in compiled batches."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Bool, Float32, Int32, Key, PyTree, UInt8

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
from selfplay.records import MatchRecord
from selfplay.records.match import FIELDS, LENGTH, RESIGNED
from selfplay.replay.blame import broken_by

_MATCHES_AT_ONCE = 64
_SHORTEST = 16
_RANGES = {f"{field.name} must be {field.range}": field for field in FIELDS if field.range}


@pytree
class Replayed:
    """One match replayed over `T` plies, padded after its end.

    Attributes:
        states: [T] the state before each ply.
        final_state: the state after the last ply.
        players: [T] the player to move.
        legal: [T] whether the recorded action was legal; True after the end.
        legal_bits: [T] all legal actions, eight to a byte as `jnp.packbits` packs them.
        possible: [T] whether the recorded chance outcome could follow; True after the end.
        over: whether the match is over at its recorded end.
        truncated: whether it ended by its length alone.
        returns: the result under the rules.
    """

    states: PyTree
    final_state: PyTree
    players: Int32[Array, " T"]
    legal: Bool[Array, " T"]
    legal_bits: UInt8[Array, "T bytes"]
    possible: Bool[Array, " T"]
    over: Bool[Array, ""]
    truncated: Bool[Array, ""]
    returns: Float32[Array, "2"]


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
    """Replays matches. It compiles once for each power of two of plies."""

    def __init__(self, game: Game[Any], fingerprint: str = "") -> None:
        """Compiles nothing yet.

        Args:
            game: the rules.
            fingerprint: of the rules, which every record must have; "" accepts any.
        """
        self.game = game
        self.fingerprint = fingerprint

        def replay(key_data: Array, actions: Array, outcomes: Array, lengths: Array) -> Replayed:
            keys = jax.random.wrap_key_data(key_data)
            return jax.vmap(lambda k, a, o, n: _replay(game, k, a, o, n))(
                keys, actions, outcomes, lengths
            )

        self._replay: Callable[..., Replayed] = jax.jit(replay)

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
        lengths = np.zeros(_MATCHES_AT_ONCE, np.int32)
        lengths[: len(matches)] = [match.plies for match in matches]
        actions = np.zeros((_MATCHES_AT_ONCE, _bucket(int(lengths.max()))), np.int32)
        outcomes = np.full_like(actions, -1)
        keys = np.zeros((_MATCHES_AT_ONCE, 2), np.uint32)
        for row, match in enumerate(matches):
            actions[row, : match.plies] = match.actions
            outcomes[row, : match.plies] = match.outcomes
            keys[row] = match.start_key
        replayed = jax.tree.map(np.asarray, self._replay(keys, actions, outcomes, lengths))
        for row, match in enumerate(matches):
            try:
                _check(match, jax.tree.map(lambda leaf, row=row: leaf[row], replayed))
            except RecordError as error:
                # A game that breaks its contract makes records that do not follow it.
                broken = broken_by(self.game, match)
                if broken is None:
                    raise
                raise broken from error
        played = np.arange(actions.shape[1]) < lengths[:, None]
        return Positions(
            states=jax.tree.map(lambda leaf: leaf[played], replayed.states),
            final_states=jax.tree.map(lambda leaf: leaf[: len(matches)], replayed.final_state),
            legal_bits=np.asarray(replayed.legal_bits)[played],
        )


def _bucket(plies: int) -> int:
    """Returns the padded length: a power of two, so that few programs are compiled."""
    return max(_SHORTEST, 1 << (plies - 1).bit_length())


def _replay(
    game: Game[Any],
    key: Key[Array, ""],
    actions: Int32[Array, " T"],
    outcomes: Int32[Array, " T"],
    length: Int32[Array, ""],
) -> Replayed:
    def play(
        position: Position[Any], step: tuple[Array, Array, Array]
    ) -> tuple[Position[Any], Any]:
        action, outcome, index = step
        playing = index < length
        # Out of range JAX would read, and play, another action.
        known = (action >= 0) & (action < game.num_actions)
        mask = game.legal_action_mask(position.state)
        legal = known & mask[action] & ~is_over(game, position)
        possible = is_possible_outcome(game, position, action, outcome)
        after = advance(game, position, action, outcome).position
        next_position = jax.tree.map(lambda new, old: jnp.where(playing, new, old), after, position)
        return next_position, (
            position.state,
            game.current_player(position.state),
            legal | ~playing,
            jnp.packbits(mask),
            possible | ~playing,
        )

    indices = jnp.arange(actions.shape[0], dtype=jnp.int32)
    final, (states, players, legal, legal_bits, possible) = jax.lax.scan(
        play, start(game, key), (actions, outcomes, indices)
    )
    return Replayed(
        states=states,
        final_state=final.state,
        players=players,
        legal=legal,
        legal_bits=legal_bits,
        possible=possible,
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
    elif not np.all(replayed.possible):
        ply = int(np.argmin(replayed.possible))
        problem = f"chance outcome {match.outcomes[ply]} at ply {ply} is not possible"
    elif not np.array_equal(players, match.players):
        problem = f"player {match.players[np.argmax(players != match.players)]} moves out of turn"
    elif match.ending == RESIGNED and replayed.over:
        problem = "the match ends by resignation, but the rules had ended it"
    elif match.ending == RESIGNED and (match.truncated or not match.returns[0]):
        problem = "the match ends by resignation, but without a winner"
    elif match.ending != RESIGNED and not replayed.over:
        problem = f"the match goes on after its last ply {match.plies}"
    elif match.ending != RESIGNED and bool(replayed.truncated) != match.truncated:
        problem = f"truncated is {match.truncated}, but the rules say {bool(replayed.truncated)}"
    elif match.truncated != (match.ending == LENGTH):
        problem = f"its ending is {match.ending}, but truncated is {match.truncated}"
    elif match.ending != RESIGNED and not np.allclose(replayed.returns, match.returns, atol=1e-6):
        problem = f"the result is {match.returns}, but the rules say {tuple(replayed.returns)}"
    else:
        _check_values(match)
        problem = _illegal_policy(match, np.asarray(replayed.legal_bits))
        if not problem:
            return
    raise RecordError(
        f"match {match.match_id} does not follow the rules of {match.game}: {problem}",
        hint="the record is damaged, or the rules changed without a new `version`",
    )


def _illegal_policy(match: MatchRecord, legal_bits: npt.NDArray[np.uint8]) -> str:
    """Returns what is wrong with the actions of the policy targets, "" if they are legal."""
    plies = np.repeat(np.arange(match.plies), np.diff(match.policy_offsets))
    actions = match.policy_actions
    known = (actions >= 0) & (actions < 8 * legal_bits.shape[1])
    # The padding of the last byte is 0: not legal.
    within = np.where(known, actions, 0)
    legal = known & ((legal_bits[plies, within >> 3] >> (7 - (within & 7))) & 1).astype(np.bool_)
    if legal.all():
        return ""
    worst = int(np.argmin(legal))
    return f"the policy of ply {plies[worst]} has action {actions[worst]}, which is not legal"


def _check_values(match: MatchRecord) -> None:
    """Raises `RecordError` unless the numbers of a record are in their ranges.

    What another program writes may be anything; one NaN in a target would end the training.
    """
    shares = match.policy_probabilities
    sums = np.zeros(match.plies)
    np.add.at(sums, np.repeat(np.arange(match.plies), np.diff(match.policy_offsets)), shares)
    rules = {rule: field.allows(getattr(match, field.name)) for rule, field in _RANGES.items()} | {
        "returns must be two opposite numbers": abs(sum(match.returns)) <= 1e-5,
        "policy_probabilities of a ply must sum to at most 1": bool((sums <= 1 + 1e-3).all()),
        "the policy of a training target must not be empty": bool(
            (sums[match.is_target] > 0).all()
        ),
        "its checkpoints must be in order": match.first_checkpoint <= match.last_checkpoint,
    }
    for rule, holds in rules.items():
        if not holds:
            raise RecordError(
                f"match {match.match_id} cannot be learnt from: {rule}",
                hint="docs/records.md says what each column holds",
            )
