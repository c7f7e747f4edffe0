"""A run may lie at any path: what is saved there can be read there."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplay.checkpoints import open_checkpoints, trees
from selfplay.checkpoints.directory_checkpoints import DirectoryCheckpoints
from selfplay.checkpoints.manifest import MANIFEST
from selfplay.checkpoints.remote_checkpoints import RemoteCheckpoints
from selfplay.errors import ConfigError, StorageError
from selfplay.store import open_store
from selfplay.store.place import typed
from tests.names import ODD_NAMES, ODDEST_NAME


def items(value: float = 1.0) -> dict[str, Any]:
    weights = {"w": np.full((3, 2), value, np.float32), "b": np.arange(4)}
    return {"weights": weights, "train_state": {"none": np.zeros((0, 3))}}


@pytest.mark.parametrize("name", [*ODD_NAMES, ODDEST_NAME])
def test_a_checkpoint_comes_back_whatever_the_run_is_called(tmp_path: Path, name: str) -> None:
    run = tmp_path / name / "run"
    DirectoryCheckpoints(run).save(3, items(2.0), metadata={"seconds": 1})
    # As another process reads it, and after it was copied to a plain path.
    stored = open_checkpoints(run)
    assert stored.updates() == [3]
    np.testing.assert_array_equal(stored.load(3, "weights")["w"], items(2.0)["weights"]["w"])
    assert stored.metadata(3)["seconds"] == 1
    (tmp_path / name).rename(tmp_path / "plain")
    copied = DirectoryCheckpoints(tmp_path / "plain" / "run")
    np.testing.assert_array_equal(copied.load(3, "weights")["b"], np.arange(4))


def test_a_pattern_in_the_path_does_not_match_another_run(tmp_path: Path) -> None:
    plain, pattern = DirectoryCheckpoints(tmp_path / "ab"), DirectoryCheckpoints(tmp_path / "a?")
    plain.save(1, items(1.0))
    pattern.save(1, items(2.0))
    assert plain.load(1, "weights")["w"][0, 0] == 1.0
    assert pattern.load(1, "weights")["w"][0, 0] == 2.0
    files = [
        {str(file.relative_to(run.path)) for file in run.path.rglob("d/*")}
        for run in (plain, pattern)
    ]
    assert not files[0] & files[1]


def test_the_folder_for_temporary_files_may_have_such_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tmp[1]*"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    checkpoints = DirectoryCheckpoints(tmp_path / "run[2]")
    checkpoints.save(1, items())
    assert checkpoints.load(1, "weights")["w"].shape == (3, 2)
    assert os.listdir(folder) == []


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a run: it is not UTF-8") as caught:
        open_store(os.fsdecode(b"run\xff"))
    assert caught.value.hint == "rename the directory, or choose another"


def _without_manifest(directory: Path) -> None:
    (directory / "manifest.ocdbt").unlink()


def _empty_array(directory: Path) -> None:
    for file in directory.rglob("d/*"):
        file.write_bytes(b"")


# Orbax closes its event loop at the first array that cannot be read, while TensorStore may still be
# reading others: what they report to the closed loop has nobody to go to.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", [_without_manifest, _empty_array])
def test_what_cannot_be_read_back_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    checkpoints = DirectoryCheckpoints(tmp_path)
    checkpoints.save(1, items(1.0))
    checkpoints.save(2, items(2.0))
    save = trees._save

    def broken(directory: Path, *arguments: Any) -> None:
        save(directory, *arguments)
        damage(directory)

    monkeypatch.setattr(trees, "_save", broken)
    for update in (2, 3):
        with pytest.raises(StorageError, match="was written, but cannot be read: ") as caught:
            checkpoints.save(update, items(9.0))
        assert "the older checkpoints stay" in caught.value.hint
    monkeypatch.undo()
    assert checkpoints.updates() == [1, 2]
    assert checkpoints.load(2, "weights")["w"][0, 0] == 2.0
    assert sorted(os.listdir(checkpoints.path)) == ["1", "2"]


@pytest.mark.parametrize("lost", [MANIFEST, "metadata.json", "d/"])
def test_a_store_that_loses_what_it_is_given_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    store = open_store(f"memory://{tmp_path.name}")
    checkpoints = RemoteCheckpoints(store)
    checkpoints.save(1, items(1.0))
    checkpoints.save(2, items(2.0))
    write = store.write

    def lossy(name: str, data: bytes) -> None:
        write(name, data[: len(data) // 2] if lost in name else data)

    monkeypatch.setattr(store, "write", lossy)
    for update in (2, 3):
        with pytest.raises(StorageError, match="was written, but cannot be read: "):
            checkpoints.save(update, items(9.0))
    monkeypatch.undo()
    assert checkpoints.updates()[:2] == [1, 2]
    assert checkpoints.latest() == 2
    if lost != MANIFEST:
        assert checkpoints.load(2, "weights")["w"][0, 0] == 2.0


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash reads the names back")
def test_names_in_hints_can_be_copied_into_a_shell() -> None:
    names = [*ODD_NAMES, ODDEST_NAME, "\x7f\x85 '\\"]
    words = " ".join(typed(name) for name in names)
    assert words.isprintable()
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {words}"],
        env={"LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=True,
    )
    read = done.stdout.decode().split("\0")[:-1]
    assert [name.removeprefix("./") for name in read] == names
    assert typed("runs/connect_four") == "runs/connect_four"
