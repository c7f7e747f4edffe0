"""The server on a port: uvicorn, with time limits for slow connections."""

import asyncio
import contextlib
import errno
import logging
import resource
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from selfplay.configuration import check_range
from selfplay.errors import ConfigError

_REQUEST_SECONDS = 20.0
"""From the start of a connection to the end of the first request's headers."""

_IDLE_SECONDS = 75
_LEAVING_SECONDS = 2
_FILES = 65536


class PatientProtocol(H11Protocol):
    """Closes connections that send no request, so that thousands of them do no harm."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Starts the time limit for the first request."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(_REQUEST_SECONDS, self._end_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancels the time limit."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Starts the time limit for the next request."""
        super().on_response_complete()
        if self._deadline is not None:
            self._deadline.cancel()
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(_IDLE_SECONDS, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def open_port(host: str, port: int) -> socket.socket:
    """Returns a socket that listens on an address.

    Args:
        host: the address.
        port: in [0, 65535]; 0 for any that is free.

    Raises:
        ConfigError: the port is in use or not permitted, or this machine has no such address.
    """
    check_range("--port", port, low=0, high=65535)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, socket.SOCK_STREAM)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(2048)
        except BaseException:
            found.close()
            raise
    except (OSError, UnicodeError) as error:
        raise _refusal(host, port, error) from None
    return found


def address(listening: socket.socket, host: str) -> str:
    """Returns the URL of the page for a browser on this machine."""
    port = listening.getsockname()[1]
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/"


def run_server(
    app: Starlette,
    listening: socket.socket,
    *,
    on_start: Callable[[Callable[[], None]], None] = lambda stop: None,
) -> None:
    """Serves an application until it is stopped.

    Args:
        app: the application.
        listening: a socket of `open_port`; closed at the end.
        on_start: called with a function that stops the server from any thread.
    """
    _allow_many_files()
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_LEAVING_SECONDS,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    server = _Server(config)

    def stop() -> None:
        server.should_exit = True

    on_start(stop)
    with contextlib.closing(listening):
        server.run(sockets=[listening])


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Leaves signals to the command line."""
        yield


def _allow_many_files() -> None:
    """Raises the limit of open files, and so of connections, as far as the system permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _refusal(host: str, port: int, error: OSError | UnicodeError) -> ConfigError:
    if isinstance(error, UnicodeError):
        return ConfigError(f"--host {host!r} is not an address")
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(
            f"--host {host} is not an address of this machine",
            hint="127.0.0.1 accepts connections from this machine only, 0.0.0.0 from everywhere",
        )
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"--port {port} is in use on {host}",
            hint="choose another port, or 0 for any free one",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(
            f"--port {port} is not permitted for this user", hint="choose a port of 1024 or above"
        )
    return ConfigError(f"--port {port} cannot be opened on {host}: {error.strerror}")
