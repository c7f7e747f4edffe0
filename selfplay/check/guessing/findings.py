"""What the guesses of results show to be wrong with a game, as texts."""

from selfplay.check.guessing.guesses import Guesses

_MANY_DECIDED = 200
_LEAST_CORRELATION = 0.05
_LEAST_STANDARD_ERRORS = 4
_LEAST_SHARE, _MOST_SHARE = 0.1, 0.9


def wrong_or_one_sided_result(guesses: Guesses) -> str:
    """Returns why results look wrong, or ""; that one player never wins counts, too.

    It counts only if that player often makes the last move: otherwise the game may be lopsided.
    """
    return wrong_result(guesses) or _never_wins(guesses)


def _canonical(guesses: Guesses) -> bool:
    """Returns whether results make most sense if they are those of whoever is to move."""
    found = guesses.canonical
    if found is None or (found < guesses.player_zero and not guesses.named):
        return False
    # Where the observation shows the roles, one of them may win nearly always. Whose turn it is at
    # the end then says more than the position, whatever the results mean.
    if guesses.named and min(guesses.wins) < _LEAST_SHARE * sum(guesses.wins):
        return False
    return _far_better(found, guesses.usual, guesses.canonical_t)


def wrong_result(guesses: Guesses) -> str:
    """Returns why results look as if they were those of whoever is to move at the end, or ""."""
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


def wrong_side(guesses: Guesses) -> str:
    """Returns why the observation looks as if it showed player 0's side to both players, or ""."""
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


def nothing_shown(guesses: Guesses) -> str:
    """Returns that the observation never changes, or ""."""
    if not guesses.blind:
        return ""
    return (
        f"it is the same in all of {guesses.positions:,} positions: observe does not show the state"
    )


def _far_better(correlation: float, usual: float, standard_errors: float) -> bool:
    """Returns whether one reading explains the results and the usual one hardly does."""
    return (
        correlation > _LEAST_CORRELATION
        and correlation > 2 * usual
        and standard_errors > _LEAST_STANDARD_ERRORS
    )
