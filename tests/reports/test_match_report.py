"""Where matches and checkpoints come from, asked for by newest, worker, checkpoint or field."""

import dataclasses
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from selfplay.cli.main import app
from selfplay.records import MatchRecord
from selfplay.registry import GameSpec, make
from selfplay.reports.match_report import match_report, newest_matches, stored_checkpoints
from selfplay.run import RunDirectory
from selfplay.settings import Config, settings_hash
from selfplay.training.training_log import TrainingLog
from tests.records.examples import RandomMatches

CONFIG = Config.from_dict({"search": {"num_simulations": 8}})
VERSION = importlib.metadata.version("selfplay-jax")


def test_the_training_log_keeps_the_settings_of_pruned_checkpoints(tmp_path: Path) -> None:
    game = make("tic_tac_toe")
    run = RunDirectory.create(tmp_path / "run", GameSpec("tic_tac_toe"), game, CONFIG)
    search = {"algorithm": "puct", "puct_constant": 3.0, "fpu_reduction": 0.5}
    earlier = CONFIG.updated({"search": search})
    run.config = earlier
    TrainingLog(run).write(0, previous=None, update=5)
    run.config = CONFIG
    TrainingLog(run).write(1, previous=5, update=9)
    record = RandomMatches(game).play(seed=1).record
    match = dataclasses.replace(
        record,
        match_id="a-00000000-0000",
        worker="a",
        fingerprint=run.fingerprint,
        settings_hash=settings_hash(earlier),
    )
    run.matches.put("a", 0, [match])
    found = match_report(run.url, "a-00000000-0000")["settings"]["search"]
    assert {name: found[name] for name in search} == search


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run with matches of two workers, a damaged file and two checkpoints; not to be changed."""
    game = make("tic_tac_toe")
    path = tmp_path_factory.mktemp("report") / "run"
    run = RunDirectory.create(path, GameSpec("tic_tac_toe"), game, CONFIG)
    played = RandomMatches(game)
    for number in range(6):
        worker = "ab"[number % 2]
        sequence = number // 2
        record = played.play(seed=number).record
        match_id = f"{worker}-{sequence:08d}-0000"
        matches: list[MatchRecord] = [
            dataclasses.replace(
                record,
                match_id=match_id,
                worker=worker,
                first_checkpoint=10 * number,
                last_checkpoint=10 * number + 5,
                settings_hash=settings_hash(CONFIG),
                fingerprint=run.fingerprint,
            )
        ]
        run.matches.put(worker, sequence, matches)
    run.store.write("matches/c/00000000.parquet", b"damaged")
    for update in (10, 20):
        cursor = {"matches": update, "positions": 7 * update}
        run.checkpoints.save(update, {"weights": {"w": np.zeros(1)}}, metadata={"cursor": cursor})
    return run


def ask(run: RunDirectory, *arguments: str) -> Any:
    result = CliRunner().invoke(app, ["matches", run.url, *arguments], prog_name="selfplay")
    assert result.exit_code == 0, result.stderr
    return result


def test_every_match_says_where_it_comes_from(run: RunDirectory) -> None:
    problems: list[str] = []
    rows = newest_matches(run.url, on_problem=problems.append)
    assert len(rows) == 6
    assert len(problems) == 1
    assert "c/00000000.parquet is damaged" in problems[0]
    row = next(row for row in rows if row["match_id"] == "b-00000001-0000")
    origin = {
        "worker": "b",
        "first_checkpoint": 30,
        "checkpoint": 35,
        "game": "tic_tac_toe",
        "version": 1,
        "fingerprint": run.fingerprint,
        "settings_hash": settings_hash(CONFIG),
        "selfplay": VERSION,
    }
    assert {key: row[key] for key in origin} == origin
    assert match_report(run.url, "b-00000001-0000")["settings"] == {
        section: CONFIG.to_dict()[section] for section in ("search", "rollout")
    }


def test_matches_can_be_chosen(run: RunDirectory) -> None:
    assert len(newest_matches(run.url, limit=2)) == 2
    assert {row["worker"] for row in newest_matches(run.url, worker="a")} == {"a"}
    chosen = newest_matches(run.url, first_checkpoint=15, last_checkpoint=35)
    assert sorted(row["checkpoint"] for row in chosen) == [15, 25, 35]


def test_the_command_asks_the_same(run: RunDirectory) -> None:
    chosen = ask(run, "--worker", "b", "--from-checkpoint", "30", "--json").stdout
    assert sorted(row["checkpoint"] for row in json.loads(chosen)) == [35, 55]
    field = ask(run, "--limit", "0", "--field", "worker")
    assert sorted(field.stdout.split()) == ["a", "a", "a", "b", "b", "b"]
    assert "left out: " in field.stderr
    assert json.loads(
        ask(run, "--to-checkpoint", "5", "--field", "checkpoint", "--json").stdout
    ) == [5]
    result = CliRunner().invoke(app, ["matches", run.url, "--field", "colour"])
    assert result.exit_code == 2
    assert "the fields are: match_id, plies" in result.stderr


def test_checkpoints_are_listed_too(run: RunDirectory) -> None:
    rows = json.loads(ask(run, "--checkpoints", "--json").stdout)
    assert [row["update"] for row in rows] == [20, 10]
    assert rows[0]["positions"] == 140
    assert rows[0]["settings_hash"] == settings_hash(CONFIG)
    assert (rows[0]["fingerprint"], rows[0]["selfplay"]) == (run.fingerprint, VERSION)
    assert ask(run, "--checkpoints", "--limit", "1").stdout.splitlines()[1].startswith("20 ")
    assert len(stored_checkpoints(run.url, limit=1)) == 1


def test_a_run_elsewhere_can_be_asked(run: RunDirectory, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    from selfplay.run import clone_run

    clone_run(run.url, "memory://bucket/asked", with_matches=False)
    assert [row["update"] for row in stored_checkpoints(Path("memory://bucket/asked"))] == [20]
