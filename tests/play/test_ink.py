"""Colour in a terminal: only where it is wanted, and nothing is said by colour alone."""

import io
import re

import pytest

from selfplay.arena import SolverAgent
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.play import parse_people, play_in_terminal, takes_colour
from selfplay.play.ink import Ink

CODES = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert takes_colour(Terminal()) and not takes_colour(io.StringIO())
    assert not takes_colour(None)
    monkeypatch.setenv("TERM", "dumb")
    assert not takes_colour(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not takes_colour(Terminal())


def test_what_a_move_changed_stands_out() -> None:
    ink = Ink(True)
    assert ink.board("...\n...") == "...\n..."
    assert ink.board("...\n.x.") == "...\n.\x1b[1;33mx\x1b[0m."
    assert ink.board("another size") == "another size"
    plain = Ink(False)
    assert [plain.board(text) for text in ("..", ".x")] == ["..", ".x"]


@pytest.mark.parametrize(("share", "signs"), [(0, 0), (0.5, 10), (1, 20), (1.2, 20), (-1, 0)])
def test_the_bar_says_it_by_signs_too(share: float, signs: int) -> None:
    bar = CODES.sub("", Ink(True).bar(share))
    assert bar == f" [{'#' * signs}{'-' * (20 - signs)}]"
    assert Ink(False).bar(share) == ""


def test_a_match_in_colour_says_the_same() -> None:
    def text(colour: bool) -> str:
        output = io.StringIO()
        play_in_terminal(
            TicTacToe(),
            SolverAgent(TicTacToe()),
            people=parse_people("0"),
            source=io.StringIO("b2\nhint\nquit\n"),
            output=output,
            colour=colour,
        )
        return output.getvalue()

    coloured = text(True)
    assert "\x1b[" in coloured and "\x1b[" not in text(False)
    assert re.sub(r" \[[#-]{20}\]", "", CODES.sub("", coloured)) == text(False)
