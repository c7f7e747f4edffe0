"""What a short training, and thousands of random matches, say is probably wrong with a game."""

import numpy as np

from selfplay.check.guessing.findings import nothing_shown, wrong_result, wrong_side
from selfplay.check.guessing.guesses import Guesses
from selfplay.check.learning.evidence import Evidence

_FEW_UPDATES = 50
_MANY_DECIDED = 200
# So many that a correlation of 0.15 would hardly be taken for none.
_MANY_MATCHES = 400


def suspicions(evidence: Evidence) -> list[str]:
    """Returns which parts of the contract look broken, one text for each."""
    found = (
        _mask(evidence),
        _results(evidence),
        _side(evidence.guesses),
        _observation(evidence),
    )
    return [text for text in found if text]


def notes(evidence: Evidence, *, updates: int, age: int | None) -> list[str]:
    """Returns other reasons why nothing was learnt: the training, or the kind of game."""
    texts = []
    if updates < _FEW_UPDATES:
        texts.append(f"only {updates} updates were made: try more --minutes")
    if evidence.decided == 0:
        texts.append("every match was drawn: there was nothing to learn from")
    if evidence.target_entropy is not None and evidence.target_entropy > 0.97:
        texts.append(
            f"target entropy: the searches prefer nothing (policy targets have "
            f"{evidence.target_entropy:.0%} of the entropy of random moves)"
        )
    if evidence.truncated_share > 0.5:
        texts.append(f"{evidence.truncated_share:.0%} of the matches were ended by max_plies")
    if age is not None and updates and age > 0.8 * updates > 0.8 * _FEW_UPDATES:
        texts.append(f"data age: what was learnt from is {age} updates old on average")
    return texts


def _mask(evidence: Evidence) -> str:
    if not evidence.illegal_moves:
        return ""
    return (
        f"mask leakage: {evidence.illegal_moves} matches hold moves or policy targets that are "
        "illegal when they are played again: legal_action_mask depends on something else than "
        "the state"
    )


def _results(evidence: Evidence) -> str:
    """Returns why results look as if they belonged to the other player, or ""."""
    guesses = evidence.guesses
    wins = np.add(evidence.wins, guesses.wins if guesses is not None else (0, 0))
    for player, won in enumerate(wins):
        if wins.sum() >= _MANY_DECIDED and won == 0:
            return (
                f"value sign: player {player} won none of {wins.sum():,} decided matches, random "
                "ones included: returns may have the wrong sign for that player's wins, or be "
                "[result of whoever is to move at the end, the other's] instead of [player 0's, "
                f"player 1's]; or the game cannot be won by player {player}"
            )
    text = "" if guesses is None else wrong_result(guesses)
    if text:
        return f"value sign: {text}"
    doubt = evidence.doubt
    for player, fit in enumerate(evidence.value_fit):
        other = evidence.value_fit[1 - player]
        if fit is not None and other is not None and fit < -doubt and other > doubt:
            return (
                f"value sign: the predicted value of player {player} and the results are opposed "
                f"(correlation {fit:+.2f}; {other:+.2f} for the other player)"
            )
    return ""


def _side(guesses: Guesses | None) -> str:
    text = "" if guesses is None else wrong_side(guesses)
    return f"observation side: {text}" if text else ""


def _observation(evidence: Evidence) -> str:
    """Returns why the observation looks as if it left out what matters, or ""."""
    guesses = evidence.guesses
    text = "" if guesses is None else nothing_shown(guesses)
    if text:
        return f"observation: {text}"
    known = [fit for fit in evidence.value_fit if fit is not None]
    if known and max(map(abs, known)) < 0.05 and evidence.late_matches >= _MANY_MATCHES:
        return (
            "observation: after training the predicted values have nothing to do with the results "
            f"(correlation {', '.join(f'{fit:+.2f}' for fit in known)}): what matters does not "
            "show in observe, for instance whose side it is"
        )
    return ""
