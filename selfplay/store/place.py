"""Places for a run as people write them: paths and URLs."""

import re
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

Place = Path | str
"""A run or a store as people write it: a path or a URL."""

BUCKETS = {"s3": ("obstore", "s3"), "gs": ("gcsfs", "gcs"), "memory": ("fsspec", "gcs")}
"""Scheme: the module behind it and the extra that installs it."""
REDIS = ("redis", "rediss")
_SCHEMES = ("file", *BUCKETS, *REDIS)


def location(place: Place) -> str:
    """Returns a path or URL as text; restores the slashes that pathlib removes from a URL."""
    text = str(place)
    folded = re.match(rf"({'|'.join(_SCHEMES)}):/+", text)
    if folded is None:
        return text
    scheme = folded[1]
    slashes = "///" if scheme == "file" else "//"
    return f"{scheme}:{slashes}{text[folded.end() :]}".rstrip("/")


def scheme_of(text: str) -> str:
    """Returns the scheme of a URL, "" for a path."""
    match = re.match(r"([a-z][a-z0-9+.-]*)://", text)
    return match[1] if match else ""


def is_remote(place: Place) -> bool:
    """Returns whether a place is a URL, not a directory."""
    return scheme_of(location(place)) not in ("", "file")


def local_path(place: Place) -> Path | None:
    """Returns the directory of a place, None for a URL."""
    text = location(place)
    if is_remote(text):
        return None
    return Path(unquote(urlsplit(text).path)) if scheme_of(text) else Path(text)


def typed(place: Place) -> str:
    """Returns a path or URL as it is typed in a shell, so that commands in hints can be copied."""
    text = str(place)
    if text.startswith("-"):
        # Else it would be taken for an option.
        text = f"./{text}"
    if text.isprintable():
        return shlex.quote(text)
    # A tab or a line break would not survive the way from the screen to the shell.
    escaped = "".join(
        char
        if char.isprintable()
        else (f"\\x{ord(char):02x}" if char.isascii() else f"\\u{ord(char):04x}")
        for char in text.replace("\\", "\\\\").replace("'", "\\'")
    )
    return f"$'{escaped}'"
