"""Reanalyzers: newer targets for stored matches, several at once, killed, and from elsewhere."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplay.errors import CheckpointError, ConfigError, RecordError, RunError
from selfplay.records import encode_matches, read_matches
from selfplay.reports.rerun import largest_difference, rerun
from selfplay.run import RunDirectory, clone_run, read_heartbeats, write_heartbeat
from selfplay.run.window_files import WindowFile
from selfplay.runtime.components import Components
from selfplay.runtime.lifetime import Lifetime
from selfplay.runtime.reanalysis import Reanalysis
from selfplay.runtime.reanalysis_choice import is_dealt_to
from selfplay.training.reanalysis_intake import ReanalysisIntake
from selfplay.training.trainer import Trainer
from selfplay.workers.outside_matches import as_found
from selfplay.workers.reanalyze import reanalyze
from selfplay.workers.reanalyzer import Reanalyzer, ReanalyzerOptions
from tests.training.runs import (
    Listener,
    assert_same,
    everything,
    make_run,
    match_files,
    tiny_components,
    train_all,
    with_settings,
)

_SEARCHES: dict[int, Reanalysis] = {}


@pytest.fixture(autouse=True)
def compiled_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes all reanalyzers share one compiled search: their settings are the same."""
    compile_search = Reanalyzer.compiled_search

    def shared(self: Reanalyzer, components: Components) -> Reanalysis:
        key = id(components.inference)
        if key not in _SEARCHES:
            _SEARCHES[key] = compile_search(self, components)
        return _SEARCHES[key]

    monkeypatch.setattr(Reanalyzer, "compiled_search", shared)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a run with the checkpoints 0 and 4; not to be changed."""
    path = tmp_path_factory.mktemp("reanalyzer") / "run"
    train_all(*make_run(path, tiny_components(), updates=4, checkpoint_updates=4))
    return path


@pytest.fixture
def run_path(template: Path, tmp_path: Path) -> Path:
    path = tmp_path / "run"
    shutil.copytree(template, path)
    return path


def search(path: Path, lifetime: Lifetime | None = None, **options: Any) -> Reanalyzer:
    """Searches everything again with checkpoint 4, in this thread."""
    settings: dict[str, Any] = {"checkpoint": 4, "id": "a"} | options
    found = reanalyze(str(path), ReanalyzerOptions(**settings), lifetime or Lifetime())
    assert found is not None
    return found


def searched(run: RunDirectory, worker: str) -> dict[str, Any]:
    """Returns the matches that a reanalyzer has stored, by id."""
    files = run.reanalyses
    numbers = files.sequences().get(worker, [])
    return {match.match_id: match for number in numbers for match in files.get(worker, number)}


def originals(run: RunDirectory) -> dict[str, Any]:
    files = run.matches
    return {
        match.match_id: match
        for number in files.sequences()["loop"]
        for match in files.get("loop", number)
    }


def test_matches_get_newer_targets_and_the_trainer_takes_them(
    run_path: Path, tmp_path: Path
) -> None:
    run = RunDirectory.open(run_path)
    before = match_files(run)
    found = search(run_path)
    assert found.lifetime.reason == "everything is searched again"
    new, old = searched(run, "a"), originals(run)
    assert match_files(run) == before
    assert new.keys() == old.keys()
    assert found.matches == len(new)
    assert found.positions == sum(match.plies for match in new.values())
    for match_id, match in new.items():
        assert (match.reanalysis_checkpoints == 4).all()
        assert match.is_target.all() and (match.simulations == 4).all()
        np.testing.assert_array_equal(match.actions, old[match_id].actions)
    metrics = found.metrics()
    assert metrics["reanalysis_policy_change"] > 0
    assert metrics["reanalysis_value_change"] > 0
    # Nothing explores: what the search finds in a position depends on the position alone.
    values: dict[tuple[int, ...], float] = {}
    for match in new.values():
        for ply in range(match.plies):
            value = values.setdefault(tuple(match.actions[:ply]), match.root_values[ply])
            assert match.root_values[ply] == pytest.approx(value, abs=1e-5)
    assert len(values) < found.positions
    run, components = make_run(run_path, tiny_components(), updates=8, checkpoint_updates=4)
    trainer = train_all(run, components)
    cursor = trainer.cursor
    assert cursor.reanalysed == found.positions
    assert cursor.next_reanalyses["a"] == len(cursor.reanalyses) > 0
    of_before = [file for file in cursor.window if f"loop/{file.sequence:08d}.parquet" in before]
    assert all(file.reanalysis == 4 for file in of_before)
    # Positions that were searched again are not new matches.
    assert cursor.positions == sum(m.plies for m in originals(run).values())
    assert trainer.progress().metrics["reanalysed_positions"] == found.positions
    # Resumed, copied and made again, it is the same.
    again = Trainer(run, components, Listener())
    assert_same(everything(again), everything(trainer))
    clone = clone_run(run_path, tmp_path / "clone")
    copy = Trainer(clone.run, components, Listener())
    assert_same(everything(copy), everything(trainer))
    assert largest_difference(rerun(run, 8), 8) == 0.0


def test_the_newest_checkpoint_is_followed(run_path: Path) -> None:
    lifetime = Lifetime(max_matches=1)
    found = search(run_path, lifetime, checkpoint=None, share=0.4)
    assert lifetime.reason.endswith("matches are done")
    assert found.published.update == 4
    for match in searched(found.run, "a").values():
        count = int((match.reanalysis_checkpoints == 4).sum())
        assert count == max(1, round(0.4 * match.plies))
        kept = match.reanalysis_checkpoints < 0
        original = originals(found.run)[match.match_id]
        np.testing.assert_array_equal(match.root_values[kept], original.root_values[kept])


def test_each_file_is_dealt_to_one_process() -> None:
    files = [WindowFile("w", number, 1, 9) for number in range(600)]
    ids = ("a", "b", "c")
    dealt = {id: {f for f in files if is_dealt_to(id, f, ids)} for id in ids}
    assert sum(map(len, dealt.values())) == len(set.union(*dealt.values())) == 600
    assert min(map(len, dealt.values())) > 120
    # When one leaves, the others keep what they have.
    assert dealt["a"] <= {f for f in files if is_dealt_to("a", f, ("a", "b"))}


def test_two_at_once_search_different_matches(run_path: Path) -> None:
    run = RunDirectory.open(run_path)
    write_heartbeat(run.store, "reanalyzer", "b", {})
    search(run_path, id="a")
    first = searched(run, "a")
    write_heartbeat(run.store, "reanalyzer", "a", {})
    search(run_path, id="b")
    second = searched(run, "b")
    assert first and second
    assert not first.keys() & second.keys()
    assert first.keys() | second.keys() == originals(run).keys()
    # Both have left in order.
    assert [beat.id for beat in read_heartbeats(run.store)] == ["a"]


def test_one_that_was_broken_off_goes_on(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory.open(run_path)
    calls = []

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    original = Reanalyzer.search
    monkeypatch.setattr(Reanalyzer, "search", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(run_path)
    assert run.reanalyses.sequences() == {"a": [0]}
    search(run_path)
    assert searched(run, "a").keys() == originals(run).keys()
    assert read_heartbeats(run.store) == []


def test_matches_from_elsewhere_become_matches_of_the_run(run_path: Path, tmp_path: Path) -> None:
    other, components = make_run(
        tmp_path / "other", tiny_components(), updates=1, checkpoint_updates=4, seed=5
    )
    train_all(other, components)
    theirs = originals(other)
    found = search(run_path, sources=(str(other.path),), positions=3)
    run = found.run
    files = run.matches
    added = [
        match
        for number in files.sequences()["outside-a"]
        for match in files.get("outside-a", number)
    ]
    assert {match.source_id for match in added} == theirs.keys()
    assert len({match.match_id for match in added}) == len(added) == found.matches
    for match in added:
        source = theirs[match.source_id]
        np.testing.assert_array_equal(match.actions, source.actions)
        again = match.reanalysis_checkpoints == 4
        assert again.sum() == match.is_target.sum() == min(3, match.plies)
        np.testing.assert_array_equal(match.is_target, again)
        assert (match.first_checkpoint, match.last_checkpoint) == (4, 4)
    # Started again, it adds nothing; the trainer refuses nothing.
    assert search(run_path, sources=(str(other.path),)).matches == 0
    trainer = Trainer(run, tiny_components(), Listener())
    trainer.source.take_in(trainer.source.new_files())
    cursor = trainer.cursor
    assert cursor.next_files["outside-a"] == len(files.sequences()["outside-a"])
    assert (cursor.left_out, cursor.damaged_files, cursor.reanalysed) == ({}, 0, 0)


def test_positions_that_nobody_searched_are_worth_the_result(template: Path) -> None:
    match = next(iter(originals(RunDirectory.open(template)).values()))
    simulations = match.simulations.copy()
    simulations[1::2] = 0
    found = as_found(dataclasses.replace(match, simulations=simulations))
    results = np.array(match.returns, np.float32)[match.players]
    np.testing.assert_array_equal(found.root_values[::2], match.root_values[::2])
    np.testing.assert_array_equal(found.root_values[1::2], results[1::2])
    assert not found.is_target.any() and match.is_target.all()


def test_what_it_refuses(run_path: Path, tmp_path: Path) -> None:
    run = RunDirectory.open(run_path)
    match = next(iter(originals(run).values()))
    twice = match.actions.copy()
    twice[1] = twice[0]
    bad = {
        "illegal": (dataclasses.replace(match, actions=twice), "is not legal"),
        "foreign": (dataclasses.replace(match, game="hex"), "is of hex version 1, but the game"),
        "rules": (dataclasses.replace(match, fingerprint="0"), "was played by other rules"),
    }
    good = tmp_path / "good.parquet"
    good.write_bytes(encode_matches([match]))
    for name, (record, message) in bad.items():
        file = tmp_path / f"{name}.parquet"
        file.write_bytes(encode_matches([record]))
        with pytest.raises(RecordError, match=message):
            search(run_path, sources=(str(good), str(file)))
    (tmp_path / "no.parquet").write_bytes(b"no matches")
    with pytest.raises(RecordError):
        search(run_path, sources=(str(tmp_path / "no.parquet"),))
    with pytest.raises(RunError, match="--from nothing does not exist"):
        search(run_path, sources=("nothing",))
    with pytest.raises(CheckpointError, match="has no checkpoint 3"):
        search(run_path, checkpoint=3)
    with pytest.raises(ConfigError, match="num_simulations is 4 in"):
        search(run_path, settings={"search": {"num_simulations": 9}})
    assert set(run.matches.sequences()) == {"loop"}
    assert run.reanalyses.sequences() == {}
    # A file of new targets that does not fit is set aside, and the trainer goes on.
    made = np.full(match.plies, 4)
    run.reanalyses.put(
        "b", 0, [dataclasses.replace(match, actions=twice, reanalysis_checkpoints=made)]
    )
    trainer = Trainer(run, tiny_components(), Listener())
    said: list[str] = []
    intake = ReanalysisIntake(trainer.learning, said.append)
    assert intake.look() == [("b", 0)]
    assert intake.take("b", 0) == 0
    assert (trainer.cursor.damaged_files, trainer.cursor.next_reanalyses) == (1, {"b": 1})
    assert len(said) == 1 and "is not legal" in said[0]
    assert list((run_path / "refused" / "reanalyses" / "b").glob("*.txt"))
    # What is too old is left out.
    run.reanalyses.put("c", 0, [dataclasses.replace(match, reanalysis_checkpoints=made - 3)])
    strict = with_settings(tiny_components(), {"trainer": {"max_staleness": 2}})
    assert (
        ReanalysisIntake(Trainer(run, strict, Listener()).learning, said.append).take("c", 0) == 0
    )


@pytest.mark.slow
def test_killed_at_random_instants(run_path: Path) -> None:
    """SIGKILL in the middle leaves whole files only, and a new process goes on."""
    command = [sys.executable, "-m", "selfplay", "reanalyze", str(run_path), "--id", "k"]
    for seconds in (0.0, 0.3, 1.0):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        for line in process.stderr:
            if "works for" in line:
                break
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
    subprocess.run([*command, "--checkpoint", "4"], check=True, capture_output=True)
    run = RunDirectory.open(run_path)
    assert searched(run, "k").keys() == originals(run).keys()
    for file in (run_path / "reanalyses").rglob("*.parquet"):
        read_matches(file)
