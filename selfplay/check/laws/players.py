"""Laws of the two players: whose result it is, and that the rules treat both alike.

Most are tested on the twin of each match (`selfplay.check.play.ply`): the same moves, but the other
player begins.
"""

from collections.abc import Iterator, Sequence

import jax.numpy as jnp
from jaxtyping import Array

from selfplay.check.guessing import findings
from selfplay.check.laws.law import (
    Finding,
    GuessesTest,
    Law,
    LookAlikeTest,
    MatchesTest,
    PlyTest,
    StartTest,
)
from selfplay.check.laws.values import numbers_text
from selfplay.check.laws.views import OTHER_BEGINS, look_alike
from selfplay.check.play.arrays import close
from selfplay.check.play.exploration import DECIDED, Exploration
from selfplay.check.play.look_alikes import LookAlike
from selfplay.check.play.ply import Ply, Start
from selfplay.check.play.shorten import shortened

_OFTEN = 0.1
_EXCHANGED = OTHER_BEGINS + "have looked the same to the player to move at every ply, "


def _results(ply: Ply) -> dict[str, Array]:
    twin = ply.twin
    decided = (
        ply.played
        & twin.before.keeps
        & twin.same_rules
        & ply.after.over
        & (jnp.abs(ply.after.returns[0]) > DECIDED)
    )
    return {
        "opposite": ply.played & twin.before.looks & twin.same_end & ~twin.same_returns,
        "kept": decided & close(ply.after.returns, twin.returns),
        "turned": decided & twin.same_returns,
    }


def _results_proven(part: str, exploration: Exploration) -> bool:
    return _results_differ(part, exploration) and not _roles_differ(exploration)


def _roles_differ(exploration: Exploration) -> bool:
    """Returns whether the players have different goals, and the observation shows who is to move.

    Nothing of that shows in one match. So both players must win often in thousands of random
    matches, results must not look like those of whoever is to move at the end, and nothing may
    ever be observed by both players.
    """
    guesses = exploration.guesses
    return (
        guesses is not None
        and guesses.tells_mover
        and min(guesses.wins) >= _OFTEN * sum(guesses.wins)
        and not findings.wrong_result(guesses)
    )


def _results_differ(part: str, exploration: Exploration) -> bool:
    """Returns whether results that are not opposite are a fault if both players are equal."""
    found = set(exploration.found)
    if part == "opposite":
        # Where the players are not treated alike, results need not be opposite either.
        unlike = {"seats:end", "seats:player", "seats:mask"} & found
        behaved = not unlike if exploration.has_equal_twin else "seats:rules" not in found
        return exploration.has_twin and behaved
    # No twin ever had the opposite result, though the rules went on alike in all of them.
    return (
        exploration.has_twin
        and not {"value-sign:turned", "seats:rules"} & found
        and not exploration.shows_player
        and not ("value-sign:opposite" in found and _results_differ("opposite", exploration))
    )


def _later_results(exploration: Exploration) -> Iterator[Finding]:
    """Yields a result that is wrong although no twin from the first position shows it."""
    unlike = {"seats:end", "seats:player", "seats:mask"} & set(exploration.found)
    if unlike or "value-sign" not in exploration.unproven:
        return
    later = exploration.later_twins
    if later is not None and later.wrong and not _roles_differ(exploration):
        line, plies = min(later.wrong, key=lambda pair: len(pair[0].actions))
        returns = numbers_text(exploration.game.returns(exploration.states(line)[-1]))
        yield Finding(
            f"returns is {returns} at the end of this match; if the other player had been to move "
            f"after {plies} {'move' if plies == 1 else 'moves'} ({later.exchange.name}), the same "
            "moves would have looked the same to the player to move at every ply, but the result "
            "is not the other way round",
            line,
            at_position=False,
        )


VALUE_SIGN = Law(
    name="value-sign",
    statement="the result does not depend on which player is called player 0: the same match "
    "between exchanged players has the opposite result",
    advice="returns must be [result of player 0, result of player 1], whoever is to move: look at "
    "the player whose win is counted for the other. If the rules really treat the two apart, "
    "observe must show which of them is to move",
    tests=(
        PlyTest(
            find=_results,
            messages={
                "opposite": "returns is {returns} after a move of player {mover}; "
                + _EXCHANGED
                + "but the result is not the other way round",
                "kept": "returns is {returns} after a move of player {mover}; "
                + OTHER_BEGINS
                + "have been just as legal to the end, but the result is the same, here and in "
                "every decided match, and not the other way round",
            },
            proven=_results_proven,
        ),
        MatchesTest(find=_later_results),
        GuessesTest(find=findings.wrong_or_one_sided_result),
    ),
)


def _seats_at_start(start: Start) -> dict[str, Array]:
    return {
        "mask": start.looks & ~start.same_mask & ~start.facts.over,
        "rules": start.has_twin & ~start.keeps,
    }


def _seats(ply: Ply) -> dict[str, Array]:
    twin = ply.twin
    looked = ply.played & twin.before.looks
    return {
        "end": looked & ~twin.same_end,
        "player": looked & twin.same_end & ~twin.same_player,
        "mask": looked & twin.same_end & twin.same_player & twin.alike & ~twin.same_mask,
        "rules": ply.played & twin.before.keeps & ~twin.same_rules,
        "differ": ply.played & twin.before.behaves & ~twin.all_same,
    }


def _seats_proven(part: str, exploration: Exploration) -> bool:
    return exploration.has_equal_twin


_OTHER_ACTIONS = _EXCHANGED + "but other actions are legal"


def _look_alikes_of_both(exploration: Exploration, pairs: Sequence[LookAlike]) -> Iterator[Finding]:
    """Yields positions that look the same and differ by who is to move alone.

    If something else were hidden, positions of the same player would differ too.
    """
    if pairs and all(pair.across for pair in pairs):
        found = look_alike(exploration, pairs[0])
        yield found._replace(
            message=f"{found.message}; player 0 is to move in one of them, player 1 in the other"
        )


SEATS = Law(
    name="seats",
    statement="positions that look the same to the player to move behave the same",
    advice="a rule that forgets to ask who is to move, or an observation that does not show how "
    "the two players differ (who is to move, goals, directions)",
    tests=(
        StartTest(find=_seats_at_start, messages={"mask": _OTHER_ACTIONS}, proven=_seats_proven),
        PlyTest(
            find=_seats,
            messages={
                "end": _EXCHANGED + "but only one of the two matches is over",
                "player": _EXCHANGED + "but after this move the same player is to move in both",
                "mask": _OTHER_ACTIONS,
            },
            proven=_seats_proven,
        ),
        LookAlikeTest(find=_look_alikes_of_both),
    ),
)


def _unequal_players(exploration: Exploration) -> Iterator[Finding]:
    for part in ("opposite", "kept"):
        key = f"value-sign:{part}"
        if key not in exploration.found or not _results_differ(part, exploration):
            continue
        if _roles_differ(exploration):
            line = shortened(exploration.explorer, key)
            returns = numbers_text(exploration.game.returns(exploration.states(line)[-1]))
            exchange = exploration.explorer.exchange
            yield Finding(
                f"returns is {returns} at the end of this match; if the other player had begun "
                f"({exchange.name if exchange else ''}), the same moves would have been legal, "
                "but the result would not have been the opposite",
                line,
                at_position=False,
            )
        return


UNEQUAL_PLAYERS = Law(
    name="unequal-players",
    statement="the same match between exchanged players has the opposite result, unless the rules "
    "treat the two apart",
    advice="nothing if they do; but show in observe who is to move. Otherwise returns has the "
    "wrong sign for one player",
    tests=(MatchesTest(find=_unequal_players),),
    is_warning=True,
)

LAWS = (VALUE_SIGN, SEATS, UNEQUAL_PLAYERS)
