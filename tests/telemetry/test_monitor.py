"""The port of a process: off by default, local by default, honest, and hard to hurt."""

import importlib.metadata
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from selfplay.errors import ConfigError
from selfplay.telemetry import Monitor
from selfplay.telemetry.logs import EventLog
from selfplay.telemetry.monitor import COMPILATION_SECONDS, FRESH_SECONDS, STARTUP_SECONDS


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def monitor(clock: Clock) -> Iterator[Monitor]:
    monitor = Monitor(role="worker", id="w1", run="runs/a", clock=clock)
    yield monitor
    monitor.close()


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_is_a_matter_of_fresh_signs_of_life(monitor: Monitor, clock: Clock) -> None:
    clock.now = STARTUP_SECONDS - 1
    assert monitor.health.healthy
    clock.now = STARTUP_SECONDS + 1
    assert not monitor.health.healthy
    monitor.update({})
    assert monitor.health.healthy
    clock.now += FRESH_SECONDS - 1
    assert monitor.health.healthy
    clock.now += 2
    assert not monitor.health.healthy
    # A state is not a sign of life: it may have been said long before the loop hung.
    monitor.state("playing", ready=True)
    assert not monitor.health.healthy


def test_a_long_wait_leaves_the_time_of_a_start(monitor: Monitor, clock: Clock) -> None:
    for _ in range(360):
        clock.now += 10
        monitor.wait("waiting for the run")
        assert monitor.health.healthy
    # An hour later the run is there; then programs are compiled, and nobody speaks.
    clock.now += STARTUP_SECONDS - 1
    assert monitor.health.healthy
    clock.now += 2
    assert not monitor.health.healthy


def test_whoever_compiles_is_alive(monitor: Monitor, clock: Clock) -> None:
    port = monitor.serve(0)
    monitor.state("playing", ready=True)
    monitor.update({})
    # Longer than any silence between two beats may last, and twice in a row.
    for name in ("search", "update"):
        monitor.compilation_begins(name)
        clock.now += COMPILATION_SECONDS - 1
        status, body = get(port, "/healthz")
        assert (status, json.loads(body)["state"]) == (200, "compiling")
        monitor.compilation_ends(name)
        clock.now += FRESH_SECONDS - 1
        assert monitor.health.healthy
    assert monitor.health.state == "playing"
    # A loop that hangs after that is found as soon as any other.
    clock.now += 2
    assert get(port, "/healthz")[0] == 503


def test_a_compilation_that_hangs_is_found(monitor: Monitor, clock: Clock) -> None:
    monitor.update({})
    monitor.compilation_begins("one")
    clock.now += COMPILATION_SECONDS - 1
    # Others that begin meanwhile do not give it more time, nor does their end.
    monitor.compilation_begins("two")
    monitor.compilation_ends("two")
    assert monitor.health.healthy
    clock.now += 2
    assert not monitor.health.healthy
    # Who ends what never began says nothing.
    monitor.compilation_ends("three")
    assert not monitor.health.healthy


def test_ready_is_another_question_than_alive(monitor: Monitor, clock: Clock) -> None:
    port = monitor.serve(0)
    monitor.update({"matches": 3})
    assert get(port, "/healthz")[0] == 200
    status, body = get(port, "/readyz")
    assert (status, json.loads(body)["state"]) == (503, "starting")
    monitor.state("waiting for a checkpoint", ready=False)
    assert get(port, "/readyz")[0] == 503
    monitor.state("playing", ready=True)
    status, body = get(port, "/readyz?verbose")
    assert status == 200
    assert json.loads(body) == {
        "role": "worker",
        "id": "w1",
        "state": "playing",
        "ready": True,
        "healthy": True,
        "silent_seconds": 0.0,
    }
    # Who hangs is not ready either, whatever it said before.
    clock.now = FRESH_SECONDS + 1
    assert [get(port, path)[0] for path in ("/healthz", "/readyz")] == [503, 503]


def test_metrics_are_served(monitor: Monitor) -> None:
    port = monitor.serve(0)
    monitor.update({"matches": 3})
    monitor.update({"checkpoint": 40})
    status, body = get(port, "/metrics")
    assert status == 200
    names = 'id="w1",role="worker",run="runs/a"'
    assert f"selfplay_matches_total{{{names}}} 3.0" in body
    assert f"selfplay_checkpoint_update{{{names}}} 40.0" in body
    assert f"selfplay_ready{{{names}}} 0.0" in body
    assert get(port, "/metrics", "HEAD") == (200, "")


def test_a_checkout_that_is_not_installed_has_a_port_too(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    assert 'version="unknown"' in get(monitor.serve(0), "/metrics")[1]


def test_a_name_found_later_is_used_everywhere() -> None:
    written: list[str] = []
    log = EventLog(written.append, run="runs/a", role="worker", id="?")
    monitor = Monitor(role="worker", id="?", run="runs/a", log=log)
    port = monitor.serve(0)
    monitor.id = "host-2"
    monitor.event("x")
    assert json.loads(written[-1])["id"] == "host-2"
    assert 'id="host-2"' in get(port, "/metrics")[1]
    assert json.loads(get(port, "/healthz")[1])["id"] == "host-2"
    monitor.close()


def test_other_requests_are_refused(monitor: Monitor) -> None:
    port = monitor.serve(0)
    assert get(port, "/")[0] == 404
    assert "/metrics, /healthz, /readyz" in get(port, "/../etc/passwd")[1]
    assert get(port, "/metrics", "POST")[0] == 501


def test_no_port_is_open_unless_asked_and_none_stays_open(monitor: Monitor) -> None:
    monitor.update({})
    assert not [one for one in threading.enumerate() if one.name == "metrics"]
    port = monitor.serve(0)
    monitor.close()
    monitor.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=60)
    assert not [one for one in threading.enumerate() if one.name == "metrics"]
    # At once again: what remains of closed connections does not hold it.
    assert monitor.serve(port) == port


def test_it_listens_where_it_was_told_to_and_by_default_locally(monitor: Monitor) -> None:
    port = monitor.serve(0)
    assert monitor._server is not None
    assert monitor._server._server.server_address == ("127.0.0.1", port)


def test_garbage_and_idlers_hurt_nobody(monitor: Monitor) -> None:
    port = monitor.serve(0)
    monitor.update({"matches": 1})
    idlers = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(8)]
    for garbage in (b"\x00\xff" * 4000, b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 50, b""):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as rude:
            rude.sendall(garbage)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as greedy:
        greedy.sendall(b"GET /metrics HTTP/1.0\r\nX: " + b"y" * 70_000)
    assert get(port, "/healthz")[0] == 200
    for idler in idlers:
        idler.close()


def test_more_connections_than_places_are_turned_away_and_places_come_back(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No place becomes free by time, however slow this machine is.
    monkeypatch.setattr("selfplay.telemetry.server._Handler.timeout", 3600.0)
    port = monitor.serve(0)
    crowd = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(40)]
    turned_away = 0
    for one in crowd[16:]:
        # Closed by the other side at once; those that have a place are waited for.
        try:
            turned_away += one.recv(1) == b""
        except ConnectionError:
            turned_away += 1
    assert turned_away == 24
    for one in crowd:
        one.close()
    assert eventually(lambda: get_or_none(port) == 200)


def get_or_none(port: int) -> int | None:
    try:
        return get(port, "/healthz")[0]
    except (OSError, urllib.error.URLError):
        return None


def eventually(condition, seconds: float = 120.0) -> bool:
    waiting = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if condition():
            return True
        waiting.wait(0.05)
    return False


def test_port_in_use(monitor: Monitor) -> None:
    port = monitor.serve(0)
    other = Monitor(role="worker", id="w2")
    with pytest.raises(
        ConfigError, match=f"(?m)^--metrics-port {port} is in use on 127.0.0.1$"
    ) as e:
        other.serve(port)
    assert e.value.hint == "choose another port, or 0 for any free one"


@pytest.mark.parametrize("port", [-1, 65536])
def test_port_out_of_range(monitor: Monitor, port: int) -> None:
    with pytest.raises(
        ConfigError, match=f"(?m)^--metrics-port is {port}, but must be between 0 and 65535$"
    ):
        monitor.serve(port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_address_of_somebody_else(monitor: Monitor, host: str) -> None:
    with pytest.raises(
        ConfigError, match=f"(?m)^--metrics-host {host} is not an address of this machine$"
    ):
        monitor.serve(0, host)


def test_events_say_when_the_state_changes() -> None:
    written: list[str] = []
    log = EventLog(written.append, run="runs/a", role="worker", id="w1")
    monitor = Monitor(role="worker", id="w1", run="runs/a", log=log)
    for _ in range(3):
        monitor.state("playing", ready=True)
    monitor.state("waiting for a checkpoint", ready=False)
    events = [json.loads(line) for line in written]
    assert [(one["message"], one["ready"]) for one in events] == [
        ("playing", True),
        ("waiting for a checkpoint", False),
    ]
