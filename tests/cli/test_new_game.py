"""selfplay new-game: what it writes is a game, and the commands it prints work."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplay import check_game
from selfplay.cli.group import program
from selfplay.cli.playing import new_game
from selfplay.game import ChanceGame
from selfplay.registry import make
from tests.cli.conftest import Invoke
from tests.games.matches import play_randomly

TINY = (
    *("--preset", "quick", "--updates", "2", "--set", "network.channels=8"),
    *("--set", "rollout.matches_per_device=8", "--set", "replay.first_positions=50"),
)


def scaffold(invoke: Invoke, into: Path, name: str, *flags: object) -> Any:
    """Returns the game that the command wrote."""
    result = invoke("new-game", name, "--into", into, *flags)
    assert result.exit_code == 0, result.stderr
    return make(str(into / f"{name}.py"))


def test_it_writes_a_project(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("new-game", "small_game", "--size", 3, "--package")
    assert result.exit_code == 0
    written = {"README.md", "pyproject.toml", "small_game.py", "test_small_game.py"}
    assert {path.name for path in tmp_path.iterdir()} == written
    for path in tmp_path.iterdir():
        text = path.read_text()
        assert "my_game" not in text and "MyGame" not in text and "COMMANDS" not in text
        # As every file of selfplay itself.
        assert max(map(len, text.splitlines())) <= 160 if path.suffix == ".md" else 100
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["selfplay.games"] == {"small_game": "small_game:SmallGame"}
    readme = (tmp_path / "README.md").read_text()
    for line in result.stdout.splitlines()[2:]:
        assert line.strip().partition(" ")[2].removeprefix("-m selfplay ") in readme
    game = make("small_game.py")
    assert (game.name, game.num_actions) == ("small_game", 9)


@pytest.mark.parametrize(
    "flags", [("square", 3), ("hex", 4), ("none", 6)], ids=lambda flags: flags[0]
)
def test_the_rules_in_python_are_those_in_jax(
    flags: tuple[str, int], invoke: Invoke, tmp_path: Path
) -> None:
    board, size = flags
    games = [
        scaffold(invoke, tmp_path / kind, "rules", "--kind", kind, "--board", board, "--size", size)
        for kind in ("jax", "python")
    ]
    one, other = (list(play_randomly(game, 16)) for game in games)
    assert len(one) == len(other)
    for first, second in zip(one, other, strict=True):
        live = ~first.over
        np.testing.assert_array_equal(first.over, second.over)
        np.testing.assert_array_equal(first.returns, second.returns)
        np.testing.assert_array_equal(first.actions[live], second.actions[live])
        np.testing.assert_array_equal(first.mask[live], second.mask[live])
        np.testing.assert_array_equal(first.observation[live], second.observation[live])


@pytest.mark.parametrize(
    ("board", "size"), [("square", 3), pytest.param("none", 6, marks=pytest.mark.slow)]
)
def test_a_game_of_chance_keeps_the_contract(
    board: str, size: int, invoke: Invoke, tmp_path: Path
) -> None:
    game = scaffold(invoke, tmp_path, "dice", "--kind", "chance", "--board", board, "--size", size)
    assert isinstance(game, ChanceGame)
    check_game(game, matches=16)


def test_on_hexagons_a_line_has_three_ways(invoke: Invoke, tmp_path: Path) -> None:
    square, hexagonal = (
        scaffold(invoke, tmp_path / board, "lines", "--board", board, "--size", 4)
        for board in ("square", "hex")
    )

    def winner(game: Any, cells: list[int]) -> int:
        import jax
        import jax.numpy as jnp

        state = game.init(jax.random.key(0))
        others = [cell for cell in (1, 2, 4, 7) if cell not in cells]
        for own, other in zip(cells, others, strict=True):
            state = game.step(game.step(state, jnp.int32(own)), jnp.int32(other))
        return int(state.winner)

    falling = [0, 5, 10, 15]
    assert (winner(square, falling), winner(hexagonal, falling)) == (0, -1)


def test_it_asks_on_a_terminal(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_game, "_interactive", lambda: True)
    result = invoke("new-game", "asked", "--into", tmp_path, input="python\nhex\n4\n")
    assert result.exit_code == 0, result.stderr
    assert "rules in plain Python" in result.stdout and "hexagonal cells" in result.stdout
    text = (tmp_path / "asked.py").read_text()
    assert "class Asked(PythonGame)" in text and "SIZE = 4" in text and 'BOARD = "hex"' in text


def test_json_is_one_document(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("new-game", "quiet", "--into", tmp_path, "--json")
    document = json.loads(result.stdout)
    assert [Path(file).name for file in document["files"]] == [
        "quiet.py",
        "test_quiet.py",
        "README.md",
    ]
    assert document["commands"][0].endswith("check quiet.py")


def test_nothing_is_overwritten(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("mine")
    result = invoke("new-game", "mine", "--into", tmp_path)
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: {tmp_path}/test_mine.py exists, and nothing is overwritten\n"
        "\nhint: use another name or directory: --into DIR\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["test_mine.py"]
    assert (tmp_path / "test_mine.py").read_text() == "mine"


def test_a_second_game_shares_the_directory(invoke: Invoke, tmp_path: Path) -> None:
    scaffold(invoke, tmp_path, "first")
    readme = (tmp_path / "README.md").read_text()
    result = invoke("new-game", "second", "--into", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert "README" not in result.stdout.partition("\nnext:")[0]
    assert (tmp_path / "README.md").read_text() == readme
    assert make(str(tmp_path / "second.py")).name == "second"


def test_a_program_called_by_a_relative_path_is_found_from_the_new_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = tmp_path / "venv" / "bin" / "selfplay"
    typed.parent.mkdir(parents=True)
    typed.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["venv/bin/selfplay"])
    monkeypatch.setenv("PATH", "")
    assert program() == "venv/bin/selfplay"
    assert program(elsewhere=True) == shlex.quote(str(typed))


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (
            ("My-Game",),
            "NAME is 'My-Game', but must be a Python name in lower case",
            "for example my_game",
        ),
        (("class",), "NAME is 'class', but must be a Python name in lower case", "for example"),
        (("9x9",), "NAME is '9x9', but must be a Python name in lower case", "for example"),
        (("../up",), "NAME is '../up', but must be a Python name in lower case", "for example up"),
        (("tic_tac_toe",), "tic_tac_toe is a game that selfplay knows already", "for example my_"),
        (("random",), "random is the name of a Python module that random.py would hide", "for"),
        (
            ("fine", "--kind", "lisp"),
            "--kind is 'lisp', but must be one of: jax, chance, python",
            "",
        ),
        (("fine", "--board", "round"), "--board is 'round', but must be one of: square", ""),
        (("fine", "--size", "2"), "--size is 2, but must be between 3 and 12", ""),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: tuple[str, ...],
    message: str,
    hint: str,
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("new-game", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {message}")
    assert not hint or f"hint: {hint}" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_printed_commands_lead_to_an_opponent(tmp_path: Path) -> None:
    """From an empty directory, as a person types it; training is cut short by two more flags."""

    def run(command: list[str], text: str = "") -> str:
        done = subprocess.run(
            command, cwd=tmp_path, input=text, text=True, capture_output=True, timeout=550
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    out = run(
        [sys.executable, "-m", "selfplay", "new-game", "first",
         "--kind", "python", "--board", "none", "--size", "6"]
    )  # fmt: skip
    printed = [line.strip() for line in out.split("next:\n")[1].splitlines()]
    assert [re.search(r"selfplay (\S+)", line)[1] for line in printed[:3]] == [  # type: ignore[index]
        "check",
        "train",
        "play",
    ]

    def typed(line: str) -> list[str]:
        # The interpreter is printed by its name, which need not be on this machine's path.
        return [sys.executable, *shlex.split(line)[1:]]

    assert "first: nothing wrong was found" in run(typed(printed[0]))
    run([*typed(printed[1]), *TINY])
    assert "player 0 is" in run(typed(printed[2]), "moves\nquit\n")


def test_its_own_test_passes(invoke: Invoke, tmp_path: Path) -> None:
    scaffold(invoke, tmp_path, "tested", "--board", "none", "--size", 5)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        text=True,
        capture_output=True,
        timeout=550,
    )
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr
