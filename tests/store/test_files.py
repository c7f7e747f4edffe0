"""Atomic writes: complete or absent, and one clear error for a disk that refuses."""

import errno
import os
from pathlib import Path

import pytest

from selfplay.errors import StorageError
from selfplay.store import atomic_write, check_disk_space
from selfplay.store.files import process_exists, reserve


def fail_with(code: int) -> object:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_write_and_replace(tmp_path: Path) -> None:
    file = tmp_path / "made" / "file"
    atomic_write(file, b"one")
    atomic_write(file, b"two")
    assert file.read_bytes() == b"two"
    assert os.listdir(file.parent) == ["file"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "not permitted"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_refused_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str, call: str
) -> None:
    file = tmp_path / "file"
    atomic_write(file, b"old")
    monkeypatch.setattr(call, fail_with(code))
    with pytest.raises(StorageError, match=f"(?m)^{file} cannot be written: {words}$") as caught:
        atomic_write(file, b"new")
    assert bool(caught.value.hint) == (code != errno.EIO)
    monkeypatch.undo()
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_directory_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(StorageError, match="cannot be written"):
        atomic_write(tmp_path / "a" / "b", b"")


def test_disk_space(tmp_path: Path) -> None:
    check_disk_space(tmp_path, 1)
    with pytest.raises(StorageError, match=r"MB left on its disk, but 1000000000000.0 MB"):
        check_disk_space(tmp_path, 10**18)


def test_reserving_gives_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve(tmp_path, 10_000, name=tmp_path / "x")
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr("os.posix_fallocate", fail_with(errno.ENOSPC))
    with pytest.raises(StorageError, match="x cannot be written: the disk is full"):
        reserve(tmp_path, 10_000, name=tmp_path / "x")
    assert os.listdir(tmp_path) == []


def test_process_exists() -> None:
    assert process_exists(os.getpid())
    assert not process_exists(2**22 + 1)
