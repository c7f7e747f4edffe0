"""Laws of what `observe` shows: the mover's side, the state, and everything that matters."""

from collections.abc import Iterator, Sequence

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
from selfplay.check.laws.values import numbers_text
from selfplay.check.play.exploration import Exploration
from selfplay.check.play.look_alikes import LookAlike
from selfplay.check.play.ply import Ply, Start

OTHER_BEGINS = "if the other player had begun ({exchange}), the same moves would "
"""How a message begins that compares a match with its twin."""


def _side_at_start(start: Start) -> dict[str, Array]:
    return {"start": start.has_twin & start.keeps & ~start.shows}


def _side(ply: Ply) -> dict[str, Array]:
    before = ply.twin.before
    return {
        "side": ply.played & before.shows & before.behaves & ply.twin.all_same & ~ply.twin.shown
    }


def _side_parts(exploration: Exploration) -> set[str]:
    """Returns where the two views differ."""
    parts = {"side", "start"} if exploration.has_equal_twin else {"side"}
    return {part for part in parts if f"observation-side:{part}" in exploration.found}


def _differs_by_side(exploration: Exploration) -> bool:
    """Returns whether the two views differ although the rules treat both players alike."""
    return (
        exploration.has_twin
        and bool(_side_parts(exploration))
        and "seats:differ" not in exploration.found
        and all(exploration.played.behaves)
    )


def _side_proven(part: str, exploration: Exploration) -> bool:
    shown = exploration.shows_player or part not in _side_parts(exploration)
    return not shown and _differs_by_side(exploration)


_OTHER_VIEW = (
    "have been just as legal and led to the opposite result, but the player to move would now see "
    "something else: not the position from the mover's side"
)

OBSERVATION_SIDE = Law(
    name="observation-side",
    statement="observe shows the position from the side of the player to move",
    advice="put the mover's pieces first: jnp.where(player == 0, board0, board1), then the "
    "opponent's; do not show player 0 first",
    tests=(
        StartTest(
            find=_side_at_start,
            messages={"start": OTHER_BEGINS + _OTHER_VIEW},
            proven=_side_proven,
        ),
        PlyTest(find=_side, messages={"side": OTHER_BEGINS + _OTHER_VIEW}, proven=_side_proven),
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


def look_alike(exploration: Exploration, pair: LookAlike) -> Finding:
    """Returns two positions that look the same to the player to move, and how they differ."""
    game = exploration.game
    states = [exploration.states(line)[-1] for line in pair.lines]
    message = _LOOK_ALIKE[pair.kind]
    if pair.kind == "result":
        results = [
            numbers_text(game.returns(state)) if game.is_terminal(state) else "none"
            for state in states
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


def _look_alikes_of_one(exploration: Exploration, pairs: Sequence[LookAlike]) -> Iterator[Finding]:
    for pair in pairs:
        if not pair.across:
            yield look_alike(exploration, pair)


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

LAWS = (OBSERVATION_SIDE, OBSERVATION, LOOK_ALIKE, TWO_VIEWS)
