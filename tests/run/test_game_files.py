"""A run finds the file of its game again, on other machines and after everything was moved."""

import os
import shutil
from pathlib import Path

import pytest

from selfplay.errors import ConfigError, RunError
from selfplay.registry import GameSpec, split_file
from selfplay.run import RunDirectory
from selfplay.run.game_files import find_game_file
from selfplay.settings import Config

RULES = """
from selfplay.games.tic_tac_toe import TicTacToe


class Mine(TicTacToe):
    name = "mine"

    def __init__(self, lead: float = 0.0):
        super().__init__()
        self.lead = lead

    def observe(self, state):
        return super().observe(state) + self.lead
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with games/mine.py and a run of it in runs/r; the current folder is another."""
    monkeypatch.delenv("SELFPLAY_GAMES", raising=False)
    folder = tmp_path / "project"
    (folder / "games").mkdir(parents=True)
    (folder / "games" / "mine.py").write_text(RULES)
    spec = GameSpec(f"{folder}/games/mine.py:Mine", {"lead": 0.5})
    RunDirectory.create(folder / "runs" / "r", spec, spec.make(), Config())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


def found(run: Path) -> str:
    game = RunDirectory.open(run).make_game()
    assert game.name == "mine"
    return Path(type(game).__init__.__code__.co_filename).as_posix()


def test_the_recorded_path_comes_first(project: Path) -> None:
    shutil.copy(project / "games" / "mine.py", "mine.py")
    assert found(project / "runs" / "r") == f"{project}/games/mine.py"


def test_a_project_that_was_moved_as_a_whole(project: Path, tmp_path: Path) -> None:
    project.rename(tmp_path / "moved")
    assert found(tmp_path / "moved" / "runs" / "r") == f"{tmp_path}/moved/games/mine.py"


@pytest.mark.parametrize("place", ["here/mine.py", "here/games/mine.py", "project/runs/r/mine.py"])
def test_other_places(project: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (project / "games" / "mine.py").rename(tmp_path / place)
    assert found(project / "runs" / "r") == f"{tmp_path}/{place}"


def test_folders_named_by_the_environment(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mounted").mkdir()
    (project / "games" / "mine.py").rename(tmp_path / "mounted" / "mine.py")
    monkeypatch.setenv("SELFPLAY_GAMES", f"{tmp_path}/nowhere{os.pathsep}{tmp_path}/mounted")
    assert found(project / "runs" / "r") == f"{tmp_path}/mounted/mine.py"
    assert find_game_file("mine.py") == tmp_path / "mounted" / "mine.py"
    assert find_game_file("other.py") is None


def test_the_rules_decide(project: Path, tmp_path: Path) -> None:
    """A file of that name with other rules is passed over."""
    Path("mine.py").write_text(RULES.replace("lead\n\n", "lead + 1\n\n"))
    assert Path("mine.py").read_text() != RULES
    project.rename(tmp_path / "moved")
    run = tmp_path / "moved" / "runs" / "r"
    assert found(run) == f"{tmp_path}/moved/games/mine.py"
    (tmp_path / "moved" / "games" / "mine.py").unlink()
    with pytest.raises(RunError, match="is not where it was: file ") as caught:
        RunDirectory.open(run).make_game()
    hint = caught.value.hint
    assert hint.startswith("name where it is now: --game FILE.py:Class; looked for mine.py in ")
    assert f"{Path.cwd()}/mine.py:Mine cannot be loaded or has other rules" in hint


def test_changed_rules_at_the_recorded_path(project: Path) -> None:
    """They are refused, unless the old ones lie somewhere."""
    file = project / "games" / "mine.py"
    file.write_text(RULES.replace("lead\n\n", "lead + 1\n\n"))
    with pytest.raises(RunError, match="the rules or the observation of mine have changed"):
        RunDirectory.open(project / "runs" / "r").make_game()
    Path("mine.py").write_text(RULES)
    assert found(project / "runs" / "r") == f"{Path.cwd()}/mine.py"


def test_a_named_place(project: Path, tmp_path: Path) -> None:
    """The options are those of the run; the rules must be, too."""
    (project / "games" / "mine.py").rename(tmp_path / "renamed.py")
    run = RunDirectory.open(project / "runs" / "r")
    assert run.make_game(GameSpec(f"{tmp_path}/renamed.py")).name == "mine"
    with pytest.raises(RunError, match=r"belongs to mine with lead=0.5, not lead=0.25"):
        run.make_game(GameSpec(f"{tmp_path}/renamed.py", {"lead": 0.25}))
    with pytest.raises(ConfigError, match="does not exist"):
        run.make_game(GameSpec(f"{tmp_path}/nowhere.py"))


def test_files_in_specs() -> None:
    assert split_file("/a:b/c.py:Game") == ("/a:b/c.py", ":Game")
    assert split_file("/a:b/c.py") == ("/a:b/c.py", "")
    assert split_file("package.module:Game") is None
    assert split_file("tic_tac_toe") is None
