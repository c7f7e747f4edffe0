"""What a short training and thousands of random matches make one suspect about a game."""

import numpy as np

from selfplay.check.evidence import Evidence
from selfplay.check.guess import Guesses

_FEW_UPDATES = 50
_MANY_DECIDED = 200
# So many that a correlation of 0.15 would hardly be taken for none.
_MANY_MATCHES = 400
_LEAST_CORRELATION = 0.05
_LEAST_STANDARD_ERRORS = 4
_LEAST_SHARE, _MOST_SHARE = 0.1, 0.9


def suspects(evidence: Evidence) -> list[str]:
    """Returns which promise of the game looks broken, one text for each."""
    found = (
        _mask(evidence),
        _results(evidence),
        _side(evidence.guesses),
        _observation(evidence),
    )
    return [text for text in found if text]


def reading(guesses: Guesses) -> dict[str, str]:
    """Returns what random matches alone make one suspect: a text for each broken rule.

    A player who never wins is suspect only if that player often makes the last move: else the game
    may be lopsided.
    """
    found = {
        "value-sign": _canonical_text(guesses) or _never_wins(guesses),
        "observation-side": _side_text(guesses),
        "observation": _blind_text(guesses),
    }
    return {rule: text for rule, text in found.items() if text}


def notes(evidence: Evidence, *, updates: int, age: int | None) -> list[str]:
    """Returns reasons that lie in the training or in the kind of game."""
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
    """Returns why results look as if they were somebody else's."""
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
    text = "" if guesses is None else _canonical_text(guesses)
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


def _canonical(guesses: Guesses) -> bool:
    """Returns whether results make most sense if they are those of whoever is to move."""
    found = guesses.canonical
    if found is None or (found < guesses.player_zero and not guesses.named):
        return False
    return _far_better(found, guesses.usual, guesses.canonical_t)


def _canonical_text(guesses: Guesses) -> str:
    if not _canonical(guesses):
        return ""
    return (
        "returns seems to be [result of whoever is to move at the end, the other's] and not "
        "[player 0's, player 1's]: a linear guess from the observation has a correlation of "
        f"{guesses.canonical:+.2f} with that, of {guesses.usual:+.2f} with the results as they are"
    )


def _never_wins(guesses: Guesses) -> str:
    decided = sum(guesses.wins)
    for player, won in enumerate(guesses.wins):
        # Whoever is not to move at the end has made the last move, as a rule.
        last = guesses.ended[1 - player]
        if won == 0 and decided >= _MANY_DECIDED and _LEAST_SHARE <= last / decided <= _MOST_SHARE:
            return (
                f"player {player} won none of {decided:,} decided random matches, though "
                f"{last:,} of them ended after a move of player {player}: returns seems to be "
                "[result of whoever is to move at the end, the other's] and not [player 0's, "
                "player 1's], or has the wrong sign for one player"
            )
    return ""


def _side(guesses: Guesses | None) -> str:
    text = "" if guesses is None else _side_text(guesses)
    return f"observation side: {text}" if text else ""


def _side_text(guesses: Guesses) -> str:
    """Returns why the observation looks as if it were the other player's half of the time."""
    # An observation that says whose move it is may show the position from any side.
    if guesses.named or _canonical(guesses):
        return ""
    if not _far_better(guesses.player_zero, guesses.mover, guesses.player_zero_t):
        return ""
    return (
        "observe seems to show player 0's side to both: read like that, a linear guess of the "
        f"result has a correlation of {guesses.player_zero:+.2f} with it, of {guesses.mover:+.2f} "
        "if read as the side of the player to move"
    )


def _blind_text(guesses: Guesses) -> str:
    if not guesses.blind:
        return ""
    return (
        f"it is the same in all of {guesses.positions:,} positions: observe does not show the state"
    )


def _observation(evidence: Evidence) -> str:
    """Returns why the observation looks as if it did not hold what matters."""
    guesses = evidence.guesses
    text = "" if guesses is None else _blind_text(guesses)
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


def _far_better(correlation: float, usual: float, standard_errors: float) -> bool:
    """Returns whether one reading explains the results and the usual one hardly does."""
    return (
        correlation > _LEAST_CORRELATION
        and correlation > 2 * usual
        and standard_errors > _LEAST_STANDARD_ERRORS
    )
