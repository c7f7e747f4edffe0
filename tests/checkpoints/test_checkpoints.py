"""Checkpoints: everything comes back, damage is found, the newest always stays."""

import errno
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array, Float32

from selfplay.checkpoints.directory_checkpoints import DirectoryCheckpoints
from selfplay.checkpoints.spread import spread_updates
from selfplay.checkpoints.trees import flatten
from selfplay.errors import CheckpointError, RunError, StorageError
from selfplay.game import pytree
from selfplay.run import find_checkpoint, split_checkpoint_name
from selfplay.store.files import process_space


@pytree
class Pair:
    """A state class, stored with a batch axis that its annotations do not know."""

    left: Float32[Array, "2"]
    right: Float32[Array, ""]


def small(value: float = 1.0) -> dict[str, Any]:
    return {"weights": {"w": np.full(3, value, np.float32)}}


def everything() -> dict[str, Any]:
    """Every kind of leaf and node that a trainer keeps."""
    weights = {"tower.0": {"kernel": jnp.arange(6.0).reshape(2, 3)}, "b/c": jnp.float32(2.5)}
    return {
        "weights": weights,
        "optimizer": optax.adam(1e-3).init(weights),
        "key": jax.random.key(3),
        "keys": jax.random.split(jax.random.key(4, impl="rbg"), 3),
        "batched": jax.vmap(lambda x: Pair(left=jnp.stack([x, x]), right=x))(jnp.arange(4.0)),
        "half": jnp.ones((2, 2), jnp.bfloat16),
        "int64": np.array([2**40, -1]),
        "uint8": np.array(200, np.uint8),
        "bool": np.array([True, False]),
        "scalar": np.int64(2**41),
        "none_yet": np.zeros((0, 3), np.int16),
        "count": 12,
        "share": 0.25,
        "done": True,
        "list": [np.arange(2), (np.arange(3), None)],
    }


def assert_same(left: Any, right: Any) -> None:
    assert str(jax.tree.structure(left)) == str(jax.tree.structure(right))
    for (path, a), (_, b) in zip(
        jax.tree_util.tree_leaves_with_path(left),
        jax.tree_util.tree_leaves_with_path(right),
        strict=True,
    ):
        assert type(a) is type(b), path
        if isinstance(a, jax.Array) and jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            assert a.dtype == b.dtype, path
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype, path
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=str(path))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> DirectoryCheckpoints:
    checkpoints = DirectoryCheckpoints(tmp_path_factory.mktemp("full"))
    checkpoints.save(7, {"train_state": everything(), "single": np.arange(3), "empty": {}})
    return checkpoints


@pytest.fixture
def checkpoints(tmp_path: Path) -> DirectoryCheckpoints:
    return DirectoryCheckpoints(
        tmp_path, stamp=lambda: {"game": "connect_four", "fingerprint": "ab"}
    )


def test_everything_comes_back(full: DirectoryCheckpoints) -> None:
    assert_same(full.load(7, "train_state", everything()), everything())


def test_shapes_alone_are_target_enough(full: DirectoryCheckpoints) -> None:
    target = jax.eval_shape(lambda: {k: everything()[k] for k in ("weights", "batched", "key")})
    whole = everything()
    target = {**whole, **target}
    restored = full.load(7, "train_state", target)
    assert_same(restored, whole)


def test_restores_onto_any_sharding(full: DirectoryCheckpoints) -> None:
    mesh = jax.sharding.Mesh(jax.devices(), ("d",))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("d"))
    whole = everything()
    left = jax.ShapeDtypeStruct((4, 2), jnp.float32, sharding=spread)
    target = {**whole, "batched": jax.tree.map(lambda x: x, whole["batched"])}
    object.__setattr__(target["batched"], "left", left)
    restored = full.load(7, "train_state", target)
    assert restored["batched"].left.sharding == spread
    np.testing.assert_array_equal(restored["batched"].left, whole["batched"].left)


def test_sharded_arrays_are_saved(checkpoints: DirectoryCheckpoints) -> None:
    mesh = jax.sharding.Mesh(jax.devices(), ("d",))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("d"))
    checkpoints.save(1, {"a": jax.device_put(jnp.arange(4), spread)})
    np.testing.assert_array_equal(checkpoints.load(1, "a"), np.arange(4))


def test_without_target_numpy_comes_back(full: DirectoryCheckpoints) -> None:
    tree = full.load(7, "train_state")
    assert type(tree["weights"]["tower.0"]["kernel"]) is np.ndarray
    assert tree["int64"].dtype == np.int64
    assert tree["half"].dtype == jnp.bfloat16
    assert tree["none_yet"].shape == (0, 3)
    assert tree["uint8"].shape == ()
    np.testing.assert_array_equal(tree["list"]["1"]["0"], np.arange(3))
    np.testing.assert_array_equal(full.load(7, "single"), np.arange(3))
    assert full.load(7, "empty") == {}
    draw = jax.random.normal(tree["key"], ())
    assert draw == jax.random.normal(jax.random.key(3), ())


def test_a_mismatch_is_named(full: DirectoryCheckpoints) -> None:
    whole = everything()
    kernel = {**whole, "weights": {**whole["weights"], "tower.0": {"kernel": jnp.zeros((2, 4))}}}
    with pytest.raises(
        CheckpointError,
        match=r"train_state of checkpoint .*/7 has weights.tower.0.kernel as float32\[2,3\], "
        r"but float32\[2,4\] is asked for",
    ):
        full.load(7, "train_state", kernel)
    with pytest.raises(CheckpointError, match=r"(?m)lacks more$"):
        full.load(7, "train_state", {**whole, "more": 1})
    whole.pop("done")
    with pytest.raises(CheckpointError, match="has done, which is not asked for"):
        full.load(7, "train_state", whole)
    with pytest.raises(CheckpointError, match="has no weights, only train_state, single, empty"):
        full.load(7, "weights")


def test_ambiguous_names_are_our_own_fault() -> None:
    with pytest.raises(ValueError, match=r"two leaves of a tree are both called a\.b"):
        flatten({"a.b": 1, "a": {"b": 2}})


def test_plain_orbax_reads_the_weights(full: DirectoryCheckpoints) -> None:
    """The format is public: nothing of selfplay is needed to get the numbers out."""
    import orbax.checkpoint as ocp

    with ocp.PyTreeCheckpointer() as reader:
        tree = reader.restore((full.path / "7" / "train_state").absolute())
    np.testing.assert_array_equal(tree["weights"]["tower.0"]["kernel"], [[0, 1, 2], [3, 4, 5]])


def test_metadata(checkpoints: DirectoryCheckpoints) -> None:
    checkpoints.save(3, small(), metadata={"positions": 10, "network": {"blocks": 2}})
    metadata = checkpoints.metadata(3)
    assert (metadata["update"], metadata["game"], metadata["positions"]) == (3, "connect_four", 10)
    assert metadata["items"] == ["weights"]
    assert {"time", "selfplay", "fingerprint"} <= metadata.keys()


def test_updates_latest_and_pruning(checkpoints: DirectoryCheckpoints) -> None:
    assert checkpoints.updates() == []
    assert checkpoints.latest() is None
    assert checkpoints.load_latest("weights") is None
    for update in (5, 10, 15, 20, 100):
        checkpoints.save(update, small(update))
    assert checkpoints.latest() == 100
    assert checkpoints.prune(keep_last=2, pinned_every=10, pinned=[5]) == [15]
    assert checkpoints.prune(keep_last=1, pinned_every=20) == [5, 10]
    assert checkpoints.prune(keep_last=0) == [20]
    assert checkpoints.updates() == [100]
    latest = checkpoints.load_latest("weights")
    assert latest is not None
    assert latest[0] == 100
    np.testing.assert_array_equal(latest[1]["w"], [100, 100, 100])
    assert os.listdir(checkpoints.path) == ["100"]


@pytest.mark.parametrize("step", [1, 7, 450])
@pytest.mark.parametrize("most", [1, 2, 5, 12])
def test_updates_that_stay_cover_a_training_that_goes_on(step: int, most: int) -> None:
    kept: set[int] = set()
    for update in range(0, 200 * step, step):
        kept = spread_updates({*kept, update}, most)
        # Whatever was removed before, all are there that would be kept of all.
        assert kept >= spread_updates(range(0, update + 1, step), most)
        assert 0 in kept and len(kept) <= most
        if update >= 4 * most * step:
            assert len(kept) >= most // 2
            gaps = np.diff([*sorted(kept), update])
            assert max(gaps) <= 4 * (update + step) / most + 2 * step
    assert spread_updates([], most) == spread_updates([3, 8], 0) == set()


def test_the_same_update_is_replaced(checkpoints: DirectoryCheckpoints) -> None:
    checkpoints.save(5, small(1))
    checkpoints.save(5, small(2))
    np.testing.assert_array_equal(checkpoints.load(5, "weights")["w"], [2, 2, 2])
    assert os.listdir(checkpoints.path) == ["5"]


def largest_file(directory: Path) -> Path:
    return max((f for f in directory.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)


def truncate(directory: Path) -> None:
    file = largest_file(directory / "weights")
    file.write_bytes(file.read_bytes()[:-3])


def alter(directory: Path) -> None:
    file = largest_file(directory / "weights")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def remove(directory: Path) -> None:
    largest_file(directory / "weights").unlink()


def alter_manifest(directory: Path) -> None:
    file = directory / "manifest.json"
    file.write_text(file.read_text().replace("float32", "float16"))


def truncate_manifest(directory: Path) -> None:
    file = directory / "manifest.json"
    file.write_text(file.read_text()[:40])


def remove_manifest(directory: Path) -> None:
    (directory / "manifest.json").unlink()


def newer_format(directory: Path) -> None:
    from selfplay.checkpoints import manifest

    file = directory / "manifest.json"
    body = {**json.loads(file.read_text())["manifest"], "format": 2}
    file.write_text(json.dumps({"sha256": manifest._digest(body), "manifest": body}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, r"2 is damaged: weights/.* has \d+ bytes instead of \d+"),
        (alter, "2 is damaged: weights/.* was altered"),
        (remove, "2 is damaged: weights/.* is missing"),
        (alter_manifest, "2 is damaged: manifest.json was altered"),
        (truncate_manifest, "2 is damaged: manifest.json was altered"),
        (remove_manifest, "2 is incomplete: manifest.json is missing"),
        (newer_format, "2 has format 2, but this selfplay reads up to 1"),
        (shutil.rmtree, "has no checkpoint 2"),
    ],
)
def test_damage_is_named(checkpoints: DirectoryCheckpoints, damage: Any, message: str) -> None:
    checkpoints.save(1, small(1))
    checkpoints.save(2, small(2))
    damage(checkpoints.path / "2")
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoints.load(2, "weights")
    if damage is not newer_format:
        assert caught.value.hint == (
            f"use {checkpoints.url}@UPDATE; other complete checkpoints are: 1"
        )
    np.testing.assert_array_equal(checkpoints.load(1, "weights")["w"], [1, 1, 1])


def test_damaged_metadata(checkpoints: DirectoryCheckpoints) -> None:
    checkpoints.save(1, small())
    file = checkpoints.path / "1" / "metadata.json"
    file.write_text(file.read_text().replace("connect_four", "connect_five"))
    with pytest.raises(CheckpointError, match=r"metadata.json was altered") as caught:
        checkpoints.metadata(1)
    assert caught.value.hint == "there is no other checkpoint in this run"
    # Damage elsewhere does not matter to who needs the weights only.
    checkpoints.load(1, "weights")


def test_damage_of_the_newest_is_not_passed_over(checkpoints: DirectoryCheckpoints) -> None:
    checkpoints.save(1, small())
    alter(checkpoints.path / "1")
    with pytest.raises(CheckpointError, match="was altered"):
        checkpoints.load_latest("weights")


def test_loading_the_newest_survives_pruning(
    checkpoints: DirectoryCheckpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save(1, small(1))
    real = DirectoryCheckpoints.latest

    def overtaken(self: DirectoryCheckpoints) -> int | None:
        found = real(self)
        if found == 1:
            self.save(2, small(2))
            self.prune(keep_last=1)
        return found

    monkeypatch.setattr(DirectoryCheckpoints, "latest", overtaken)
    latest = checkpoints.load_latest("weights")
    assert latest is not None
    assert latest[0] == 2


def test_reading_a_checkpoint_lists_no_others(
    checkpoints: DirectoryCheckpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save(1, small(1))
    listed: list[Path] = []
    real = DirectoryCheckpoints.updates

    def counted(self: DirectoryCheckpoints) -> list[int]:
        listed.append(self.path)
        return real(self)

    monkeypatch.setattr(DirectoryCheckpoints, "updates", counted)
    checkpoints.load(1, "weights")
    checkpoints.metadata(1)
    checkpoints.digest(1)
    assert listed == []
    # Once, for the hint of an error.
    with pytest.raises(CheckpointError, match="has no checkpoint 2") as caught:
        checkpoints.metadata(2)
    assert "complete checkpoints are: 1" in caught.value.hint
    assert len(listed) == 1


def test_wrong_game(checkpoints: DirectoryCheckpoints) -> None:
    checkpoints.save(12, small())
    checkpoints.check_game(12, game="connect_four", fingerprint="ab")
    with pytest.raises(CheckpointError) as caught:
        checkpoints.check_game(12, game="hex", fingerprint="ab")
    assert str(caught.value) == (
        f"checkpoint {checkpoints.url}/12 was written for connect_four, but the game is hex"
    )
    with pytest.raises(CheckpointError, match=r"other rules \(fingerprint ab, now cd\)"):
        checkpoints.check_game(12, game="connect_four", fingerprint="cd")


@pytest.mark.parametrize("call", ["os.posix_fallocate", "os.fsync", "pathlib.Path.rename"])
def test_full_disk_loses_nothing(
    checkpoints: DirectoryCheckpoints, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    checkpoints.save(1, small(1))
    message = "checkpoints/2 cannot be written: the disk is full"
    with monkeypatch.context() as patch, pytest.raises(StorageError, match=message):
        patch.setattr(call, full)
        checkpoints.save(2, small(2))
    assert os.listdir(checkpoints.path) == ["1"]
    np.testing.assert_array_equal(checkpoints.load(1, "weights")["w"], [1, 1, 1])
    checkpoints.save(2, small(2))
    assert checkpoints.updates() == [1, 2]


def test_full_disk_inside_orbax(
    checkpoints: DirectoryCheckpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    import orbax.checkpoint as ocp

    def full(*args: object, **kwargs: object) -> None:
        raise ValueError("RESOURCE_EXHAUSTED: Error writing: No space left on device")

    monkeypatch.setattr(ocp.PyTreeCheckpointHandler, "save", full)
    with pytest.raises(StorageError, match="checkpoints/2 cannot be written: the disk is full"):
        checkpoints.save(2, small(2))
    assert os.listdir(checkpoints.path) == []


def test_what_a_killed_writer_left(checkpoints: DirectoryCheckpoints) -> None:
    checkpoints.save(1, small())
    dead = f"{process_space()}-{2**22 + 1}"
    here = checkpoints.path
    (here / f".tmp-2-{dead}").mkdir()
    (here / f".tmp-3-{process_space()}-{os.getpid()}").mkdir()
    (here / ".tmp-4-elsewhere.1-77").mkdir()
    (here / ".tmp-5-elsewhere.1-77").mkdir()
    os.utime(here / ".tmp-5-elsewhere.1-77", (0, time.time() - 7200))
    (here / f".tmp-8-{process_space()}-{os.getppid()}").mkdir()
    (here / ".old-6-1-1").mkdir()
    # Complete but for its last renaming.
    shutil.copytree(here / "1", here / f".tmp-7-{dead}")
    assert checkpoints.updates() == [1]
    checkpoints.recover()
    assert checkpoints.updates() == [1, 7]
    np.testing.assert_array_equal(checkpoints.load(7, "weights")["w"], [1, 1, 1])
    # A writer that is alive, or may be on another host, keeps its directory.
    living = f".tmp-8-{process_space()}-{os.getppid()}"
    assert set(os.listdir(here)) == {"1", "7", ".tmp-4-elsewhere.1-77", living}


def test_an_incomplete_leftover_is_not_taken(checkpoints: DirectoryCheckpoints) -> None:
    checkpoints.save(1, small())
    stale = checkpoints.path / f".tmp-2-{process_space()}-{2**22 + 1}"
    shutil.copytree(checkpoints.path / "1", stale)
    truncate(stale)
    checkpoints.save(3, small())
    assert set(os.listdir(checkpoints.path)) == {"1", "3"}


def test_finding_a_checkpoint_by_name(tmp_path: Path) -> None:
    run = tmp_path / "r@1"
    checkpoints = DirectoryCheckpoints(run)
    with pytest.raises(RunError, match="r@1 does not exist"):
        find_checkpoint(f"{run}@3")
    run.mkdir()
    with pytest.raises(RunError, match="r@1 is not a selfplay run"):
        find_checkpoint(str(run))
    (run / "run.toml").write_text("")
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        find_checkpoint(str(run))
    checkpoints.save(1, small())
    checkpoints.save(30, small())
    assert find_checkpoint(str(run)) == (str(run), 30)
    assert find_checkpoint(f"{run}@1") == (str(run), 1)
    with pytest.raises(CheckpointError, match="has no checkpoint 2") as caught:
        find_checkpoint(f"{run}@2")
    assert caught.value.hint == "complete checkpoints are: 1, 30"


@pytest.mark.parametrize("text", ["runs/a@last", "runs/a@", "runs/a@-1"])
def test_bad_names(text: str) -> None:
    with pytest.raises(CheckpointError, match="is not an update number"):
        split_checkpoint_name(text)
