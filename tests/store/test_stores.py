"""What every store promises, over a directory, buckets of two kinds and Redis."""

import importlib
import random
import threading
import time
import types
from pathlib import Path

import pytest

from selfplay.errors import ConfigError, MissingExtraError, StorageError
from selfplay.store import Store, open_store
from selfplay.store.place import is_remote, location


@pytest.fixture
def store(place: str) -> Store:
    return open_store(place)


def test_blobs_come_back(store: Store) -> None:
    data = bytes(range(256)) * 1000
    store.write("a/b/file.bin", data)
    store.write("a/empty", b"")
    assert store.read("a/b/file.bin") == data
    assert store.read("a/empty") == b""
    assert store.exists("a/b/file.bin")
    assert not store.exists("a/b")
    store.write("a/b/file.bin", b"new")
    assert store.read("a/b/file.bin") == b"new"


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\n--", b"\x00", b" "])
def test_a_blob_ends_as_it_was_written(store: Store, end: bytes) -> None:
    store.write("blob", b"\r\n content" + end)
    assert store.read("blob") == b"\r\n content" + end


# The client of Google's storage hands it to aiohttp as bytes, and nobody can do otherwise.
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
def test_a_large_blob(store: Store) -> None:
    data = random.Random(0).randbytes(12_000_000)
    store.write("a/large", data)
    assert store.read("a/large") == data
    assert [(entry.name, entry.bytes) for entry in store.entries()] == [("a/large", len(data))]


def test_what_is_not_there(store: Store) -> None:
    assert not store.exists("nothing")
    for name in ("nothing", "no/thing"):
        with pytest.raises(FileNotFoundError):
            store.read(name)
    store.delete("nothing")
    assert store.names() == store.names("folder") == store.folders("folder") == []
    assert store.bytes_used("folder") == 0


def test_creating_happens_once(store: Store) -> None:
    assert store.write_new("x/y", b"first")
    assert not store.write_new("x/y", b"second")
    assert store.read("x/y") == b"first"
    store.delete("x/y")
    assert store.write_new("x/y", b"third")


def test_of_many_creators_one_succeeds(store: Store) -> None:
    for attempt in range(5):
        barrier = threading.Barrier(4)
        created: list[int] = []

        def create(number: int, barrier: threading.Barrier, created: list[int], name: str) -> None:
            barrier.wait()
            if store.write_new(name, str(number).encode()):
                created.append(number)

        name = f"lock{attempt}"
        threads = [
            threading.Thread(target=create, args=(n, barrier, created, name)) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(created) == 1
        assert store.read(name) == str(created[0]).encode()


def test_listing(store: Store) -> None:
    before = time.time()
    for name in ("m/a/1", "m/a/2", "m/b/1", "m/top", "mm/a", "other"):
        store.write(name, name.encode())
    assert store.names("m") == ["m/a/1", "m/a/2", "m/b/1", "m/top"]
    assert store.names("m/a") == ["m/a/1", "m/a/2"]
    assert store.names() == ["m/a/1", "m/a/2", "m/b/1", "m/top", "mm/a", "other"]
    assert store.folders("m") == ["a", "b"]
    assert store.folders() == ["m", "mm"]
    assert store.bytes_used("m") == 20
    assert [entry.bytes for entry in store.entries("m/a")] == [5, 5]
    # Whole seconds in some stores.
    assert all(before - 2 <= entry.time <= time.time() + 2 for entry in store.entries())
    store.delete("m/a/1")
    assert store.names("m") == ["m/a/2", "m/b/1", "m/top"]


def test_one_blob_is_looked_up_by_its_name(store: Store) -> None:
    before = time.time()
    for name in ("m/a", "m/ab", "m/a.b"):
        store.write(name, name.encode())
    entry = store.entry("m/ab")
    assert entry is not None
    assert [entry] == [one for one in store.entries("m") if one.name == "m/ab"]
    assert (entry.bytes, before - 2 <= entry.time <= time.time() + 2) == (4, True)
    # A folder is no blob, and neither is what was removed.
    store.delete("m/ab")
    assert [store.entry(name) for name in ("m", "m/ab", "m/a/b", "no/thing")] == [None] * 4


def test_a_name_cannot_pass_for_a_temporary_file(store: Store) -> None:
    for name in (".tmp-x", "a/.b", "a//b", "/a", "a/", "", "../a"):
        with pytest.raises(ValueError, match="is no name of a blob"):
            store.write(name, b"")


def test_stores_with_other_prefixes_stay_apart(place: str) -> None:
    # The second begins like the first.
    one, two = open_store(place), open_store(f"{place}-b")
    one.write("a/x", b"1")
    two.write("a/x", b"22")
    two.write("b/y", b"3")
    assert one.names() == ["a/x"]
    assert one.folders() == ["a"]
    assert (one.read("a/x"), two.read("a/x")) == (b"1", b"22")
    two.delete("a/x")
    assert one.read("a/x") == b"1"


def test_a_notice_wakes_a_listener(store: Store) -> None:
    listener = store.listen("news")
    deadline = time.monotonic() + 60
    woken = threading.Event()

    def listen() -> None:
        while not store.exists("news") and time.monotonic() < deadline:
            listener.wait(60)
        woken.set()

    thread = threading.Thread(target=listen)
    thread.start()
    store.write("news", b"x")
    store.notify("news")
    thread.join()
    listener.close()
    assert woken.is_set()
    assert store.exists("news")


def test_an_unreachable_bucket_of_google_is_one_clear_error(
    gcs_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import gcsfs

    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    # It tries again for half a minute before it gives up.
    monkeypatch.setattr("gcsfs.retry.asyncio", types.SimpleNamespace(sleep=wait))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    gcsfs.GCSFileSystem.clear_instance_cache()
    store = open_store(f"{gcs_url}/run")
    with pytest.raises(StorageError, match="cannot be reached or refuses: ") as caught:
        store.write("x", b"x")
    assert waits
    assert caught.value.hint
    assert [record for record in caplog.records if record.name == "gcsfs"] == []
    gcsfs.GCSFileSystem.clear_instance_cache()


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:{port}/0/run", "s3://runs/run"], ids=["redis", "bucket"]
)
def test_an_unreachable_server_is_one_clear_error(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Port 9 is for discarding; nobody listens there.
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    pytest.importorskip("redis" if url.startswith("redis") else "obstore")
    store = open_store(url.format(port=9))
    with pytest.raises(StorageError, match="cannot be reached or refuses: ") as caught:
        store.write("x", b"x")
    assert str(caught.value).startswith(store.url)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    with pytest.raises(StorageError, match="cannot be reached"):
        store.read("x")


@pytest.mark.parametrize(("server", "scheme"), [("bucket_url", "s3"), ("gcs_url", "gs")])
def test_a_bucket_that_does_not_exist(
    server: str, scheme: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(server)
    store = open_store(f"{scheme}://nobody-made-this/run")
    with pytest.raises(StorageError, match="there is no bucket nobody-made-this"):
        store.write("x", b"x")


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("s3://b/x", "obstore", "s3"),
        ("gs://b/x", "gcsfs", "gcs"),
        ("redis://h/0/x", "redis", "redis"),
    ],
)
def test_a_missing_extra_is_named(
    url: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        assert name == module
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(MissingExtraError, match=f"needs the Python package {module}") as caught:
        open_store(url)
    assert caught.value.hint == f'pip install "selfplay-jax[{extra}]"'


@pytest.mark.parametrize("url", ["ftp://host/x", "redis://host", "redis://host:1/0", "redis://h/x"])
def test_places_that_are_none(url: str) -> None:
    pytest.importorskip("redis")
    with pytest.raises(ConfigError, match="is not a place for a run"):
        open_store(url)


def test_a_password_is_not_shown() -> None:
    pytest.importorskip("redis")
    assert open_store("redis://me:secret@host:7/2/runs/x").url == "redis://host:7/2/runs/x"


def test_a_path_that_folded_the_slashes_means_the_url() -> None:
    assert location(Path("s3://bucket/runs/x")) == "s3://bucket/runs/x"
    assert location(Path("redis://h:1/0/x")) == "redis://h:1/0/x"
    assert location(Path("runs/x")) == "runs/x"
    assert is_remote("gs://b/x")
    assert not is_remote("runs/x")
    assert open_store("file:///tmp/a%20b").path == Path("/tmp/a b")
