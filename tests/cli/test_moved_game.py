"""Commands that open a run find its game where --game says that it is now."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke

RULES = Path(__file__).parents[2] / "games" / "tic_tac_toe.py"


@pytest.fixture
def moved(own_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose game has moved to elsewhere/renamed.py under the current folder."""
    monkeypatch.delenv("SELFPLAY_GAMES", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(RULES, tmp_path / "elsewhere" / "renamed.py")
    toml = own_run / "run.toml"
    spec = f'spec = "{tmp_path}/gone/mine.py:TicTacToe"'
    toml.write_text(toml.read_text().replace('spec = "tic_tac_toe"', spec))
    return own_run


@pytest.mark.parametrize(
    "command",
    [
        ("analyze", "RUN", "--moves", ""),
        ("arena", "RUN", "random", "--matches", "2"),
        ("play", "RUN", "--side", "none"),
        ("export", "RUN", "file.stablehlo"),
        ("matches", "RUN", "MATCH"),
        ("rerun", "RUN"),
        ("balance", "RUN"),
        ("worker", "--run", "RUN", "--dry-run", "--jitter", "0", "--max-matches", "1"),
        ("evaluator", "--run", "RUN", "--max-seconds", "2"),
        ("trainer", "--run", "RUN", "--updates", "8"),
    ],
    ids=lambda command: command[0],
)
def test_commands_that_need_the_rules(
    invoke: Invoke, moved: Path, command: tuple[str, ...]
) -> None:
    listed = json.loads(invoke("matches", moved, "--limit", 1, "--json").stdout)
    words = {"RUN": str(moved), "MATCH": listed[0]["match_id"]}
    typed = [words.get(word, word) for word in command]
    result = invoke(*typed)
    assert result.exit_code == 1
    error, _, hint = result.stderr.strip().splitlines()[-3:]
    assert error.startswith(f"error: the game of {moved} is not where it was: file ")
    assert hint.startswith("hint: name where it is now: --game FILE.py:Class; looked for mine.py")
    # Other rules are refused.
    result = invoke(*typed, "--game", "connect_four")
    assert result.exit_code == 1
    assert f"error: {moved} belongs to tic_tac_toe, not connect_four" in result.stderr
    result = invoke(*typed, "--game", "elsewhere/renamed.py")
    assert result.exit_code == 0, result.stderr


def test_commands_that_need_no_rules_compare_them(invoke: Invoke, moved: Path) -> None:
    for command in ("status", "matches", "curve"):
        assert invoke(command, moved).exit_code == 0
        assert invoke(command, moved, "--game", "elsewhere/renamed.py").exit_code == 0
        result = invoke(command, moved, "--game", "connect_four")
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: {moved} belongs to tic_tac_toe, not connect_four")


def test_a_game_alone_takes_no_game(invoke: Invoke, moved: Path) -> None:
    result = invoke("play", "tic_tac_toe", "--game", "elsewhere/renamed.py")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "error: --game is elsewhere/renamed.py, but tic_tac_toe is no run"
    )
