"""The kinds of store, each on this machine alone, for the tests that run over all of them."""

import contextlib
import itertools
import logging
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.common.ceph import ceph_server
from tests.store.gcs import gcs_emulator

KINDS = ("directory", "bucket", "gcs", "redis")
BUCKET = "runs"

_numbers = itertools.count()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server of our own; yields redis://HOST:PORT/0."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed (apt install redis-server)")
    redis = pytest.importorskip("redis")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    folder = tmp_path_factory.mktemp("redis")
    with subprocess.Popen(
        [binary, *options, "--dir", str(folder)], stdout=subprocess.DEVNULL
    ) as server:
        try:
            client = redis.Redis(host="127.0.0.1", port=port)
            deadline = time.monotonic() + 60
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < deadline, "redis-server does not answer"
                    assert server.poll() is None, "redis-server has ended"
                    time.sleep(0.05)
            client.close()
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def bucket_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server of our own, found by its environment variables; yields s3://BUCKET.

    It is moto, which simulates one in Python, or with SELFPLAY_TEST_S3=ceph Ceph's, a real one.
    """
    boto3 = pytest.importorskip("boto3")
    with contextlib.ExitStack() as stack:
        if os.environ.get("SELFPLAY_TEST_S3") == "ceph":
            settings = stack.enter_context(ceph_server(tmp_path_factory.mktemp("ceph")))
        else:
            settings = stack.enter_context(_moto_server())
        stack.enter_context(_environment(settings))
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield f"s3://{BUCKET}"


@contextlib.contextmanager
def _moto_server() -> Iterator[dict[str, str]]:
    """Simulates an S3 server; yields the environment variables that clients need."""
    server_module = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.stop()


@pytest.fixture(scope="session")
def gcs_url() -> Iterator[str]:
    """A server of Google's storage of our own, found by its environment variables; gs://BUCKET."""
    pytest.importorskip("gcp_storage_emulator.server")
    settings = {
        # Nothing is asked of any other host: no metadata server, no gRPC.
        "NO_GCE_CHECK": "true",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }
    with _environment(settings), gcs_emulator(BUCKET) as address:
        pytest.importorskip("gcsfs")
        with _environment({"STORAGE_EMULATOR_HOST": address}):
            yield f"gs://{BUCKET}"


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """Sets environment variables for the time of the context; child processes see them too."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place of each kind for a run, where nothing lies yet."""
    name = f"run{next(_numbers)}"
    if request.param == "directory":
        return str(tmp_path / name)
    return f"{request.getfixturevalue(f'{request.param}_url')}/{name}"
