"""Games that the check was not made with: the sound ones are found sound, and mistakes are found.

What tells a game of one's own from the bundled ones is mostly its state: who is to move may follow
from the ply, from a count or from a bit, roles may differ, and a legal move may change nothing.
"""

from typing import Any

import pytest

from selfplay.check import conformance
from selfplay.check.conformance import examine
from selfplay.game import Game
from tests.check.real_rules import boards, hidden, numbers, pieces

SOUND: list[type[Game[Any]]] = [
    boards.Connect6,
    boards.Quixo,
    boards.SwapRule,
    boards.Pentago,
    boards.ThreeMensMorris,
    boards.MuTorere,
    boards.Domineering,
    boards.HareAndHounds,
    boards.Quarto,
    hidden.UltimateTicTacToe,
    numbers.Nim,
    numbers.NimFromCount,
    numbers.Chomp,
    numbers.Pig,
    numbers.CantStop,
    numbers.Waiting,
    pieces.Tablut,
    pieces.Onitama,
    pieces.Santorini,
    pieces.Quoridor,
]
MISTAKES: list[tuple[type[Game[Any]], str]] = [
    (boards.Connect6OfPlayerZero, "observation-side"),
    (boards.Connect6ForTheMover, "value-sign"),
    (boards.QuixoTakesAnyCube, "illegal-move"),
    (boards.SwapResultsOfColours, "value-sign"),
    (boards.PentagoCountsForPlayerZero, "value-sign"),
    (boards.MorrisForgetsToClear, "illegal-move"),
    (boards.MorrisOfPlayerZero, "observation-side"),
    # No twin looks the same here: two positions that the rules reach prove it.
    (boards.MuTorereLostByPlayerOne, "seats"),
    (boards.DomineeringForgetsWhoCannotMove, "no-legal-action"),
    (boards.HareWinsNothing, "returns"),
    (boards.HoundsMayBeStuck, "no-legal-action"),
    (boards.QuartoWonByTheOther, "value-sign"),
    (numbers.NimLastStone, "value-sign"),
    (numbers.NimTakesTooMany, "no-legal-action"),
    (numbers.NimFromCountSign, "value-sign"),
    (numbers.ChompKeepsTheTurn, "seats"),
    (numbers.PigOfPlayerZero, "observation-side"),
    (numbers.PigLoaded, "chance"),
    (numbers.CantStopLeavesOutFullColumns, "chance"),
    (numbers.WaitingTwice, "illegal-move"),
    (pieces.TablutHidesTheMover, "seats"),
    (pieces.OnitamaCardsOfPlayerZero, "seats"),
    # Dealt cards give the players different moves: no twin looks the same.
    (pieces.OnitamaForTheMover, "value-sign"),
    (pieces.SantoriniByWorkers, "value-sign"),
    (pieces.QuoridorForgetsOnePath, "seats"),
]
FAST = {
    boards.SwapResultsOfColours,
    boards.Connect6,
    numbers.CantStopLeavesOutFullColumns,
    numbers.Waiting,
    numbers.WaitingTwice,
}


def _marked(game: type[Game[Any]], *rest: Any) -> Any:
    marks = () if game in FAST else (pytest.mark.slow,)
    return pytest.param(game, *rest, marks=marks, id=game.__name__)


@pytest.mark.parametrize("game", [_marked(game) for game in SOUND])
def test_a_sound_game_is_found_sound(game: type[Game[Any]]) -> None:
    report = examine(game(), matches=32, measures=False)
    assert report.ok, [fault.to_text() for fault in report.faults]
    assert "look-alike" not in {warning.rule for warning in report.warnings}


@pytest.mark.parametrize(("game", "rule"), [_marked(game, rule) for game, rule in MISTAKES])
def test_a_mistake_is_found(
    game: type[Game[Any]], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a busy machine does not get to is found by the next test, under another name.
    monkeypatch.setattr(conformance, "_LOOK_SECONDS", 60.0)
    report = examine(game(), matches=32, measures=False)
    assert [fault.rule for fault in report.faults] == [rule]


@pytest.mark.slow
def test_a_piece_that_is_not_shown_gets_a_warning() -> None:
    report = examine(boards.QuartoHidesTheHand(), matches=32, measures=False)
    assert report.ok
    assert "look-alike" in {warning.rule for warning in report.warnings}
