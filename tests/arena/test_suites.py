"""Position suites: what their files may hold, and who solves them."""

import dataclasses
from pathlib import Path

import jax
import pytest

from selfplay.arena import RandomAgent, SolverAgent, ask_suite, read_suite, suite_of
from selfplay.errors import ConfigError
from selfplay.game import Game
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.registry import make

HEAD = "game: tic_tac_toe\n"
GAME = TicTacToe()
GOOD = """
# What follows is right.
game: tic_tac_toe

name: win; moves: 0 3 1 4; best: c3; value: 1
name: block; moves: 0 4 1; best: #2; comment: or x has three; tolerance: 0
name: start; value: 0
name: either end; moves: a3 b2; best: 8 2 2 5
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "mine.txt"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_suite_is_read(write) -> None:
    suite = read_suite(write(GOOD), GAME)
    assert suite.name == "mine" and [one.name for one in suite.positions] == [
        "win", "block", "start", "either end",
    ]  # fmt: skip
    win, block, start, ends = suite.positions
    assert (win.match.actions, win.best, win.value, win.tolerance) == ([0, 3, 1, 4], (2,), 1, 0.5)
    assert (block.best, block.value, block.tolerance) == ((2,), None, 0.0)
    assert (start.match.actions, start.best, start.value) == ([], (), 0.0)
    assert (ends.match.actions, ends.best) == ([0, 4], (2, 5, 8))


def test_its_id_names_what_is_asked(write) -> None:
    first = read_suite(write(GOOD), GAME).id
    assert len(first) == 12
    assert (
        read_suite(write(GOOD.replace("comment: or x has three", "comment: .")), GAME).id == first
    )
    for old, new in (("value: 0", "value: 1"), ("c3", "c2"), ("0 4 1;", "0 4 3;"), ("win", "w")):
        assert read_suite(write(GOOD.replace(old, new)), GAME).id != first


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "line 0 does not say of which game the suite is", "game: tic_tac_toe"),
        ("name: a; best: 0", "line 1 does not say of which game", "game: tic_tac_toe"),
        ("game: othello", "line 1 says that the suite is of othello, but the game is tic", "size"),
        ("game: tic_tac_toe; size: 4", "of tic_tac_toe with size 4, but here it is None", "hex"),
        (HEAD, "holds no position", "name: block"),
        (HEAD + "\nname: a; moves: 0 0; best: 1", "line 3: action 0 is not legal at ply 1", "1 2"),
        (HEAD + "name: a; moves: 0 z9; best: 1", "line 2: move 'z9' at ply 1 is not legal", "b3"),
        (HEAD + "name: a; moves: 0; best: 0", "line 2: the best move '0' is not legal", "1 2 3"),
        (HEAD + "name: a; moves: 0 3 1 4 2; best: 5", "line 2: the match is over", "leave"),
        (HEAD + "name: a; moves: 0; good: 4", "line 2: 'good' is no key", "name, moves, best"),
        (HEAD + "name: a; moves: 0", "line 2: neither best nor value", "name: block"),
        (HEAD + "best: 3", "line 2: the position has no name", "name: block"),
        (HEAD + "name: a; best: 3\nname: a; best: 4", "line 3: the name 'a' stands on an", ""),
        (HEAD + "name: a; value: 1.5", "line 2: value is '1.5', but must be a number from -1", ""),
        (HEAD + "name: a; value: good", "line 2: value is 'good', but must be a number", ""),
        (HEAD + "name: a; value: 1; tolerance: -1", "line 2: tolerance is '-1', but must be", ""),
        (HEAD + "name: a; value: 1; value: 1", "line 2: 'value' stands there twice", "name: block"),
        (HEAD + "0 1 2", "line 2: '0 1 2' is no key with a value", "name: block"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(write, text: str, message: str, hint: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        read_suite(path, GAME)
    assert str(path) in str(caught.value) and message in str(caught.value)
    assert hint in caught.value.hint


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_suite(tmp_path / "absent.txt", GAME)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is no text file"):
        read_suite(tmp_path / "binary.txt", GAME)


def test_an_option_must_be_that_of_the_game(write) -> None:
    path = write("game: hex; size: 3; swap: false\nname: a; best: 4")
    assert read_suite(path, make("hex", size=3, swap=False)).positions[0].best == (4,)
    with pytest.raises(ConfigError, match="is of hex with swap false, but here it is True"):
        read_suite(path, make("hex", size=3))


def test_who_solves_what(write) -> None:
    suite = read_suite(write(GOOD.partition("name: either end")[0]), GAME)
    perfect = ask_suite(SolverAgent(GAME), suite)
    assert (perfect.solved, perfect.share, perfect.to_dict()["failed"]) == (3, 1.0, [])
    # It has no opinion of values, and plays the first free cell.
    blind = ask_suite(RandomAgent(GAME), suite)
    assert {"win", "start"} <= set(blind.to_dict()["failed"])


def test_a_value_is_near_or_it_is_not(write) -> None:
    class Doubtful(SolverAgent):
        def analyse(self, positions, *, key):
            return [
                dataclasses.replace(one, value=0.5 * (one.value or 0.0))
                for one in super().analyse(positions, key=key)
            ]

    lines = "name: a; moves: 0 3 1 4; value: 1; tolerance: {}"
    for tolerance, solved in ((0.49, 0), (0.5, 1)):
        suite = read_suite(write(HEAD + lines.format(tolerance)), GAME)
        assert ask_suite(Doubtful(GAME), suite, seed=1).solved == solved


def test_a_game_names_its_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert suite_of(GAME) is not None
    assert suite_of(make("connect_four", rows=4, columns=4)) is None
    monkeypatch.setattr(TicTacToe, "suite_file", "")
    assert suite_of(GAME) is None
    monkeypatch.setattr(TicTacToe, "suite_file", "absent.txt")
    with pytest.raises(ConfigError, match=r"absent\.txt cannot be read"):
        suite_of(GAME)
    assert Game.suite_file == ""


SHIPPED = (
    "clobber", "connect_four", "dots_and_boxes", "hex", "kalah", "othello", "tic_tac_toe",
)  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_suites_are_right(name: str) -> None:
    game = make(name)
    path = suite_of(game)
    assert path is not None and path.parent.name == "suites"
    suite = read_suite(path, game)
    assert len(suite.positions) >= 20
    for one in suite.positions:
        solution = game.solve(jax.device_put(one.match.position.state))
        assert solution is not None
        if one.best:
            assert set(one.best) == set(solution.actions), one.name
            assert len(one.best) < len(one.match.legal), one.name
        if one.value is not None:
            assert one.value == solution.value, one.name


def test_all_shipped_suites_are_tested() -> None:
    folder = Path("games/suites")
    assert {path.stem for path in folder.glob("*.txt")} == set(SHIPPED)
