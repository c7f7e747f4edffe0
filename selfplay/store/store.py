"""The interface of all stores: named blobs, each complete or absent."""

import abc
import contextlib
import dataclasses
import importlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from selfplay.errors import MissingExtraError, StorageError
from selfplay.store.series import Series


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One blob of a store.

    Attributes:
        name: in full, such as "matches/w1/00000000.parquet".
        bytes: its size.
        time: when it was written, in seconds since 1970, by the clock of the store.
    """

    name: str
    bytes: int
    time: float


class Listener:
    """Waits for notices of new blobs. This one is for stores without notices: it sleeps."""

    def __init__(self, poll_seconds: float) -> None:
        self._poll_seconds = poll_seconds

    def wait(self, seconds: float) -> bool:
        """Returns after a notice, after `seconds`, or after the store's `poll_seconds`.

        Returns:
            Whether there was a notice, or one may have been missed.
        """
        time.sleep(max(0.0, min(seconds, self._poll_seconds)))
        return False

    def close(self) -> None:
        """Frees the connection."""


class Store(abc.ABC):
    """Named blobs, written whole or not at all: a reader never meets half a blob.

    A name has parts joined by "/"; no part is empty or begins with a dot. URLs with different
    prefixes are different stores, independent of each other.

    Attributes:
        url: what to call it in messages.
        path: the directory of a directory store, else None.
        poll_seconds: how often to look for new blobs where no notice comes.
    """

    url: str
    path: Path | None = None
    poll_seconds: float = 1.0

    @abc.abstractmethod
    def read(self, name: str) -> bytes:
        """Returns a blob.

        Raises:
            FileNotFoundError: there is none of that name.
            StorageError: the store cannot be reached or refuses.
        """

    @abc.abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Writes a blob: afterwards it is complete, or as it was before.

        Raises:
            StorageError: the store is full, cannot be reached or refuses.
        """

    @abc.abstractmethod
    def write_new(self, name: str, data: bytes) -> bool:
        """Writes a blob unless one of that name is there; returns whether it did.

        Raises:
            StorageError: as for `write`.
        """

    @abc.abstractmethod
    def exists(self, name: str) -> bool:
        """Returns whether there is a complete blob of that name."""

    @abc.abstractmethod
    def entry(self, name: str) -> Entry | None:
        """Returns the size and the time of one complete blob, None if there is none of that name.

        It asks for this blob alone: the cost does not grow with the number of blobs in its folder.
        """

    @abc.abstractmethod
    def entries(self, folder: str = "") -> list[Entry]:
        """Returns the complete blobs under a folder, by name; none if there is no such folder."""

    @abc.abstractmethod
    def folders(self, folder: str = "") -> list[str]:
        """Returns the names of the folders right under a folder, sorted."""

    @abc.abstractmethod
    def delete(self, name: str) -> None:
        """Removes a blob, if it is there."""

    def names(self, folder: str = "") -> list[str]:
        """Returns the full names of the complete blobs under a folder, sorted."""
        return [entry.name for entry in self.entries(folder)]

    def bytes_used(self, folder: str = "") -> int:
        """Returns the sum of the sizes under a folder."""
        return sum(entry.bytes for entry in self.entries(folder))

    @abc.abstractmethod
    def series(self, folder: str, suffix: str) -> Series:
        """Returns the numbered blobs "FOLDER/WORKER/00000000SUFFIX" of any number of workers."""

    def notify(self, topic: str) -> None:  # noqa: B027 (there need not be any)
        """Sends a notice to the listeners of all processes, where the store can."""

    def listen(self, topic: str) -> Listener:
        """Returns a listener for such notices."""
        return Listener(self.poll_seconds)

    def label(self, name: str) -> str:
        """Returns what to call a blob in messages."""
        return f"{self.url}/{name}"

    def close(self) -> None:  # noqa: B027 (there need not be any)
        """Frees connections."""


def require(module: str, extra: str, what: str) -> ModuleType:
    """Returns a module of an optional dependency.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(
            f"{what} needs the Python package {module}, which is not installed",
            hint=f'pip install "selfplay-jax[{extra}]"',
        ) from None


def no_bucket(url: str, bucket: str) -> StorageError:
    """Returns the error of a store whose bucket does not exist."""
    scheme = url.partition("://")[0]
    return StorageError(
        f"{url} cannot be written: there is no bucket {bucket}",
        hint=f"make it, or name another: {scheme}://BUCKET/NAME",
    )


def check_name(name: str) -> str:
    """Returns the name of a blob.

    Raises:
        ValueError: it is no name; such a blob could be mistaken for a temporary file.
    """
    parts = name.split("/")
    if any(not part or part.startswith(".") for part in parts):
        raise ValueError(f"{name!r} is no name of a blob")
    return name


@contextlib.contextmanager
def unreachable(url: str, *kinds: type[BaseException]) -> Iterator[None]:
    """Turns errors of a client library into one `StorageError`; missing blobs stay as they are."""
    try:
        yield
    except FileNotFoundError:
        raise
    except kinds as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise StorageError(
            f"{url} cannot be reached or refuses: {reason}",
            hint="check the URL, the network and the credentials; what was stored is intact",
        ) from error
