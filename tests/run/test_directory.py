"""The run directory: made, resumed, or refused with a reason; never overwritten."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplay.errors import ConfigError, RunError, StorageError
from selfplay.game import Game
from selfplay.registry import GameSpec, make
from selfplay.run import RunDirectory, is_run, recorded_game
from selfplay.settings import Config

SPEC = GameSpec("tic_tac_toe")


@pytest.fixture(scope="module")
def game() -> Game[Any]:
    return make("tic_tac_toe")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "x"


def contents(path: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def renamed(game: Game[Any], name: str) -> Game[Any]:
    """Returns the same rules under another name."""
    other = make("tic_tac_toe")
    other.name = name
    return other


def test_create_then_open(path: Path, game: Game[Any]) -> None:
    config = Config.from_dict({"search": {"num_simulations": 4}})
    made = RunDirectory.create(path, SPEC, game, config)
    opened = RunDirectory.open(path)
    assert opened.config == made.config == config
    assert opened.game_spec == SPEC
    assert (opened.game_name, opened.game_version) == ("tic_tac_toe", 1)
    assert opened.fingerprint == made.fingerprint
    assert opened.make_game().name == "tic_tac_toe"
    assert set(os.listdir(path)) == {
        "run.toml", "checkpoints", "matches", "heartbeats", "ratings", "tensorboard",
    }  # fmt: skip
    assert is_run(path)


def test_run_toml_is_readable_by_anyone(path: Path, game: Game[Any]) -> None:
    RunDirectory.create(path, SPEC, game, Config())
    document = tomllib.loads((path / "run.toml").read_text())
    assert document["format"] == 1
    assert document["game"]["spec"] == "tic_tac_toe"
    assert document["config"] == Config().to_dict()


def test_an_empty_directory_will_do(path: Path, game: Game[Any]) -> None:
    path.mkdir(parents=True)
    # What a creator that was killed may leave.
    (path / ".tmp-run.toml-1-abc").write_text("half")
    RunDirectory.create(path, SPEC, game, Config())
    assert RunDirectory.open(path).config == Config()


def test_foreign_directory_is_refused_untouched(path: Path, game: Game[Any]) -> None:
    path.mkdir(parents=True)
    (path / "thesis.tex").write_text("years of work")
    before = contents(path)
    for make_run in (
        lambda: RunDirectory.create(path, SPEC, game, Config()),
        lambda: RunDirectory.open_or_create(path, SPEC, game),
    ):
        with pytest.raises(RunError) as caught:
            make_run()
        assert str(caught.value) == (
            f"{path} holds files that are not a selfplay run, such as thesis.tex"
        )
        assert "choose another --run" in caught.value.hint
    assert contents(path) == before


def test_a_file_in_the_way(path: Path, game: Game[Any]) -> None:
    path.parent.mkdir()
    path.write_text("a file")
    with pytest.raises(RunError, match="is a file, not a directory"):
        RunDirectory.open_or_create(path, SPEC, game)


def test_create_refuses_a_run(path: Path, game: Game[Any]) -> None:
    RunDirectory.create(path, SPEC, game, Config())
    before = contents(path)
    with pytest.raises(RunError, match="is a run already"):
        RunDirectory.create(path, SPEC, game, Config())
    assert contents(path) == before


def test_open_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"(?m)none does not exist$"):
        RunDirectory.open(tmp_path / "none")
    with pytest.raises(RunError, match=r"(?m)is not a selfplay run$"):
        RunDirectory.open(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[game]", "[game", "is damaged: .*line"),
        ('name = "tic_tac_toe"', "", "is damaged: 'name' is missing"),
        ("format = 1", "format = 2", "has format 2, but this selfplay reads up to 1"),
        ("num_simulations = 32", "num_simulations = 1", "refuses: search.num_simulations is 1"),
        ("num_simulations = 32", "num_simulation = 3", "refuses: search.num_simulation is not"),
    ],
)
def test_damaged_run_file(path: Path, game: Game[Any], old: str, new: str, message: str) -> None:
    RunDirectory.create(path, SPEC, game, Config())
    file = path / "run.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    before = contents(path)
    for open_run in (
        lambda: RunDirectory.open(path),
        lambda: RunDirectory.open_or_create(path, SPEC, game),
    ):
        with pytest.raises(RunError, match=message):
            open_run()
    assert contents(path) == before


def test_resume_lays_settings_over_the_stored_ones(path: Path, game: Game[Any]) -> None:
    first = RunDirectory.open_or_create(path, SPEC, game, {"search": {"num_simulations": 4}})
    before = contents(path)
    again = RunDirectory.open_or_create(path, SPEC, game, {"learner": {"batch_size": 8}})
    assert first.config.search.num_simulations == again.config.search.num_simulations == 4
    assert again.config.learner.batch_size == 8
    # run.toml stays; the settings in force go into each checkpoint.
    assert contents(path) == before
    again.checkpoints.save(1, {"weights": {"w": np.zeros(1)}})
    stored = again.checkpoints.metadata(1)
    assert stored["config"]["learner"]["batch_size"] == 8
    assert (stored["game"], stored["fingerprint"]) == ("tic_tac_toe", again.fingerprint)


def test_resume_with_another_network_is_refused(path: Path, game: Game[Any]) -> None:
    RunDirectory.open_or_create(path, SPEC, game, {"network": {"channels": 8}})
    RunDirectory.open_or_create(path, SPEC, game, {"network": {"channels": 8}})
    with pytest.raises(RunError, match=r"has network.channels = 8, but 16 was asked for") as caught:
        RunDirectory.open_or_create(path, SPEC, game, {"network": {"channels": 16}})
    assert "leave the setting out" in caught.value.hint


def test_resume_with_a_bad_setting_is_refused(path: Path, game: Game[Any]) -> None:
    RunDirectory.open_or_create(path, SPEC, game)
    with pytest.raises(ConfigError, match=r"trainer.replay_ratio is 0, but must be above 0"):
        RunDirectory.open_or_create(path, SPEC, game, {"trainer": {"replay_ratio": 0.0}})


def test_another_game_is_refused(path: Path, game: Game[Any]) -> None:
    RunDirectory.create(path, SPEC, game, Config())
    other = renamed(game, "connect_four")
    with pytest.raises(RunError, match=f"(?m)^{path} belongs to tic_tac_toe, not connect_four$"):
        RunDirectory.open_or_create(path, GameSpec("connect_four"), other)


def test_other_options_and_rules_are_refused(
    path: Path, game: Game[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    RunDirectory.create(path, SPEC, game, Config())
    stored = RunDirectory.open(path).fingerprint
    monkeypatch.setattr(recorded_game, "fingerprint", lambda game: "0123456789abcdef")
    with pytest.raises(RunError) as caught:
        RunDirectory.open_or_create(path, GameSpec("tic_tac_toe", {"size": 4}), game)
    assert str(caught.value) == f"{path} belongs to tic_tac_toe with no options, not size=4"
    with pytest.raises(RunError) as caught:
        RunDirectory.open_or_create(path, SPEC, game)
    assert str(caught.value) == (
        f"the rules or the observation of tic_tac_toe have changed since {path} was created "
        f"(fingerprint {stored}, now 0123456789abcdef)"
    )
    with pytest.raises(RunError, match="the rules or the observation of tic_tac_toe have changed"):
        RunDirectory.open(path).make_game()


def test_options_that_cannot_be_stored(path: Path, game: Game[Any]) -> None:
    with pytest.raises(ConfigError, match="the options of tic_tac_toe cannot be stored"):
        RunDirectory.create(path, GameSpec("tic_tac_toe", {"x": None}), game, Config())
    assert not is_run(path)


def test_options_survive(path: Path, game: Game[Any]) -> None:
    options = {"size": 4, "name": 'a "b" = ü\n', "fast": True, "cells": [1, 2], "komi": 6.5}
    RunDirectory.create(path, GameSpec("x", options), game, Config())
    assert RunDirectory.open(path).game_spec == GameSpec("x", options)


def test_full_disk(path: Path, game: Game[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match=r"run.toml cannot be written: the disk is full"):
        RunDirectory.create(path, SPEC, game, Config())
    monkeypatch.undo()
    assert os.listdir(path) == []
    RunDirectory.create(path, SPEC, game, Config())


def test_only_one_process_trains_a_run(path: Path, game: Game[Any]) -> None:
    run = RunDirectory.create(path, SPEC, game, Config())
    with run.lock():
        message = rf"another process \(pid {os.getpid()}\) is training {path}"
        with pytest.raises(RunError, match=message), RunDirectory.open(path).lock():
            pass
    with run.lock():
        pass


def test_a_killed_process_holds_no_lock(path: Path, game: Game[Any]) -> None:
    run = RunDirectory.create(path, SPEC, game, Config())
    hold = (
        "import fcntl, sys, time\n"
        "file = open(sys.argv[1], 'w')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "file.write('77')\n"
        "file.flush()\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(path / "run.lock")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=r"another process \(pid 77\) is training"), run.lock():
            pass
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()
    with run.lock():
        pass
