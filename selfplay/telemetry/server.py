"""The optional port of a process: /metrics for Prometheus, /healthz and /readyz for probes.

It is read-only: no request changes anything, has its body read, or can delay the process.
"""

import contextlib
import dataclasses
import errno
import http.server
import json
import socket
import threading
from typing import Any

from selfplay.configuration import check_range
from selfplay.errors import ConfigError
from selfplay.telemetry.health import HealthSource
from selfplay.telemetry.prometheus import make_registry
from selfplay.version import software_version

_SOCKET_SECONDS = 5.0
_MOST_CONNECTIONS = 16
_PATHS = ("/metrics", "/healthz", "/readyz")


class MetricsServer:
    """Answers requests on a port, in threads of its own, until it is closed.

    Attributes:
        port: the number.
    """

    def __init__(self, monitor: HealthSource, port: int, host: str) -> None:
        """Opens the port.

        Args:
            monitor: provides the answers.
            port: in [0, 65535]; 0 for any free one.
            host: the address to listen on.

        Raises:
            ConfigError: the port is out of range, in use or not permitted, or the host unknown.
            MissingExtraError: prometheus-client is not installed.
        """
        check_range("--metrics-port", port, low=0, high=65535)
        info = {"version": software_version()}
        registry = make_registry(lambda: monitor.names, info, lambda: monitor.fields)
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._server = _Server((host, port), _Handler, family)
        except OSError as error:
            raise _refusal(port, host, error) from None
        except UnicodeError:
            raise ConfigError(f"--metrics-host {host!r} is not an address") from None
        self._server.monitor = monitor
        self._server.registry = registry
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Closes the port without waiting for requests under way."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # Otherwise `server_close` waits for connections that clients keep open.
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = _MOST_CONNECTIONS

    monitor: HealthSource
    registry: Any

    def __init__(
        self, address: tuple[str, int], handler: type["_Handler"], family: socket.AddressFamily
    ) -> None:
        self.address_family = family
        self._places = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answers in a thread; closes the connection if too many threads answer already."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers, then makes room for another connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs nothing: clients may break off a connection at any time."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    timeout = _SOCKET_SECONDS
    server_version = "selfplay"
    sys_version = ""

    def do_GET(self) -> None:
        """Answers one request."""
        path = self.path.partition("?")[0]
        health = self.server.monitor.health
        if path == "/metrics":
            from prometheus_client import generate_latest
            from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

            self._answer(200, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self.server.registry))
        elif path in _PATHS:
            good = health.healthy if path == "/healthz" else health.ready
            body = json.dumps(dataclasses.asdict(health)).encode() + b"\n"
            self._answer(200 if good else 503, "application/json", body)
        else:
            text = f"not found; the paths are {', '.join(_PATHS)}\n"
            self._answer(404, "text/plain; charset=utf-8", text.encode())

    do_HEAD = do_GET

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Logs nothing: a probe asks every few seconds."""


def _refusal(port: int, host: str, error: OSError) -> ConfigError:
    """Returns the error for a port that cannot be opened."""
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(
            f"--metrics-host {host} is not an address of this machine",
            hint="127.0.0.1 accepts connections from this machine only, 0.0.0.0 from everywhere",
        )
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"--metrics-port {port} is in use on {host}",
            hint="choose another port, or 0 for any free one",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(
            f"--metrics-port {port} is not permitted for this user",
            hint="choose a port of 1024 or above",
        )
    return ConfigError(f"--metrics-port {port} cannot be opened on {host}: {error.strerror}")
