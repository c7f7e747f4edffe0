"""Laws of the two players: whose result it is, whose side is shown, and that both are equal.

Most are tested on the twin of each match (`selfplay.check.play.ply`): the same moves, but the other
player begins.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from selfplay.check.guessing import findings
from selfplay.check.laws.law import (
    Finding,
    GuessesTest,
    InPython,
    Law,
    LookAlikeTest,
    MatchesTest,
    PlyTest,
    StartTest,
)
from selfplay.check.play.arrays import close
from selfplay.check.play.exploration import DECIDED, Exploration
from selfplay.check.play.look_alikes import LookAlike
from selfplay.check.play.ply import Ply, Start

_OTHER_BEGINS = "if the other player had begun ({exchange}), the same moves would "
_EXCHANGED = _OTHER_BEGINS + "have looked the same to the player to move at every ply, "


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
    found = set(exploration.found)
    if part == "opposite":
        # Where the players are not treated alike, results need not be opposite either.
        unlike = {"seats:end", "seats:player", "seats:mask"} & found
        return not unlike if _mover_alone(exploration) else "seats:rules" not in found
    # No twin ever had the opposite result, though the rules went on alike in all of them.
    return (
        exploration.has_twin
        and not {"value-sign:turned", "seats:rules"} & found
        and not exploration.shows_player
        and not ("value-sign:opposite" in found and _results_proven("opposite", exploration))
    )


def _later_results(exploration: Exploration) -> Iterator[Finding]:
    """Yields a result that is wrong although no twin from the first position shows it."""
    later = exploration.later_twins if "value-sign" in exploration.unproven else None
    if later is not None and later.wrong:
        line, plies = min(later.wrong, key=lambda pair: len(pair[0].actions))
        returns = numbers(exploration.game.returns(exploration.states(line)[-1]))
        yield Finding(
            f"returns is {returns} at the end of this match; if the other player had been to move "
            f"after {plies} {'move' if plies == 1 else 'moves'} ({later.exchange.name}), the same "
            "moves would have looked the same to the player to move at every ply, but the result "
            "is not the other way round",
            line,
            at_position=False,
        )


def _mover_alone(exploration: Exploration) -> bool:
    """Returns whether the twin begins in a position that differs in nothing but the mover.

    Otherwise it begins in a position that may be impossible: what it shows is trusted only where
    everything but the results went on alike.
    """
    exchange = exploration.explorer.exchange
    return exchange is None or exchange.mover_alone


VALUE_SIGN = Law(
    name="value-sign",
    statement="who is player 0 and who is player 1 decides nothing by itself: the same match "
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
                + _OTHER_BEGINS
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
    return _mover_alone(exploration)


_OTHER_ACTIONS = _EXCHANGED + "but other actions are legal"


def _look_alikes_of_both(exploration: Exploration, pairs: Sequence[LookAlike]) -> Iterator[Finding]:
    """Yields positions that look the same and differ by who is to move alone.

    If something else were hidden, positions of the same player would differ too.
    """
    if pairs and all(pair.across for pair in pairs):
        found = _told(exploration, pairs[0])
        yield found._replace(
            message=f"{found.message}; player 0 is to move in one of them, player 1 in the other"
        )


SEATS = Law(
    name="seats",
    statement="positions that look the same to the player to move behave the same",
    advice="a rule that forgets to ask who is to move, or an observation that does not show what "
    "the two players have apart (who is to move, goals, directions)",
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


def _side(ply: Ply) -> dict[str, Array]:
    before = ply.twin.before
    return {
        "side": ply.played & before.shows & before.behaves & ply.twin.all_same & ~ply.twin.shown
    }


def _differs_by_side(exploration: Exploration) -> bool:
    """Returns whether the two views differ although the rules treat both players alike."""
    return (
        exploration.has_twin
        and "observation-side:side" in exploration.found
        and "seats:differ" not in exploration.found
        and all(exploration.played.behaves)
    )


def _side_proven(part: str, exploration: Exploration) -> bool:
    return _differs_by_side(exploration) and not exploration.shows_player


OBSERVATION_SIDE = Law(
    name="observation-side",
    statement="observe shows the position from the side of the player to move",
    advice="put the mover's pieces first: jnp.where(player == 0, board0, board1), then the "
    "opponent's; do not show player 0 first",
    tests=(
        PlyTest(
            find=_side,
            messages={
                "side": _OTHER_BEGINS
                + "have been just as legal and led to the opposite result, but the player to move "
                "would now see something else: not the position from the mover's side"
            },
            proven=_side_proven,
        ),
        GuessesTest(find=findings.wrong_side),
    ),
    in_python=InPython(
        statement="observe shows the position from the side of the player to move",
        advice="put the mover's pieces first, then the opponent's; do not show player 0 first",
    ),
)

OBSERVATION = Law(
    name="observation",
    statement="observe shows the state",
    advice="observe must depend on the state",
    tests=(GuessesTest(find=findings.nothing_shown),),
)


_LOOK_ALIKE = {
    "legal": "two positions look the same to the player to move, but other actions are legal",
    "result": (
        "two positions look the same to the player to move, and the same move leads to another "
        "end or result"
    ),
    "next": (
        "two positions look the same to the player to move, but after the same move other actions "
        "are legal"
    ),
}


def _told(exploration: Exploration, pair: LookAlike) -> Finding:
    game = exploration.game
    states = [exploration.states(line)[-1] for line in pair.lines]
    message = _LOOK_ALIKE[pair.kind]
    if pair.kind == "result":
        results = [
            numbers(game.returns(state)) if game.is_terminal(state) else "none" for state in states
        ]
        message += f" ({results[0]} and {results[1]})"
    else:
        masks = [np.asarray(game.legal_action_mask(state)) for state in states]
        apart = np.flatnonzero(masks[0] != masks[1])
        if apart.size:
            action = int(apart[0])
            where = "first" if masks[0][action] else "second"
            message += f": action {action} is legal in the {where} alone"
    return Finding(message, pair.lines[0], at_position=pair.kind == "legal", other=pair.lines[1])


def numbers(values: Any) -> str:
    """Returns an array of numbers as text."""
    return "[" + ", ".join(f"{float(value):g}" for value in np.asarray(values)) + "]"


def _look_alikes_of_one(exploration: Exploration, pairs: Sequence[LookAlike]) -> Iterator[Finding]:
    for pair in pairs:
        if not pair.across:
            yield _told(exploration, pair)


LOOK_ALIKE = Law(
    name="look-alike",
    statement="a position is all that the player to move sees",
    advice="show in observe what the rules look at (a board or piece that the last move forces, a "
    "count of passes, who moves next). If it is hidden from the player on purpose, set "
    "hidden_information = True: the search sees all of the state, so an agent knows in every "
    "search what a player could not know, and train and arena say so",
    tests=(LookAlikeTest(find=_look_alikes_of_one),),
    is_warning=True,
)


def _two_views(exploration: Exploration) -> Iterator[Finding]:
    if _differs_by_side(exploration) and exploration.shows_player:
        yield Finding(
            "the observation shows the same position differently to player 0 and player 1, though "
            "the rules treat both alike",
            None,
        )


TWO_VIEWS = Law(
    name="two-views",
    statement="where the rules treat both players alike, both see a position in the same way",
    advice="show it from the side of the player to move: it is learnt in half the time",
    tests=(MatchesTest(find=_two_views),),
    is_warning=True,
)

UNEQUAL_PLAYERS = Law(
    name="unequal-players",
    statement="the same match between exchanged players has the opposite result, unless the rules "
    "treat the two apart",
    advice="nothing if they do; but show in observe who is to move. Otherwise returns has the "
    "wrong sign for one player",
    is_warning=True,
)

LAWS = (
    VALUE_SIGN,
    SEATS,
    OBSERVATION_SIDE,
    OBSERVATION,
    LOOK_ALIKE,
    TWO_VIEWS,
    UNEQUAL_PLAYERS,
)
