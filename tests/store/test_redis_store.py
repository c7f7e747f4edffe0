"""A Redis store by its URL: which run, and how to connect."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import ConfigError, StorageError
from selfplay.store import open_store
from tests.store.fixtures import free_port

pytest.importorskip("redis")


def connection(url: str) -> dict[str, Any]:
    store: Any = open_store(url)
    return store.client.connection_pool.connection_kwargs


def test_options_of_the_url_reach_the_client() -> None:
    asked = connection(
        "rediss://user:secret@host:6380/2/runs/x?ssl_cert_reqs=none&ssl_ca_certs=%2Fetc%2Fca.pem"
    )
    assert (asked["host"], asked["port"], asked["db"]) == ("host", 6380, 2)
    assert (asked["username"], asked["password"]) == ("user", "secret")
    assert (asked["ssl_cert_reqs"], asked["ssl_ca_certs"]) == ("none", "/etc/ca.pem")
    # What was asked for counts more than what the store would choose.
    assert connection("redis://host/0?prefix=x&socket_timeout=3")["socket_timeout"] == 3
    assert connection("redis://host/0/x")["socket_timeout"] == 30


def test_options_say_how_to_connect_not_which_run_it_is() -> None:
    plain = open_store("rediss://host:6379/0/runs/x")
    for options in ("?ssl_cert_reqs=none", "?db=7&decode_responses=true&client_name=me"):
        store: Any = open_store(f"rediss://user:secret@host/0/runs/x{options}")
        assert (store.url, store.prefix) == (plain.url, "runs/x/")
        # Blobs are bytes, in the database of the path.
        kwargs = store.client.connection_pool.connection_kwargs
        assert kwargs["db"] == 0 and "decode_responses" not in kwargs


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:secret@host/0/x?nonsense=1",
        "redis://u:secret@host/0/x?ssl_cert_reqs=none",
        "rediss://u:secret@host/0/x?ssl_cert_reqs=never",
        "redis://u:secret@host/0/x?socket_timeout=soon",
    ],
)
def test_options_that_the_client_refuses_are_named(url: str) -> None:
    option = url.partition("?")[2].partition("=")[0]
    place = url.partition(":")[0] + "://host:6379/0/x"
    with pytest.raises(ConfigError) as refused:
        open_store(url)
    assert str(refused.value).startswith(
        f"the Redis client refuses the options of {place} ({option}): "
    )
    assert "secret" not in f"{refused.value} {refused.value.hint}"


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Yields the port of a Redis server that speaks TLS only, and its certificate."""
    server, openssl = shutil.which("redis-server"), shutil.which("openssl")
    if server is None or openssl is None:
        pytest.skip("redis-server or openssl is not installed (apt install redis-server openssl)")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subject = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    made = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    subprocess.run(
        [openssl, *made, *subject, "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    port = free_port()
    tls = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no")
    options = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder)
    with subprocess.Popen(
        [server, "--port", "0", "--tls-port", str(port), *tls, *options], stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield port, certificate
        finally:
            process.terminate()


def test_a_server_that_speaks_tls(tls_server: tuple[int, Path]) -> None:
    port, certificate = tls_server
    place = f"rediss://127.0.0.1:{port}/0/x"
    unchecked = open_store(f"{place}?ssl_cert_reqs=none")
    deadline = time.monotonic() + 60
    while True:
        try:
            unchecked.write("blob", b"data")
            break
        except StorageError:
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.05)
    assert open_store(f"{place}?ssl_ca_certs={certificate}").read("blob") == b"data"
    # Nobody vouches for this certificate: without the option it is refused, as it must be.
    with pytest.raises(StorageError):
        open_store(place).read("blob")
