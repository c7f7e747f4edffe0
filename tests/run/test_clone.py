"""Cloning: between any two stores, the source untouched, the copy complete and its origin told."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplay.cli.main import app
from selfplay.errors import CheckpointError, RunError
from selfplay.game import Game
from selfplay.records import MatchRecord
from selfplay.registry import GameSpec, make
from selfplay.run import RunDirectory, append_evaluation, clone_run, is_run, read_evaluations
from selfplay.settings import Config
from selfplay.store import open_store
from tests.records.examples import make_record

SPEC = GameSpec("tic_tac_toe")


@pytest.fixture(scope="module")
def game() -> Game[Any]:
    return make("tic_tac_toe")


def match(number: int) -> MatchRecord:
    return make_record(number, players=[0, 1], actions=[4, 0], policies=[([4], [1.0])] * 2)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFPLAY_CACHE", str(tmp_path / "scratch"))


def fill(run: RunDirectory) -> None:
    """Puts in what a trainer with two workers leaves."""
    for worker, count in (("a", 5), ("b", 2)):
        for number in range(count):
            run.matches.put(worker, number, [match(number)])
    for update in (10, 20):
        cursor = {
            "window": [["a", 2, 1, 2], ["b", 0, 1, 2]],
            "next_files": {"a": 5, "b": 2, "gone": 3},
        }
        weights = {"weights": {"w": np.full(1000, update)}}
        run.checkpoints.save(update, weights, metadata={"cursor": cursor})
        append_evaluation(run.store, {"update": update, "opponent": "random", "score": 0.5})


def image(place: str) -> dict[str, tuple[bytes, float]]:
    """Returns every blob and file of matches of a run, with the time it was written."""
    store = open_store(place)
    found = {entry.name: (store.read(entry.name), entry.time) for entry in store.entries()}
    matches = RunDirectory.open(place).matches
    for item in matches.entries():
        data = matches.get_encoded(item.worker, item.sequence)
        found[matches.name(item.worker, item.sequence)] = (data, item.time)
    return found


def files(run: RunDirectory) -> set[tuple[str, int]]:
    return {(item.worker, item.sequence) for item in run.matches.entries()}


def test_a_clone_goes_on_and_its_source_is_untouched(
    place: str, game: Game[Any], tmp_path: Path
) -> None:
    source = RunDirectory.create(
        place, SPEC, game, Config.from_dict({"learner": {"batch_size": 8}})
    )
    fill(source)
    before = image(place)
    made = clone_run(place, tmp_path / "copy")
    copy = RunDirectory.open(tmp_path / "copy")
    assert (made.update, made.run.url) == (20, str(tmp_path / "copy"))
    assert copy.config == source.config
    assert copy.checkpoints.updates() == [20]
    assert copy.checkpoints.load(20, "weights")["w"][0] == 20
    assert copy.checkpoints.metadata(20) == source.checkpoints.metadata(20)
    # The window, and each worker's last file, from which it counts on.
    assert files(copy) == {("a", 2), ("b", 0), ("a", 4), ("b", 1)}
    assert made.match_files == 4
    assert [copy.matches.next_sequence(worker) for worker in ("a", "b", "gone")] == [5, 2, 3]
    assert copy.matches.after({"a": 5, "b": 2}) == []
    origin = copy.document["origin"]
    assert (origin["run"], origin["update"], origin["created"]) == (source.url, 20, source.created)
    assert read_evaluations(copy.store) == []
    # And what happens to the copy does not reach the source.
    copy.checkpoints.save(30, {"weights": {"w": np.zeros(1)}})
    copy.checkpoints.prune(keep_last=1)
    copy.matches.put("a", 5, [match(9)])
    copy.matches.remove("a", 2)
    assert image(place) == before


def test_a_clone_into_any_store_with_all_matches(
    place: str, game: Game[Any], tmp_path: Path
) -> None:
    source = RunDirectory.create(tmp_path / "source", SPEC, game, Config())
    fill(source)
    clone_run(tmp_path / "source", place, update=10, with_matches=True)
    copy = RunDirectory.open(place)
    assert copy.checkpoints.updates() == [10]
    assert copy.checkpoints.load(10, "weights")["w"][0] == 10
    assert files(copy) == files(source)
    assert [row["update"] for row in read_evaluations(copy.store)] == [10]
    # A clone can be cloned.
    again = clone_run(place, tmp_path / "again").run
    assert again.document["origin"]["run"] == copy.url
    assert again.document["origin"]["origin"] == copy.document["origin"]
    assert again.checkpoints.load(10, "weights")["w"][0] == 10


def test_what_cannot_be_cloned(game: Game[Any], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        clone_run(tmp_path / "none", tmp_path / "copy")
    source = RunDirectory.create(tmp_path / "source", SPEC, game, Config())
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        clone_run(tmp_path / "source", tmp_path / "copy")
    fill(source)
    with pytest.raises(CheckpointError, match="has no checkpoint 11"):
        clone_run(tmp_path / "source", tmp_path / "copy", update=11)
    with pytest.raises(RunError, match="is a run already"):
        clone_run(tmp_path / "source", tmp_path / "source")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="holds files that are not a selfplay run"):
        clone_run(tmp_path / "source", tmp_path / "full")
    entries = source.store.entries("checkpoints/20/weights")
    source.store.write(max(entries, key=lambda entry: entry.bytes).name, b"x")
    with pytest.raises(CheckpointError, match="is damaged"):
        clone_run(tmp_path / "source", tmp_path / "copy")
    # An attempt that failed is no run.
    assert not is_run(tmp_path / "copy")


def test_the_command(game: Game[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(RunDirectory.create(tmp_path / "source", SPEC, game, Config()))
    for arguments in (["one@10", "--json"], ["two", "--update", "10", "--json"]):
        name = arguments[0].partition("@")[0]
        source = f"{tmp_path}/source{'@10' if '@' in arguments[0] else ''}"
        with pytest.raises(SystemExit) as ended:
            app(["clone", source, str(tmp_path / name), *arguments[1:]])
        assert ended.value.code in (0, None)
        document = json.loads(capsys.readouterr().out)
        assert document["update"] == document["origin"]["update"] == 10
        assert document["run"] == str(tmp_path / name)
