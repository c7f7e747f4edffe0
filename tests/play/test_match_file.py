"""Matches in files: what is saved is opened again, and what is no match is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from selfplay.cli.main import app
from selfplay.errors import RecordError
from selfplay.game import Game
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.play import LiveMatch, load_match, match_document, play_text, save_match
from selfplay.registry import make


@pytest.fixture(scope="module")
def game() -> TicTacToe:
    return TicTacToe()


def saved(match: LiveMatch, file: Path, **facts: Any) -> Path:
    document = match_document(match, players=["a", "b"], ending="left", returns=None)
    save_match(file, {**document, **facts})
    return file


def test_a_match_is_opened_as_it_was_saved(game: TicTacToe, tmp_path: Path) -> None:
    file = saved(play_text(game, "4 0 8"), tmp_path / "match.json")
    match, document = load_match(file, game)
    assert match.actions == [4, 0, 8] and document["names"] == ["b2", "a3", "c1"]
    assert (document["format"], document["version"]) == ("selfplay-match", 1)
    assert document["plies"] == [None, None, None]


@pytest.mark.parametrize("start", [{"seed": 3}, {"start_key": (1, 2)}])
def test_chance_and_the_start_are_kept(start: dict[str, Any], tmp_path: Path) -> None:
    game: Game[Any] = make("einstein_wuerfelt_nicht")
    match = LiveMatch(game, **start)
    for _ in range(4):
        match.play(match.legal[0])
    again, _ = load_match(saved(match, tmp_path / "match.json"), game)
    assert again.outcomes == match.outcomes and again.actions == match.actions
    assert game.render(again.position.state) == game.render(match.position.state)
    # What chance does next is the same too.
    for one in (match, again):
        one.play(one.legal[0])
    assert again.outcomes == match.outcomes


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": "pgn"}, "not a saved match: its format is 'pgn'"),
        ({"version": 2}, "of a newer selfplay"),
        ({"moves": [4]}, "moves and outcomes differ in length"),
        ({"moves": "4 0 8"}, "not a saved match"),
        ({"moves": [4, 4, 8]}, "does not follow the rules: action 4 is not legal at ply 1"),
        ({"outcomes": [0, 0, 0]}, "outcome 0 cannot follow"),
        ({"start": None}, "not a saved match"),
        ({"game": "chess"}, "is a match of chess, but the game is tic_tac_toe"),
        ({"fingerprint": "0"}, "was played by other rules of tic_tac_toe"),
    ],
)
def test_what_is_no_match_is_refused(
    game: TicTacToe, tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    file = saved(play_text(game, "4 0 8"), tmp_path / "match.json", **change)
    with pytest.raises(RecordError) as caught:
        load_match(file, game)
    assert problem in str(caught.value)


def test_files_that_cannot_be_read(game: TicTacToe, tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("[" * 10_000)
    (tmp_path / "list.json").write_text("[]")
    for name in ("none.json", "no.json", "list.json", "."):
        with pytest.raises(RecordError, match=r"cannot be read|not a saved match"):
            load_match(tmp_path / name, game)


def play(*arguments: str, typed: str = "") -> Any:
    words = ["play", "tic_tac_toe", "--opponent", "solver", *arguments]
    return CliRunner().invoke(app, words, input=typed, prog_name="selfplay")


def test_play_saves_and_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "match.json"
    first = play("--save", str(file), typed="b2\nquit\n")
    assert first.exit_code == 0 and f"saved in {file}" in first.stderr
    document = json.loads(file.read_text())
    assert (document["ending"], document["moves"][0], len(document["moves"])) == ("left", 4, 2)
    assert document["plies"][0] is None and document["plies"][1]["value"] == 0.0
    assert document["players"] == ["a person", "solver"]
    refused = play("--save", str(file))
    assert refused.exit_code == 2 and "exists already" in refused.stderr
    again = play("--resume", str(file), "--save", str(file), typed="undo\na1\nresign\n")
    assert again.exit_code == 0, again.stderr
    document = json.loads(file.read_text())
    assert (document["ending"], document["moves"][0]) == ("resigned", 6)
    assert document["returns"] == [-1.0, 1.0]
    assert len(document["plies"]) == len(document["moves"]) == 2


def test_what_cannot_be_saved_is_said_before_the_match(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = play("--save", str(tmp_path / "file" / "match.json"), typed="b2\n")
    assert result.exit_code == 1 and "your move" not in result.stdout
