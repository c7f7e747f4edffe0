"""Serves the installed files of the pages."""

import hashlib
from importlib import resources

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
        kind, data, tag = self._files[name]
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=kind, headers=headers)


def _static_files() -> dict[str, tuple[str, bytes, str]]:
    """Returns type, content and ETag of every file of the pages, by name."""
    found = {}
    folder = resources.files("selfplay.serve").joinpath("static")
    for entry in folder.iterdir() if folder.is_dir() else ():
        suffix = "." + entry.name.rpartition(".")[2]
        if entry.is_file() and suffix in _TYPES:
            data = entry.read_bytes()
            found[entry.name] = (_TYPES[suffix], data, f'"{hashlib.sha256(data).hexdigest()[:16]}"')
    return found
