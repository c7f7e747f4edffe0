"""The destinations of a worker's finished matches: the store, or nothing."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from selfplay.records import MatchRecord


@runtime_checkable
class MatchSink(Protocol):
    """Takes finished matches; see `selfplay.run.UploadQueue`."""

    @property
    def next_sequence(self) -> int:
        """Number of the next file."""

    @property
    def has_room(self) -> bool:
        """Whether more may be added now."""

    @property
    def pending(self) -> int:
        """Files that are not stored yet."""

    @property
    def kept_in(self) -> str:
        """The folder on local disk in which `keep` puts them."""

    @property
    def problem(self) -> str:
        """Why files cannot be stored, "" if they can."""

    def add(self, matches: Sequence[MatchRecord], *, gather_seconds: float = 0.0) -> None:
        """Adds matches to a file that is closed once it is so old; does not wait."""

    def close(self, seconds: float) -> bool:
        """Stores what is pending, for at most `seconds`; returns whether all of it is stored."""

    def keep(self) -> int:
        """Makes sure that the pending files are on local disk; returns how many there are."""


class DiscardingSink:
    """A sink that stores nothing, for a dry run."""

    pending = 0
    has_room = True
    kept_in = ""
    problem = ""

    def __init__(self) -> None:
        """Counts from 0."""
        self.next_sequence = 0

    def add(self, matches: Sequence[MatchRecord], *, gather_seconds: float = 0.0) -> None:
        """Drops the matches, and counts a file."""
        self.next_sequence += bool(matches)

    def close(self, seconds: float) -> bool:
        """Returns True: there is nothing to store."""
        return True

    def keep(self) -> int:
        """Returns 0: there is nothing to keep."""
        return 0
