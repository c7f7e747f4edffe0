"""The processes of a trainer meet: here threads, without JAX."""

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence

import pytest

from selfplay.errors import ConfigError, RunError, SelfplayError
from selfplay.training import rendezvous
from selfplay.training.rendezvous import address, is_loopback, meet
from tests.training.test_process_group import free_port

LONG = 120.0


def together(
    started: Sequence[tuple[int, int]],
    *,
    timeout: float = LONG,
    before: Callable[[str], None] | None = None,
    host: str = "127.0.0.1",
) -> list[SelfplayError | None]:
    """Lets processes of (index, count) meet; returns what each of them raises."""
    coordinator = f"{host}:{free_port()}"
    found: list[SelfplayError | None] = [None] * len(started)

    def one(place: int, index: int, count: int) -> None:
        try:
            meet(coordinator, count=count, index=index, timeout_seconds=timeout)
        except SelfplayError as error:
            found[place] = error

    threads = [
        threading.Thread(target=one, args=(place, *numbers))
        for place, numbers in enumerate(started)
    ]
    for thread in threads:
        thread.start()
    if before is not None:
        before(coordinator)
    for thread in threads:
        thread.join(LONG)
        assert not thread.is_alive()
    # The port is free again, for JAX.
    listens, port = address(coordinator)
    family = socket.AF_INET6 if ":" in listens else socket.AF_INET
    socket.create_server((listens, port), family=family).close()
    return found


def test_four_meet_in_any_order() -> None:
    assert together([(2, 4), (3, 4), (0, 4), (1, 4)]) == [None] * 4


def test_they_meet_at_an_address_of_ipv6_and_at_a_name() -> None:
    hosts = ["localhost"]
    with contextlib.suppress(OSError):  # no IPv6 here
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        hosts.append("[::1]")
    for host in hosts:
        assert together([(0, 2), (1, 2)], host=host) == [None, None]


def test_something_else_that_knocks_is_let_go() -> None:
    def knock(coordinator: str) -> None:
        while True:
            try:
                with socket.create_connection(address(coordinator), timeout=LONG) as one:
                    one.sendall(b"GET / HTTP/1.1\n")
                    assert one.recv(1) == b""
                return
            except ConnectionError:
                continue

    ready = threading.Event()

    def knocked(coordinator: str) -> None:
        knock(coordinator)
        ready.set()
        meet(coordinator, count=2, index=1, timeout_seconds=LONG)

    assert together([(0, 2)], before=knocked) == [None] and ready.is_set()


def test_counts_that_differ_are_said_to_all() -> None:
    for error in together([(0, 2), (1, 3)]):
        assert isinstance(error, ConfigError) and error.hint
        assert str(error) == (
            "process 1 of the trainer was started with --num-processes 3, but process 0 with 2"
        )


def test_two_of_the_same_number_are_refused() -> None:
    first, *others = together([(0, 3), (1, 3), (1, 3)])
    for error in (first, *others):
        assert isinstance(error, ConfigError)
        assert "two processes of the trainer were started with --process-id 1" in str(error)


def test_versions_that_differ_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = iter(["1.0", "2.0"])
    monkeypatch.setattr(rendezvous, "software_version", lambda: next(versions))
    for error in together([(0, 2), (1, 2)]):
        assert isinstance(error, ConfigError) and "has selfplay" in str(error)


def test_one_that_never_comes_is_named() -> None:
    (error,) = together([(0, 3)], timeout=0.0)
    assert isinstance(error, RunError) and error.hint
    assert "2 of the 3 processes of the trainer did not come" in str(error)
    assert "number 1, 2" in str(error)
    (error,) = together([(1, 2)], timeout=0.0)
    assert isinstance(error, RunError) and "process 0 of the trainer" in str(error)


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        coordinator = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RunError, match="cannot listen at port") as caught:
            meet(coordinator, count=2, index=0)
    assert "--coordinator" in caught.value.hint


def test_addresses() -> None:
    assert address("[::1]:80") == ("::1", 80)
    assert [is_loopback(host) for host in ("127.0.0.1", "localhost", "10.0.0.1", "node1")] == [
        True, True, False, False,
    ]  # fmt: skip
    for text in ("host", "host:", ":80", "host:x", "host:70000"):
        with pytest.raises(ConfigError, match="must be HOST:PORT"):
            address(text)
