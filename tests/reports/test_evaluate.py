"""Checkpoints are tested on matches that they did not learn from, and on no others."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from selfplay.errors import CheckpointError, ConfigError, RecordError, RunError
from selfplay.records import encode_matches, read_matches
from selfplay.registry import make
from selfplay.reports.evaluate import evaluate_checkpoints
from selfplay.run import RunDirectory
from selfplay.training.trainer import Trainer
from tests.records.examples import RandomMatches
from tests.training.runs import make_run, tiny_components, train_all, with_settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluate")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Trainer:
    return train_all(*make_run(folder / "plain", tiny_components(), updates=24))


@pytest.fixture(scope="module")
def holding(folder: Path) -> Trainer:
    components = with_settings(tiny_components(), {"replay": {"holdout_share": 0.3}})
    return train_all(*make_run(folder / "holding", components, updates=24, seed=5))


def test_by_default_on_what_the_run_keeps_out(holding: Trainer) -> None:
    run = holding.run
    document = evaluate_checkpoints(str(run.path))
    assert [row["update"] for row in document["checkpoints"]] == [0, 8, 16, 24]
    assert document["learnt_from"] == 0
    kept = [
        match
        for file in holding.cursor.window
        for match in run.matches.get(file.worker, file.sequence)
    ]
    learnt = sum(file.positions for file in holding.cursor.window)
    assert document["positions"] == sum(match.plies for match in kept) - learnt
    policies = [row["policy"]["cross_entropy"] for row in document["checkpoints"]]
    assert policies[-1] < policies[0]
    one = evaluate_checkpoints(f"{run.path}@16")
    assert one["checkpoints"] == [document["checkpoints"][2]]
    newest = evaluate_checkpoints(str(run.path), checkpoints=1)
    assert newest["checkpoints"] == document["checkpoints"][-1:]
    spread = evaluate_checkpoints(str(run.path), checkpoints=3, positions=20)
    assert [row["update"] for row in spread["checkpoints"]] == [0, 16, 24]
    assert spread["positions"] == 20


def test_a_checkpoint_that_is_removed_meanwhile_is_left_out(
    holding: Trainer, tmp_path: Path
) -> None:
    copy = shutil.copytree(holding.run.path, tmp_path / "copy")

    def remove(update: int) -> None:
        if update == 8:
            shutil.rmtree(copy / "checkpoints" / "8")

    document = evaluate_checkpoints(str(copy), positions=20, progress=remove)
    assert [row["update"] for row in document["checkpoints"]] == [0, 16, 24]


def test_matches_of_another_run_and_none_of_its_own(plain: Trainer, holding: Trainer) -> None:
    path = str(plain.run.path)
    own = plain.run.matches
    document = evaluate_checkpoints(path, data=[str(holding.run.path)], positions=10_000)
    # Both runs call their matches alike: the moves tell them apart.
    assert document["learnt_from"] == 0 < document["matches"]
    learnt = sum(
        len(own.get(file.worker, file.sequence))
        for file in own.entries()
        if file.sequence < plain.cursor.next_files["loop"]
    )
    document = evaluate_checkpoints(
        path, data=[str(holding.run.path), f"{path}/matches"], positions=10_000
    )
    assert document["learnt_from"] == learnt
    with pytest.raises(RunError, match=r"has learnt from all \d+ matches of "):
        evaluate_checkpoints(f"{path}@24", data=[path], positions=10_000)


def test_files_that_an_earlier_checkpoint_had_not_seen(plain: Trainer) -> None:
    path = str(plain.run.path)
    document = evaluate_checkpoints(f"{path}@8", data=[path], positions=10_000)
    assert document["learnt_from"] > 0
    assert document["matches"] > 0


def test_what_cannot_be_used_is_said(plain: Trainer, folder: Path, tmp_path: Path) -> None:
    path = str(plain.run.path)
    with pytest.raises(RunError, match="keeps no matches out of training") as error:
        evaluate_checkpoints(path)
    assert "replay.holdout_share" in error.value.hint
    with pytest.raises(RunError, match="does not exist"):
        evaluate_checkpoints(path, data=["nowhere.parquet"])
    with pytest.raises(RunError, match="holds no matches"):
        evaluate_checkpoints(path, data=[str(tmp_path)])
    with pytest.raises(CheckpointError, match="has no checkpoint 7") as pruned:
        evaluate_checkpoints(f"{path}@7", data=[path])
    assert "0, 8, 16, 24" in pruned.value.hint
    with pytest.raises(ConfigError, match="--positions is 0"):
        evaluate_checkpoints(path, positions=0)
    file = tmp_path / "a.parquet"
    file.write_bytes(b"no matches")
    with pytest.raises(RecordError):
        evaluate_checkpoints(path, data=[str(file)])
    other = RandomMatches(make("connect_four")).several(2)
    file.write_bytes(encode_matches([example.record for example in other]))
    with pytest.raises(RecordError, match="connect_four"):
        evaluate_checkpoints(path, data=[str(file)])


def test_names_decide_which_file_a_match_is_compared_with(plain: Trainer, tmp_path: Path) -> None:
    run = RunDirectory.open(plain.run.path)
    source = next(iter(sorted((run.path / "matches" / "loop").glob("*.parquet"))))
    shutil.copy(source, tmp_path / "one.parquet")
    matches = [
        dataclasses.replace(match, match_id=f"elsewhere-{index}")
        for index, match in enumerate(read_matches(source))
    ]
    (tmp_path / "two.parquet").write_bytes(encode_matches(matches))
    document = evaluate_checkpoints(str(run.path), data=[str(tmp_path)])
    # Under another name they are others, as far as anybody can tell.
    assert document["matches"] == document["learnt_from"] == len(matches)
