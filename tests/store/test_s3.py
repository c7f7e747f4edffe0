"""What is special about buckets of S3: credentials, addresses, names, parts, tries."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import StorageError
from selfplay.store import open_store, s3_store

boto3 = pytest.importorskip("boto3")
pytest.importorskip("obstore")


def keys(prefix: str) -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket="runs", Prefix=prefix)
    return [one["Key"] for one in found.get("Contents", [])]


@pytest.mark.parametrize("prefix", ["plain/run", "a run", "Läufe/№ 1", "a%20b+c", "d#e?f"])
def test_objects_have_the_names_that_other_clients_see(bucket_url: str, prefix: str) -> None:
    store = open_store(f"{bucket_url}/{prefix}")
    store.write("matches/w-1.2_x/00000000.parquet", b"x")
    assert keys(prefix) == [f"{prefix}/matches/w-1.2_x/00000000.parquet"]
    assert store.names() == ["matches/w-1.2_x/00000000.parquet"]
    assert store.folders("matches") == ["w-1.2_x"]
    boto3.client("s3").put_object(Bucket="runs", Key=f"{prefix}/other", Body=b"theirs")
    assert store.read("other") == b"theirs"
    store.delete("other")
    assert not store.exists("other")


def test_a_large_blob_arrives_in_parts(bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The smallest that a server takes.
    monkeypatch.setattr(s3_store, "_PART_BYTES", 5 << 20)
    store = open_store(f"{bucket_url}/parts")
    data = bytes(range(256)) * 50_000
    store.write("large", data)
    assert store.read("large") == data
    tag = boto3.client("s3").head_object(Bucket="runs", Key="parts/large")["ETag"]
    assert tag.strip('"').endswith("-3")


def test_credentials_of_a_profile_are_found(
    bucket_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text(
        "[lab]\naws_access_key_id = test\naws_secret_access_key = test\n"
    )
    (tmp_path / "config").write_text("[profile lab]\nregion = eu-central-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    found = s3_store._found_by_boto3()["credential_provider"]
    assert found()["access_key_id"] == "test"
    assert found.config == {"region": "eu-central-1"}
    store = open_store(f"{bucket_url}/profile")
    store.write("x", b"x")
    assert store.read("x") == b"x"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """A server that answers with the codes of a list, then with 200; yields what it was asked."""
    asked: list[tuple[str, int]] = []
    codes = [503, 500]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            code = codes.pop(0) if codes else 200
            asked.append((self.path, code))
            self.send_response(code)
            self.send_header("ETag", '"x"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_HEAD(self) -> None:
            self.send_response(403)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listening.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield asked
        listening.shutdown()


def test_a_server_that_is_busy_is_asked_again(server: list[tuple[str, int]]) -> None:
    open_store("s3://b/run").write("x", b"x")
    assert server == [("/b/run/x", 503), ("/b/run/x", 500), ("/b/run/x", 200)]


def test_a_refusal_is_one_clear_error(server: list[tuple[str, int]]) -> None:
    with pytest.raises(StorageError, match="cannot be reached or refuses: ") as caught:
        open_store("s3://b/run").exists("x")
    assert str(caught.value).startswith("s3://b/run cannot be reached")
    assert "\n" not in str(caught.value)
    assert "test" not in str(caught.value)


@pytest.mark.parametrize(
    ("bucket", "endpoint", "virtual"),
    [("runs", "", True), ("runs.of.ours", "", False), ("runs", "http://127.0.0.1:1", False)],
)
def test_amazon_is_asked_by_the_name_of_the_bucket(
    bucket: str, endpoint: str, virtual: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    config = s3_store._objects(bucket, "run").config
    assert config.get("virtual_hosted_style_request") in (virtual, str(virtual).lower())
    assert config.get("endpoint", "") == endpoint
