"""Laws of who is to move, what is legal, and how a match begins and ends."""

from collections.abc import Iterator

from jaxtyping import Array

from selfplay.adapters import HostedGame
from selfplay.check.laws.law import Finding, InPython, Law, MatchesTest, PlyTest, StartTest
from selfplay.check.play.exploration import DECIDED, Exploration
from selfplay.check.play.ply import Ply, Start
from selfplay.check.play.shorten import shortened


def _over_at_start(start: Start) -> dict[str, Array]:
    return {"over": start.facts.over}


START = Law(
    name="start",
    statement="the first position is not over",
    advice="is_terminal or max_plies, or what init returns",
    tests=(
        StartTest(
            find=_over_at_start,
            messages={"over": "the first position is over already"},
            at_position=True,
        ),
    ),
    in_python=InPython(
        statement="the first position is not over",
        advice="is_terminal, or what initial_state returns",
    ),
)


def _nobody(ply: Ply) -> dict[str, Array]:
    player = ply.before.player
    return {"number": ply.live & (player != 0) & (player != 1)}


def _one_player_only(exploration: Exploration) -> Iterator[Finding]:
    played = exploration.played
    if len(set(played.players)) == 1 and len(played.players) > len(played.lines):
        only = played.players[0]
        longest = max(played.lines, key=lambda line: len(line.actions))
        yield Finding(
            f"player {only} is to move at every ply of {len(played.lines)} random matches, "
            f"player {1 - only} never",
            longest.first(1),
            at_position=False,
        )


PLAYER = Law(
    name="player",
    statement="current_player is 0 or 1, and both players get to move",
    advice="hand the turn over in step: player=1 - state.player, but for moves that grant another",
    tests=(
        PlyTest(
            find=_nobody,
            messages={"number": "current_player is {player}, but must be 0 or 1"},
            at_position=True,
        ),
        MatchesTest(find=_one_player_only),
    ),
    in_python=InPython(
        statement="current_player is 0 or 1, and both players get to move",
        advice="hand the turn over in apply, but for moves that grant another",
    ),
)


def _nothing_legal(ply: Ply) -> dict[str, Array]:
    return {"none": ply.live & ~ply.before.mask.any()}


NO_LEGAL_ACTION = Law(
    name="no-legal-action",
    statement="a match that is not over has a legal action",
    advice="is_terminal must be True here, or legal_action_mask must allow a pass",
    tests=(
        PlyTest(
            find=_nothing_legal,
            messages={"none": "no action is legal, but the match is not over"},
            at_position=True,
        ),
    ),
    in_python=InPython(
        statement="a match that is not over has a legal action",
        advice="is_terminal must be True here, or legal_actions must hold a pass",
    ),
)


def _no_match_ends(exploration: Exploration) -> Iterator[Finding]:
    played = exploration.played
    undecided = [
        index
        for index, terminal in enumerate(played.terminal)
        if not terminal and abs(played.returns[index][0]) < DECIDED
    ]
    stuck = {"no-legal-action:none", "start:over"} & set(exploration.found)
    if not played.lines or len(undecided) < len(played.lines) or stuck:
        return
    plies = len(played.lines[0].actions)
    limit = (
        f"max_plies ({exploration.game.max_plies})"
        if played.finished[0]
        else f"the {plies} plies that were tried"
    )
    yield Finding(
        f"none of {len(played.lines)} random matches came to an end before {limit}, and all are "
        "scored 0",
        played.lines[0].first(0),
    )


NEVER_ENDS = Law(
    name="never-ends",
    statement="matches end, or are decided when max_plies ends them",
    advice="is_terminal never becomes True in random play: look at it, count repetitions or moves "
    "without progress, or score unfinished matches in returns",
    tests=(MatchesTest(find=_no_match_ends),),
)


def _same_position(ply: Ply) -> dict[str, Array]:
    return {"same": ply.goes_on & ply.unchanged}


NOTHING_CHANGES = Law(
    name="nothing-changes",
    statement="a legal move leads to another position",
    advice="legal_action_mask allows a move that step ignores; a pass must hand the turn over",
    tests=(
        PlyTest(
            find=_same_position,
            messages={"same": "the move leads to the very same position"},
        ),
    ),
)


def _only_the_turn(ply: Ply) -> dict[str, Array]:
    return {"quiet": ply.goes_on & ~ply.unchanged & ply.quiet}


def _ignored_moves(exploration: Exploration) -> Iterator[Finding]:
    if isinstance(exploration.game, HostedGame):
        return  # its state holds the moves, not the position: nothing follows from it
    for one in exploration.explorer.moves.ignored():
        if one.other is None:
            yield Finding(
                f"the mask allows action {one.action}, but all it changes is whose turn it is, "
                "though it does something wherever else it is played",
                shortened(exploration.explorer, "illegal-move:quiet", one.line, last=one.action),
                at_position=False,
            )
            return
        if exploration.leads_to_the_same(one.line, one.other):
            yield Finding(
                f"the mask allows action {one.action} and action {one.other}, but all that either "
                "changes is whose turn it is: one pass is enough",
                one.line,
                at_position=False,
            )
            return


ILLEGAL_MOVE = Law(
    name="illegal-move",
    statement="the legal action mask allows no move that the rules ignore; one pass may be legal "
    "in each position",
    advice="legal_action_mask: leave out occupied cells, full columns and whatever else step "
    "ignores",
    tests=(
        PlyTest(find=_only_the_turn, messages={}),
        MatchesTest(find=_ignored_moves),
    ),
)

LAWS = (START, PLAYER, NO_LEGAL_ACTION, ILLEGAL_MOVE, NOTHING_CHANGES, NEVER_ENDS)
