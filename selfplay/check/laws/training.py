"""Warnings: what is allowed, but slows training down or is seldom meant."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from selfplay.check.laws.law import Law, MeasuresTest
from selfplay.check.play.sequence import RandomMatches
from selfplay.game import Game

_LARGE_STATE = 4096
_LARGE_CONSTANTS = 4 * 2**20
_SLOW_COMPILE_SECONDS = 20.0
_FEWEST_MATCHES = 16
_FEWEST_BY_PLAYER = 8

Measures = Mapping[str, Any]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _state_size(game: Game[Any], measures: Measures, played: RandomMatches) -> str:
    size = measures["state_bytes"]
    return f"a state is {size:,} bytes" if size > _LARGE_STATE else ""


STATE_SIZE = Law(
    name="state-size",
    statement="a state is at most 4,096 bytes: one is stored in every node of every search tree",
    advice="leave out what can be computed",
    tests=(MeasuresTest(find=_state_size),),
    is_warning=True,
)


def _constants(game: Game[Any], measures: Measures, played: RandomMatches) -> str:
    size = measures["constant_bytes"]
    return f"the methods hold {size:,} bytes of constants" if size > _LARGE_CONSTANTS else ""


CONSTANTS = Law(
    name="constants",
    statement="the methods hold at most 4 MiB of constants: they are compiled into every program",
    advice="compute them, or make the tables smaller",
    tests=(MeasuresTest(find=_constants),),
    is_warning=True,
)


def _long_matches(game: Game[Any], measures: Measures, played: RandomMatches) -> str:
    share = measures["unfinished_share"]
    if not share:
        return ""
    return f"{_percent(share)} of the random matches went on after the plies that were tried"


LONG_MATCHES = Law(
    name="long-matches",
    statement="random matches end within 1,000 plies: the first matches of an untrained agent are "
    "about as long",
    advice="a lower max_plies, and a fair result for matches that it ends",
    tests=(MeasuresTest(find=_long_matches),),
    is_warning=True,
)


def _cut_matches(game: Game[Any], measures: Measures, played: RandomMatches) -> str:
    share = measures["truncated_share"]
    return f"{_percent(share)} of the random matches were ended by max_plies" if share > 0.5 else ""


CUT_MATCHES = Law(
    name="cut-matches",
    statement="most random matches end by the rules: an untrained agent learns little from those "
    "that max_plies ends",
    advice="a higher max_plies, or rules that end matches earlier",
    tests=(MeasuresTest(find=_cut_matches),),
    is_warning=True,
)


def _drawn_matches(game: Game[Any], measures: Measures, played: RandomMatches) -> str:
    share = measures["drawn_share"]
    if share <= 0.9 or measures["matches"] < _FEWEST_MATCHES:
        return ""
    return f"{_percent(share)} of the random matches were drawn"


DRAWN_MATCHES = Law(
    name="drawn-matches",
    statement="some random matches are decided: otherwise there is at first no result to learn "
    "from",
    advice="a smaller board, or a score as the result",
    tests=(MeasuresTest(find=_drawn_matches),),
    is_warning=True,
)


def _one_never_wins(game: Game[Any], measures: Measures, played: RandomMatches) -> str:
    signs = np.sign([first for first, _ in played.returns])
    decided = signs != 0
    if measures["matches"] < _FEWEST_MATCHES or decided.sum() < _FEWEST_MATCHES:
        return ""
    for player in range(2):
        if (signs[decided] == (1 if player == 1 else -1)).all():
            return f"player {player} won none of {decided.sum()} decided random matches"
    return ""


ONE_NEVER_WINS = Law(
    name="one-never-wins",
    statement="both players win some random matches, unless the game is lopsided",
    advice="nothing if it is; otherwise returns has the wrong sign for one player",
    explained_by=("player", "value-sign"),
    tests=(MeasuresTest(find=_one_never_wins),),
    is_warning=True,
)


def _last_mover_loses(game: Game[Any], measures: Measures, played: RandomMatches) -> str:
    if measures["matches"] < _FEWEST_MATCHES:
        return ""
    signs = np.sign([first for first, _ in played.returns])
    movers = np.array(played.last_movers)
    wins = []
    for player in range(2):
        ended = (signs != 0) & (movers == player)
        if ended.sum() < _FEWEST_BY_PLAYER:
            return ""
        wins.append((signs[ended] == (1 if player == 0 else -1)).any())
    return "" if any(wins) else "whoever makes the last move always loses"


LAST_MOVER_LOSES = Law(
    name="last-mover-loses",
    statement="the player who makes the last move wins some matches, unless one wins by losing",
    advice="nothing if that is the aim of the game; otherwise returns has the wrong sign",
    tests=(MeasuresTest(find=_last_mover_loses),),
    is_warning=True,
)


def _slow_compilation(game: Game[Any], measures: Measures, played: RandomMatches) -> str:
    seconds = sum(measures.get("compile_seconds", {}).values())
    return f"compiling the rules took {seconds:.0f} s" if seconds > _SLOW_COMPILE_SECONDS else ""


SLOW_COMPILATION = Law(
    name="slow-compilation",
    statement="the rules compile within 20 seconds: a training compiles them several times",
    advice="lax.fori_loop or array operations instead of Python loops; nothing if something else "
    "kept the machine busy",
    tests=(MeasuresTest(find=_slow_compilation),),
    is_warning=True,
)

LAWS = (
    STATE_SIZE,
    CONSTANTS,
    LONG_MATCHES,
    CUT_MATCHES,
    DRAWN_MATCHES,
    ONE_NEVER_WINS,
    LAST_MOVER_LOSES,
    SLOW_COMPILATION,
)
