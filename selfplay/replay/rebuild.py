"""Rebuilds positions from the moves of records, by replaying them in compiled batches."""

import functools
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
from selfplay.parallel import host_device
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
    """Replays matches. It compiles once for each game and power of two of plies."""

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
        lengths = np.zeros(_MATCHES_AT_ONCE, np.int32)
        lengths[: len(matches)] = [match.plies for match in matches]
        actions = np.zeros((_MATCHES_AT_ONCE, _bucket(int(lengths.max()))), np.int32)
        outcomes = np.full_like(actions, -1)
        keys = np.zeros((_MATCHES_AT_ONCE, 2), np.uint32)
        for row, match in enumerate(matches):
            actions[row, : match.plies] = match.actions
            outcomes[row, : match.plies] = match.outcomes
            keys[row] = match.start_key
        # On an accelerator it would wait for the chunk of self-play that is in progress there.
        with jax.default_device(self._device):
            found = _replay_all(self.game, keys, actions, outcomes, lengths)
            replayed = jax.tree.map(np.asarray, found)
        played = np.arange(actions.shape[1]) < lengths[:, None]
        bits = np.asarray(replayed.legal_bits)[played]
        try:
            _check_rules(matches, replayed)
            _check_values(matches)
            _check_policies(matches, bits)
        except RecordError as error:
            # A game that breaks its contract makes records that do not follow it.
            broken = next(filter(None, (broken_by(self.game, match) for match in matches)), None)
            if broken is None:
                raise
            raise broken from error
        return Positions(
            states=jax.tree.map(lambda leaf: leaf[played], replayed.states),
            final_states=jax.tree.map(lambda leaf: leaf[: len(matches)], replayed.final_state),
            legal_bits=bits,
        )


def _bucket(plies: int) -> int:
    """Returns the padded length: a power of two, so that few programs are compiled."""
    return max(_SHORTEST, 1 << (plies - 1).bit_length())


@functools.partial(jax.jit, static_argnums=0)
def _replay_all(
    game: Game[Any], key_data: Array, actions: Array, outcomes: Array, lengths: Array
) -> Replayed:
    keys = jax.random.wrap_key_data(key_data)
    return jax.vmap(functools.partial(_replay, game))(keys, actions, outcomes, lengths)


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


def _check_rules(matches: Sequence[MatchRecord], replayed: Replayed) -> None:
    """Raises `RecordError` unless moves and results agree with the rules.

    All matches are looked at together: one by one, this would take longer than the replay.

    Args:
        matches: at most as many as there are rows in `replayed`.
        replayed: leaves [rows, ...].
    """
    rows = len(matches)
    legal, possible = np.asarray(replayed.legal)[:rows], np.asarray(replayed.possible)[:rows]
    players = np.asarray(replayed.players)[:rows]
    over, truncated = replayed.over[:rows], replayed.truncated[:rows]
    results = np.asarray(replayed.returns)[:rows]
    recorded = players.copy()
    for row, match in enumerate(matches):
        recorded[row, : match.plies] = match.players
    # After the end of a match `players` has who would move next, which `recorded` copies.
    out_of_turn = players != recorded
    resigned = np.array([match.ending == RESIGNED for match in matches])
    by_length = np.array([match.ending == LENGTH for match in matches])
    cut = np.array([match.truncated for match in matches])
    returns = np.array([match.returns for match in matches], np.float64)
    # [rows] where it is wrong, and what to say of such a row.
    problems: list[tuple[Any, Callable[[int, MatchRecord], str]]] = [
        (
            ~legal.all(axis=1),
            lambda row, match: (
                f"action {match.actions[ply := int(np.argmin(legal[row]))]} at ply {ply} "
                "is not legal"
            ),
        ),
        (
            ~possible.all(axis=1),
            lambda row, match: (
                f"chance outcome {match.outcomes[ply := int(np.argmin(possible[row]))]} "
                f"at ply {ply} is not possible"
            ),
        ),
        (
            out_of_turn.any(axis=1),
            lambda row, match: (
                f"player {match.players[np.argmax(out_of_turn[row])]} moves out of turn"
            ),
        ),
        (
            resigned & over,
            lambda row, match: "the match ends by resignation, but the rules had ended it",
        ),
        (
            resigned & (cut | (returns[:, 0] == 0)),
            lambda row, match: "the match ends by resignation, but without a winner",
        ),
        (
            ~resigned & ~over,
            lambda row, match: f"the match goes on after its last ply {match.plies}",
        ),
        (
            ~resigned & (truncated != cut),
            lambda row, match: (
                f"truncated is {match.truncated}, but the rules say {bool(truncated[row])}"
            ),
        ),
        (
            cut != by_length,
            lambda row, match: f"its ending is {match.ending}, but truncated is {match.truncated}",
        ),
        (
            ~resigned & ~np.isclose(results, returns, atol=1e-6).all(axis=1),
            lambda row, match: (
                f"the result is {match.returns}, but the rules say {tuple(results[row])}"
            ),
        ),
    ]
    for row in np.flatnonzero(np.any([wrong for wrong, _ in problems], axis=0))[:1]:
        explain = next(explain for wrong, explain in problems if wrong[row])
        raise _not_by_the_rules(matches[row], explain(int(row), matches[row]))


def _not_by_the_rules(match: MatchRecord, problem: str) -> RecordError:
    return RecordError(
        f"match {match.match_id} does not follow the rules of {match.game}: {problem}",
        hint="the record is damaged, or the rules changed without a new `version`",
    )


def _check_policies(matches: Sequence[MatchRecord], legal_bits: npt.NDArray[np.uint8]) -> None:
    """Raises `RecordError` unless all actions of the policy targets are legal.

    Args:
        matches: played [sum of plies] plies in all.
        legal_bits: of each of these, see `Positions`.
    """
    counts = np.concatenate([np.diff(match.policy_offsets) for match in matches])
    plies = np.repeat(np.arange(len(counts)), counts)
    actions = np.concatenate([match.policy_actions for match in matches])
    known = (actions >= 0) & (actions < 8 * legal_bits.shape[1])
    # The padding of the last byte is 0: not legal.
    within = np.where(known, actions, 0)
    legal = known & ((legal_bits[plies, within >> 3] >> (7 - (within & 7))) & 1).astype(np.bool_)
    if legal.all():
        return
    worst = int(np.argmin(legal))
    ends = np.cumsum([match.plies for match in matches])
    row = int(np.searchsorted(ends, plies[worst], side="right"))
    ply = plies[worst] - (ends[row] - matches[row].plies)
    raise _not_by_the_rules(
        matches[row], f"the policy of ply {ply} has action {actions[worst]}, which is not legal"
    )


def _check_values(matches: Sequence[MatchRecord]) -> None:
    """Raises `RecordError` unless the numbers of the records are in their ranges.

    What another program writes may be anything; one NaN in a target would end the training.
    """
    counts = np.concatenate([np.diff(match.policy_offsets) for match in matches])
    shares = np.concatenate([match.policy_probabilities for match in matches])
    sums = np.bincount(np.repeat(np.arange(len(counts)), counts), shares, len(counts))
    is_target = np.concatenate([match.is_target for match in matches])
    rules = {
        rule: field.allows([getattr(match, field.name) for match in matches])
        for rule, field in _RANGES.items()
    } | {
        "returns must be two opposite numbers": all(
            abs(sum(match.returns)) <= 1e-5 for match in matches
        ),
        "policy_probabilities of a ply must sum to at most 1": bool((sums <= 1 + 1e-3).all()),
        "the policy of a training target must not be empty": bool((sums[is_target] > 0).all()),
        "its checkpoints must be in order": all(
            match.first_checkpoint <= match.last_checkpoint for match in matches
        ),
    }
    for rule, holds in rules.items():
        if holds:
            continue
        if len(matches) > 1:
            # To say which.
            for match in matches:
                _check_values([match])
        raise RecordError(
            f"match {matches[0].match_id} cannot be learnt from: {rule}",
            hint="docs/records.md says what each column holds",
        )
