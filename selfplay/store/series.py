"""Series of numbered blobs: each worker numbers its own from 0; consumers read in order."""

import abc
import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MatchFile:
    """One file of matches in a store.

    Attributes:
        worker: its writer.
        sequence: its number, counted from 0 by the worker.
        bytes: its size.
        time: when it was written, in seconds since 1970, by the clock of the store.
    """

    worker: str
    sequence: int
    bytes: int
    time: float


class Series(abc.ABC):
    """What `Store.series` returns."""

    @abc.abstractmethod
    def name(self, worker: str, number: int) -> str:
        """Returns the name of a blob."""

    @abc.abstractmethod
    def put(self, worker: str, number: int, data: bytes) -> bool:
        """Stores a blob; returns False, and changes nothing, if its number is taken.

        Raises:
            StorageError: the store is full, cannot be reached or refuses.
        """

    @abc.abstractmethod
    def get(self, worker: str, number: int) -> bytes:
        """Returns a blob.

        Raises:
            FileNotFoundError: there is none of that number.
            StorageError: the store cannot be reached or refuses.
        """

    @abc.abstractmethod
    def remove(self, worker: str, number: int) -> None:
        """Removes a blob, if it is there."""

    @abc.abstractmethod
    def workers(self) -> list[str]:
        """Returns the workers that have written, sorted."""

    @abc.abstractmethod
    def numbers(self, worker: str) -> list[int]:
        """Returns all numbers of a worker, ascending. Slow: it lists the blobs."""

    @abc.abstractmethod
    def next_number(self, worker: str) -> int:
        """Returns the number after the last one of a worker."""

    @abc.abstractmethod
    def following(self, starts: Sequence[tuple[str, int]], limit: int) -> list[list[int]]:
        """Returns, for each (worker, number), the stored numbers from that one on.

        At most `limit` each, without a gap. The cost does not grow with the number of blobs.
        """

    @abc.abstractmethod
    def items(self) -> list[MatchFile]:
        """Returns everything, oldest first."""
