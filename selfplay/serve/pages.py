"""Serves the installed files of the pages."""

import gzip
import hashlib
from importlib import resources
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from selfplay.serve.errors import not_found

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_BARE_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>selfplay</title>
<h1>selfplay</h1><p>The pages of the board are not installed. The API is at
<a href="/api/v1/about">/api/v1/about</a> and described in
<a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p></html>
"""


class _File(NamedTuple):
    """A file of the pages, as it is and compressed."""

    kind: str
    data: bytes
    compressed: bytes
    tag: str


class Pages:
    """Answers with files from memory; a request never becomes a path."""

    def __init__(self) -> None:
        """Reads all files into memory."""
        self._files = _static_files()

    def answer(self, name: str, request: Request) -> Response:
        """Returns a file; the page itself is index.html."""
        if name == "index.html" and name not in self._files:
            return HTMLResponse(_BARE_PAGE)
        if name not in self._files:
            raise not_found(f"file {name!r}")
        file = self._files[name]
        data, headers = file.data, {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if accepts_gzip(request.headers.get("accept-encoding", "")):
            data, headers["Content-Encoding"] = file.compressed, "gzip"
        # Each of the two has its own tag.
        headers["ETag"] = f'"{file.tag}-{headers.get("Content-Encoding", "plain")}"'
        if request.headers.get("if-none-match") == headers["ETag"]:
            headers.pop("Content-Encoding", None)
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=file.kind, headers=headers)


def accepts_gzip(header: str) -> bool:
    """Returns whether a client that sends this `Accept-Encoding` understands gzip.

    >>> accepts_gzip("gzip, deflate, br"), accepts_gzip("br;q=1.0, *;q=0"), accepts_gzip("")
    (True, False, False)
    """
    weights = {}
    for part in header.lower().split(","):
        coding, _, parameter = part.partition(";")
        weights[coding.strip()] = parameter.strip().removeprefix("q=").strip() or "1"
    weight = weights.get("gzip", weights.get("*", "0"))
    return weight.strip("0.") != ""


def _static_files() -> dict[str, _File]:
    """Returns every file of the pages by its name."""
    found = {}
    folder = resources.files("selfplay.serve").joinpath("static")
    for entry in folder.iterdir() if folder.is_dir() else ():
        suffix = "." + entry.name.rpartition(".")[2]
        if entry.is_file() and suffix in _TYPES:
            data = entry.read_bytes()
            found[entry.name] = _File(
                kind=_TYPES[suffix],
                data=data,
                compressed=gzip.compress(data, mtime=0),
                tag=hashlib.sha256(data).hexdigest()[:16],
            )
    return found
