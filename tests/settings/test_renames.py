"""Settings under a name of an earlier version are read as those of now."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfplay.errors import ConfigError, EarlierVersionWarning
from selfplay.registry import GameSpec, make
from selfplay.run import RunDirectory
from selfplay.settings import Config, read_settings
from selfplay.settings.config import KEYS
from selfplay.settings.renames import RENAMED, with_current_names

NOTE = r"^trainer.reuse is now called trainer.replay_ratio; the earlier name is still read \({}\)$"


@pytest.fixture
def silent() -> Iterator[None]:
    """Raises on a warning: what a run has stored is read without one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_the_table_leads_from_no_setting_to_a_setting() -> None:
    names = {f"{section}.{key}" for section, keys in KEYS.items() for key in keys}
    assert set(RENAMED.values()) <= names
    assert not set(RENAMED) & names


def test_an_earlier_name_in_an_override() -> None:
    with pytest.warns(EarlierVersionWarning, match=NOTE.format("--set trainer.reuse=2")):
        settings = read_settings(environ={}, overrides=["trainer.reuse=2"])
    assert settings == {"trainer": {"replay_ratio": 2.0}}


def test_an_earlier_name_in_the_environment() -> None:
    source = "the environment variable SELFPLAY_TRAINER__REUSE"
    with pytest.warns(EarlierVersionWarning, match=NOTE.format(source)):
        settings = read_settings(environ={"SELFPLAY_TRAINER__REUSE": "3"})
    assert settings == {"trainer": {"replay_ratio": 3.0}}


def test_an_earlier_name_in_a_file_that_keeps_its_other_settings(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[trainer]\nreuse = 5.0\nseed = 7\n")
    with pytest.warns(EarlierVersionWarning, match=NOTE.format(file)):
        settings = read_settings(file=file, environ={})
    assert settings == {"trainer": {"replay_ratio": 5.0, "seed": 7}}


def test_a_later_source_wins_whatever_name_it_uses(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[trainer]\nreplay_ratio = 5.0\n")
    with pytest.warns(EarlierVersionWarning):
        settings = read_settings(file=file, environ={}, overrides=["trainer.reuse=2"])
    assert settings == {"trainer": {"replay_ratio": 2.0}}


def test_both_names_in_one_source_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[trainer]\nreuse = 5.0\nreplay_ratio = 2.0\n")
    message = "trainer.reuse and trainer.replay_ratio are two names of one setting"
    with pytest.raises(ConfigError, match=message) as caught:
        read_settings(file=file, environ={})
    assert caught.value.hint == "leave out trainer.reuse, which is the earlier name"
    variables = {"SELFPLAY_TRAINER__REUSE": "3", "SELFPLAY_TRAINER__REPLAY_RATIO": "2"}
    with pytest.raises(ConfigError, match=message):
        read_settings(environ=variables)


@pytest.mark.usefixtures("silent")
def test_stored_settings_of_an_earlier_version(tmp_path: Path) -> None:
    assert Config.from_dict({"trainer": {"reuse": 2.0}}).trainer.replay_ratio == 2.0
    game = make("tic_tac_toe")
    RunDirectory.create(tmp_path / "run", GameSpec("tic_tac_toe"), game, Config())
    file = tmp_path / "run" / "run.toml"
    text = file.read_text()
    assert "replay_ratio = 4.0" in text
    file.write_text(text.replace("replay_ratio = 4.0", "reuse = 1.5"))
    assert RunDirectory.open(tmp_path / "run").config.trainer.replay_ratio == 1.5
    # What is laid over it may use either name.
    for name in ("reuse", "replay_ratio"):
        settings = {"trainer": {name: 3.0}}
        run = RunDirectory.open_or_create(tmp_path / "run", GameSpec("tic_tac_toe"), game, settings)
        assert run.config.trainer.replay_ratio == 3.0


def test_what_is_no_table_is_left_for_the_check_of_types() -> None:
    assert with_current_names({"trainer": 3}) == {"trainer": 3}


def test_every_rename_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    for earlier, now in RENAMED.items():
        assert f"\n| `{earlier}` | `{now}` | " in text
