"""Access control: Host, Origin and token of requests, and the security headers of answers."""

import hmac
import ipaddress
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from selfplay.serve.errors import problem

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_OPEN_PATHS = ("/", "/healthz", "/readyz", "/favicon.ico")
"""Need no token: the page, which asks people for it, and health probes."""


def is_loopback(host: str) -> bool:
    """Returns whether only this machine can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses requests without permission, and adds security headers to every answer.

    A page of another site can make a browser send requests here, but it cannot choose their Host,
    their Origin or their content type: these are checked.
    """

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str] | None, token: str | None) -> None:
        """Wraps an application.

        Args:
            app: answers the requests that are permitted.
            hosts: host names that requests may name, besides IP addresses; None for any.
            token: bearer token that requests to the API must carry; None for none.
        """
        self._app = app
        self._hosts = None if hosts is None else {host.lower() for host in hosts}
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_guarded)
        else:
            status, message, hint = refusal
            headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
            answer = problem(status, message, hint, headers=headers)
            await answer(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        """Returns status, message and hint if a request is refused."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._knows(host):
            return (
                421,
                f"the host {host[:80]!r} is not one of this server",
                "selfplay serve --allow-host NAME adds one",
            )
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (
            f"http://{host.lower()}",
            f"https://{host.lower()}",
        ):
            return 403, f"the origin {origin[:80]!r} is another site", ""
        if origin is None and headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            api = scope["path"].startswith("/api/")
            if api or headers.get("sec-fetch-mode") != "navigate":
                return 403, "the request comes from another site", ""
        if self._token is not None and scope["path"] not in _OPEN_PATHS:
            if scope["path"].startswith("/static/"):
                return None
            given = headers.get("authorization", "").removeprefix("Bearer ").strip()
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                return (
                    401,
                    "the bearer token is missing or wrong",
                    "send the header Authorization: Bearer TOKEN; the server printed it",
                )
        return None

    def _knows(self, host: str) -> bool:
        if self._hosts is None:
            return True
        name = host.lower()
        if name.startswith("["):
            name = name.partition("]")[0].removeprefix("[")
        else:
            name = name.partition(":")[0]
        if name in self._hosts:
            return True
        # Another site can point its own name at this server, but not an IP address.
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
