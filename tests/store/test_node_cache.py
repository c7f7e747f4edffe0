"""A blob travels once to each node, whatever happens to the disk there."""

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.common.memory_bucket import MemoryBucket
from selfplay.checkpoints.remote_checkpoints import RemoteCheckpoints
from selfplay.store.node_cache import fetch_once

DATA = bytes(range(256)) * 100
DIGEST = hashlib.sha256(DATA).hexdigest()


class Source:
    """Counts how often the blob is fetched."""

    def __init__(self) -> None:
        self.fetched = 0
        self.lock = threading.Lock()

    def __call__(self) -> bytes:
        with self.lock:
            self.fetched += 1
        return DATA


def test_many_at_once_fetch_it_once(tmp_path: Path) -> None:
    source = Source()
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: fetch_once(DIGEST, source, folder=tmp_path), range(64)))
    assert found == [DATA] * 64
    assert source.fetched == 1


def test_a_damaged_copy_is_fetched_again(tmp_path: Path) -> None:
    source = Source()
    fetch_once(DIGEST, source, folder=tmp_path)
    (tmp_path / DIGEST).write_bytes(DATA[:-1])
    assert fetch_once(DIGEST, source, folder=tmp_path) == DATA
    assert fetch_once(DIGEST, source, folder=tmp_path) == DATA
    assert source.fetched == 2


def test_without_a_disk_every_process_fetches(tmp_path: Path) -> None:
    source = Source()
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    for _ in range(2):
        assert fetch_once(DIGEST, source, folder=blocked / "blobs") == DATA
    assert source.fetched == 2


def test_errors_of_the_store_are_the_callers(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise FileNotFoundError("gone from the store")

    with pytest.raises(FileNotFoundError, match="gone from the store"):
        fetch_once(DIGEST, fail, folder=tmp_path)
    assert fetch_once(DIGEST, Source(), folder=tmp_path) == DATA


def test_unused_blobs_and_their_locks_are_removed(tmp_path: Path) -> None:
    fetch_once(DIGEST, Source(), folder=tmp_path)
    for file in tmp_path.iterdir():
        os.utime(file, (1, 1))
    other = b"other"
    fetch_once(hashlib.sha256(other).hexdigest(), lambda: other, folder=tmp_path)
    left = {file.name for file in tmp_path.iterdir()}
    assert not any(DIGEST in name for name in left)
    assert len(left) == 2


def test_the_weights_of_a_checkpoint_travel_once_to_a_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    monkeypatch.setenv("SELFPLAY_CACHE", str(tmp_path))
    bucket = MemoryBucket()
    weights = {"w": np.arange(50_000, dtype=np.float32)}
    RemoteCheckpoints(bucket).save(3, {"weights": weights, "train_state": weights})
    views = [bucket.another() for _ in range(3)]
    for view in views:
        loaded = RemoteCheckpoints(view).load(3, "weights")
        np.testing.assert_array_equal(loaded["w"], weights["w"])
    # The manifest is read each time, because the checkpoint may have been written again.
    assert views[0].requests["GET"] > 2
    assert [view.requests["GET"] for view in views[1:]] == [1, 1]
