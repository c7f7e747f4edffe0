"""A store in a bucket of Google Cloud, through fsspec."""

import contextlib
import datetime
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from selfplay.store.bucket_store import BucketStore
from selfplay.store.store import Entry, check_name, no_bucket, require, unreachable

_TIMES = ("updated", "mtime", "created")


class FsspecStore(BucketStore):
    """Each blob is an object, written whole by one request.

    Credentials come from where Google's libraries look for them: its default credentials.
    """

    def __init__(self, url: str) -> None:
        """Takes scheme://BUCKET/PREFIX; sends nothing yet."""
        fsspec = require("fsspec", "gcs", url)
        self.url = url.rstrip("/")
        # It prints the traceback of every error that it raises as well.
        logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
        with unreachable(self.url, Exception):
            # Nothing is cached: this process must see what others write.
            self._files, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        self._root = root.rstrip("/")

    def read(self, name: str) -> bytes:
        path = self._at(name)
        with unreachable(self.url, Exception):
            data = self._files.cat_file(path)
        return bytes(data)

    def write(self, name: str, data: bytes) -> None:
        path = self._at(name)
        with self._writing():
            self._files.pipe_file(path, data)

    def _create(self, name: str, data: bytes) -> None:
        with self._writing():
            self._files.pipe_file(self._at(name), data, mode="create")

    def entry(self, name: str) -> Entry | None:
        path = self._at(name)
        with unreachable(self.url, Exception):
            try:
                info = self._files.info(path)
            except FileNotFoundError:
                return None
        if info["type"] != "file":
            return None
        return Entry(name=name, bytes=int(info["size"]), time=_time(info))

    def entries(self, folder: str = "") -> list[Entry]:
        with unreachable(self.url, Exception):
            found = self._files.find(self._under(folder), detail=True)
        blobs = ((path.removeprefix(f"{self._root}/"), info) for path, info in found.items())
        return sorted(
            (
                Entry(name=name, bytes=int(info["size"]), time=_time(info))
                for name, info in blobs
                if name and not any(part.startswith(".") for part in name.split("/"))
            ),
            key=lambda entry: entry.name,
        )

    def folders(self, folder: str = "") -> list[str]:
        with unreachable(self.url, Exception):
            try:
                found = self._files.ls(self._under(folder), detail=True)
            except FileNotFoundError:
                return []
        return sorted(
            info["name"].rstrip("/").rpartition("/")[2]
            for info in found
            if info["type"] == "directory"
        )

    def delete(self, name: str) -> None:
        path = self._at(name)
        with unreachable(self.url, Exception), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(path)

    def _at(self, name: str) -> str:
        return f"{self._root}/{check_name(name)}"

    def _under(self, folder: str) -> str:
        # With the slash, so that the folder "a" does not include "ab".
        return f"{self._root}/{folder}/" if folder else f"{self._root}/"

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with unreachable(self.url, Exception):
                yield
        except FileNotFoundError:
            bucket = self._root.lstrip("/").partition("/")[0]
            raise no_bucket(self.url, bucket) from None


def _time(info: Mapping[str, Any]) -> float:
    """Returns when an object was written, 0 if the server does not say."""
    for key in _TIMES:
        value = info.get(key)
        if isinstance(value, str):
            value = datetime.datetime.fromisoformat(value)
        if isinstance(value, datetime.datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0
