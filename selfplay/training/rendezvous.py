"""The processes of one trainer meet before JAX connects them, so that what is wrong is said.

JAX ends a process without a message for people if another one never comes. Here process 0 listens
at the coordinator's address until all have come, compares what they were started with, and leaves
the port to JAX.
"""

import contextlib
import ipaddress
import json
import selectors
import socket
import time
from typing import Any

from selfplay.errors import ConfigError, RunError
from selfplay.version import software_version

_LOOK_SECONDS = 0.2
_ANSWER_SECONDS = 30.0
_LONGEST_LINE = 4096


def meet(coordinator: str, *, count: int, index: int, timeout_seconds: float = 300.0) -> None:
    """Waits until all processes of a trainer have come.

    Args:
        coordinator: "HOST:PORT" of process 0, which listens there meanwhile.
        count: how many processes there are, at least 2.
        index: which of them this is, from 0.
        timeout_seconds: how long to wait for the others.

    Raises:
        ConfigError: they were started with different numbers, or have different versions of
            selfplay, or the address is wrong.
        RunError: one of them does not come in time, or the port cannot be opened.
    """
    host, port = address(coordinator)
    mine = {"index": index, "count": count, "version": software_version()}
    deadline = time.monotonic() + timeout_seconds
    if index == 0:
        _gather(host, port, mine, deadline, timeout_seconds)
    else:
        _report(host, port, mine, deadline, timeout_seconds)


def address(coordinator: str) -> tuple[str, int]:
    """Returns host and port of "HOST:PORT".

    Raises:
        ConfigError: it is none.
    """
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(
            f"--coordinator is {coordinator!r}, but must be HOST:PORT",
            hint="name the host of process 0 and a free port there, such as 10.0.0.1:9000",
        )
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Returns whether a host is this machine, reached by no other."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Guest:
    """A connection from another process: what has arrived, and the line once it is complete."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.data = b""
        self.line: dict[str, Any] | None = None

    def read(self) -> bool:
        """Takes in what has arrived; returns whether the connection is of use."""
        try:
            received = self.connection.recv(_LONGEST_LINE)
        except OSError:
            return False
        self.data += received
        if not received or len(self.data) > _LONGEST_LINE:
            return False
        if b"\n" in self.data:
            try:
                line = json.loads(self.data)
                numbers = {key: int(line[key]) for key in ("index", "count")}
                self.line = {**numbers, "version": str(line["version"])}
            except (ValueError, KeyError, TypeError):
                return False  # Something else has knocked.
        return True


def _gather(
    host: str, port: int, mine: dict[str, Any], deadline: float, timeout_seconds: float
) -> None:
    """Listens until every other process has come; tells all of them how it went."""
    guests: list[_Guest] = []
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        listener = stack.enter_context(_listener(host, port))
        selector.register(listener, selectors.EVENT_READ)
        try:
            while missing := set(range(1, mine["count"])) - _came(guests):
                if time.monotonic() > deadline:
                    names = ", ".join(map(str, sorted(missing)))
                    raise RunError(
                        f"{len(missing)} of the {mine['count']} processes of the trainer did not "
                        f"come to {host}:{port} in {timeout_seconds:g} seconds: number {names}",
                        hint="start every process from 0 to N-1, with the same --coordinator and "
                        "--num-processes",
                    )
                for key, _ in selector.select(_LOOK_SECONDS):
                    if key.fileobj is listener:
                        connection = stack.enter_context(listener.accept()[0])
                        connection.settimeout(_ANSWER_SECONDS)
                        guests.append(_Guest(connection))
                        selector.register(connection, selectors.EVENT_READ, guests[-1])
                    elif not key.data.read():
                        selector.unregister(key.data.connection)
                        key.data.connection.close()
                        guests.remove(key.data)
                _compare(guests, mine)
        except (ConfigError, RunError) as error:
            _answer(guests, {"error": str(error), "hint": error.hint, "code": error.exit_code})
            raise
        _answer(guests, {"error": ""})


def _came(guests: list[_Guest]) -> set[int]:
    return {guest.line["index"] for guest in guests if guest.line is not None}


def _compare(guests: list[_Guest], mine: dict[str, Any]) -> None:
    """Raises `ConfigError` unless all were started alike, each with a number of its own."""
    seen = {0}
    for line in (guest.line for guest in guests if guest.line is not None):
        index = line["index"]
        if line["count"] != mine["count"]:
            raise ConfigError(
                f"process {index} of the trainer was started with --num-processes "
                f"{line['count']}, but process 0 with {mine['count']}",
                hint="start all of them with the same number",
            )
        if line["version"] != mine["version"]:
            raise ConfigError(
                f"process {index} of the trainer has selfplay {line['version']}, but process 0 "
                f"has {mine['version']}",
                hint="install the same version of selfplay on every machine",
            )
        if index in seen:
            raise ConfigError(
                f"two processes of the trainer were started with --process-id {index}",
                hint="number them from 0 to N-1",
            )
        seen.add(index)


def _answer(guests: list[_Guest], document: dict[str, Any]) -> None:
    """Tells all guests, and waits until they have hung up: then the port is free at once."""
    for guest in guests:
        with contextlib.suppress(OSError):
            guest.connection.sendall(json.dumps(document).encode() + b"\n")
            guest.connection.shutdown(socket.SHUT_WR)
    for guest in guests:
        with contextlib.suppress(OSError):
            while guest.connection.recv(_LONGEST_LINE):
                pass


def _listener(host: str, port: int) -> socket.socket:
    """Returns a listening socket: on this machine alone if the address is, else on all of it."""
    try:
        if is_loopback(host):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family)
        if socket.has_dualstack_ipv6():
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise RunError(
            f"process 0 of the trainer cannot listen at port {port}: {error.strerror or error}",
            hint="name a free port in --coordinator",
        ) from None


def _report(
    host: str, port: int, mine: dict[str, Any], deadline: float, timeout_seconds: float
) -> None:
    """Tells process 0 that this one has come, and waits for what it says."""
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise RunError(
                f"process 0 of the trainer, or another one, did not come to {host}:{port} in "
                f"{timeout_seconds:g} seconds",
                hint="start every process from 0 to N-1; this one must reach that address",
            )
        try:
            with socket.create_connection((host, port), timeout=left) as connection:
                connection.sendall(json.dumps(mine).encode() + b"\n")
                data = b""
                while received := connection.recv(_LONGEST_LINE):
                    data += received
            answer = json.loads(data)
            error = answer["error"]
        except (OSError, ValueError, KeyError, TypeError):
            # Not there yet, or it was the one before, which is ending.
            time.sleep(max(0.0, min(_LOOK_SECONDS, deadline - time.monotonic())))
            continue
        if not error:
            return
        kind = ConfigError if answer.get("code") == ConfigError.exit_code else RunError
        raise kind(error, hint=answer.get("hint", ""))
