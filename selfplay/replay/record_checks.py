"""Checks of records that were replayed: against the rules, and of their numbers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.errors import RecordError
from selfplay.records import MatchRecord
from selfplay.records.match import FIELDS, LENGTH, RESIGNED

_RANGES = {f"{field.name} must be {field.range}": field for field in FIELDS if field.range}


def check_rules(
    matches: Sequence[MatchRecord],
    *,
    players: npt.NDArray[np.int32],
    legal: npt.NDArray[np.bool_],
    possible: npt.NDArray[np.bool_],
    over: npt.NDArray[np.bool_],
    truncated: npt.NDArray[np.bool_],
    returns: npt.NDArray[np.float32],
) -> None:
    """Raises `RecordError` unless moves and results agree with the rules.

    All matches are looked at together: one by one, this would take longer than the replay.

    Args:
        matches: played [sum of plies] plies in all.
        players: [sum of plies] the player to move, by the rules.
        legal: [sum of plies] whether the recorded action was legal.
        possible: [sum of plies] whether the recorded chance outcome could follow.
        over: [matches] whether the match is over at its recorded end.
        truncated: [matches] whether it ended by its length alone.
        returns: [matches, 2] the result under the rules.
    """
    rows = len(matches)
    row_of = np.repeat(np.arange(rows), [match.plies for match in matches])
    out_of_turn = players != np.concatenate([match.players for match in matches])

    def any_ply(wrong: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        return np.bincount(row_of[wrong], minlength=rows) > 0

    def first_ply(wrong: npt.NDArray[np.bool_], row: int) -> int:
        return int(np.argmax(wrong[row_of == row]))

    resigned = np.array([match.ending == RESIGNED for match in matches])
    by_length = np.array([match.ending == LENGTH for match in matches])
    cut = np.array([match.truncated for match in matches])
    recorded = np.array([match.returns for match in matches], np.float64)
    # [rows] where it is wrong, and what to say of such a row.
    problems: list[tuple[Any, Callable[[int, MatchRecord], str]]] = [
        (
            any_ply(~legal),
            lambda row, match: (
                f"action {match.actions[ply := first_ply(~legal, row)]} at ply {ply} is not legal"
            ),
        ),
        (
            any_ply(~possible),
            lambda row, match: (
                f"chance outcome {match.outcomes[ply := first_ply(~possible, row)]} "
                f"at ply {ply} is not possible"
            ),
        ),
        (
            any_ply(out_of_turn),
            lambda row, match: (
                f"player {match.players[first_ply(out_of_turn, row)]} moves out of turn"
            ),
        ),
        (
            resigned & over,
            lambda row, match: "the match ends by resignation, but the rules had ended it",
        ),
        (
            resigned & (cut | (recorded[:, 0] == 0)),
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
            ~resigned & ~np.isclose(returns, recorded, atol=1e-6).all(axis=1),
            lambda row, match: (
                f"the result is {match.returns}, but the rules say {tuple(returns[row])}"
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


def check_policies(matches: Sequence[MatchRecord], legal_bits: npt.NDArray[np.uint8]) -> None:
    """Raises `RecordError` unless all actions of the policy targets are legal.

    Args:
        matches: played [sum of plies] plies in all.
        legal_bits: of each of these, see `Positions`.
    """
    counts = np.concatenate([np.diff(match.policy_offsets) for match in matches])
    plies = np.repeat(np.arange(len(counts)), counts)
    actions = np.concatenate([match.policy_actions for match in matches])
    _check_legal(matches, plies, actions, legal_bits, "policy")


def check_side_moves(matches: Sequence[MatchRecord], legal_bits: npt.NDArray[np.uint8]) -> None:
    """Raises `RecordError` unless the moves to side positions are legal; see `check_policies`."""
    actions = np.concatenate([match.side_actions for match in matches])
    plies = np.flatnonzero(actions >= 0)
    _check_legal(matches, plies, actions[plies], legal_bits, "side position")


def check_side_positions(
    matches: Sequence[MatchRecord],
    *,
    over: npt.NDArray[np.bool_],
    legal_bits: npt.NDArray[np.uint8],
) -> None:
    """Raises `RecordError` unless side positions have policies on legal actions alone.

    Args:
        matches: played [sum of plies] plies in all.
        over: whether the match is over in the side position of each; False where there is none.
        legal_bits: legal actions there, see `Positions`.
    """
    counts = np.concatenate([np.diff(match.side_policy_offsets) for match in matches])
    shares = np.concatenate([match.side_policy_probabilities for match in matches])
    plies = np.repeat(np.arange(len(counts)), counts)
    sums = np.bincount(plies, shares, len(counts))
    present = np.concatenate([match.side_actions for match in matches]) >= 0
    wrong = present & (over | ~((sums > 0) & (sums <= 1 + 1e-3)))
    if wrong.any():
        match, ply = _match_and_ply(matches, int(np.argmax(wrong)))
        reason = "the match is over there" if over[wrong][0] else "its policy does not sum to 1"
        raise _not_by_the_rules(match, f"ply {ply} has no side position: {reason}")
    actions = np.concatenate([match.side_policy_actions for match in matches])
    _check_legal(matches, plies, actions, legal_bits, "policy of the side position")


def _check_legal(
    matches: Sequence[MatchRecord],
    plies: npt.NDArray[Any],
    actions: npt.NDArray[np.int32],
    legal_bits: npt.NDArray[np.uint8],
    what: str,
) -> None:
    """Raises `RecordError` unless each action is legal in the position of its ply."""
    known = (actions >= 0) & (actions < 8 * legal_bits.shape[1])
    # The padding of the last byte is 0: not legal.
    within = np.where(known, actions, 0)
    legal = known & ((legal_bits[plies, within >> 3] >> (7 - (within & 7))) & 1).astype(np.bool_)
    if legal.all():
        return
    worst = int(np.argmin(legal))
    match, ply = _match_and_ply(matches, int(plies[worst]))
    raise _not_by_the_rules(
        match, f"the {what} of ply {ply} has action {actions[worst]}, which is not legal"
    )


def _match_and_ply(matches: Sequence[MatchRecord], number: int) -> tuple[MatchRecord, int]:
    """Returns where a ply lies that is counted through all matches."""
    ends = np.cumsum([match.plies for match in matches])
    row = int(np.searchsorted(ends, number, side="right"))
    return matches[row], number - int(ends[row] - matches[row].plies)


def check_values(matches: Sequence[MatchRecord]) -> None:
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
                check_values([match])
        raise RecordError(
            f"match {matches[0].match_id} cannot be learnt from: {rule}",
            hint="docs/records.md says what each column holds",
        )


def check_ends(matches: Sequence[MatchRecord]) -> None:
    """Raises `RecordError` if a match has no final state, which auxiliary targets are made from."""
    for match in matches:
        if match.ending == RESIGNED:
            raise RecordError(
                f"match {match.match_id} was resigned, but {match.game} has auxiliary targets",
                hint="they are made from the final position, so play such matches to the end",
            )
