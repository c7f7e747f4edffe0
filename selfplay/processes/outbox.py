"""Where finished matches go: those of a worker, and those that a trainer plays itself."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from selfplay.processes.cursor import LOOP, Cursor
from selfplay.records import MatchRecord
from selfplay.run import Leftovers, MatchFiles


@runtime_checkable
class Outbox(Protocol):
    """Where finished matches go; see `selfplay.run.UploadQueue`."""

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
    def problem(self) -> str:
        """What keeps files from being stored, "" if nothing does."""

    def add(self, matches: Sequence[MatchRecord]) -> None:
        """Takes in the matches of one file; does not wait."""

    def close(self, seconds: float) -> bool:
        """Stores what is there, for at most so long; returns whether all of it is stored."""

    def keep(self, place: Leftovers) -> int:
        """Puts what is not stored yet on local disk; returns how many files it is."""


class Nowhere:
    """An outbox that stores nothing, for a dry run."""

    pending = 0
    has_room = True
    problem = ""

    def __init__(self) -> None:
        """Counts from 0."""
        self.next_sequence = 0

    def add(self, matches: Sequence[MatchRecord]) -> None:
        """Forgets them."""
        self.next_sequence += 1

    def close(self, seconds: float) -> bool:
        """Returns True: there is nothing to store."""
        return True

    def keep(self, place: Leftovers) -> int:
        """Returns 0: there is nothing to keep."""
        return 0


def store_own(
    files: MatchFiles, cursor: Cursor, finished: Sequence[MatchRecord]
) -> Sequence[MatchRecord]:
    """Stores matches of the one-process loop, and returns them as they are stored.

    After a kill the number of their file may be taken. The files beyond the checkpoint are
    finished matches too: they stay, but are not trained on, because this session's own matches
    take their place, under the next free number.

    Args:
        files: of the run.
        cursor: its `sequence` is the number of the file, and becomes the one that is free.
        finished: at least one match.
    """
    if files.put(LOOP, cursor.sequence, finished):
        return finished
    cursor.sequence = files.next_sequence(LOOP)
    renamed = [
        dataclasses.replace(match, match_id=f"{LOOP}-{cursor.sequence:08d}-{index:04d}")
        for index, match in enumerate(finished)
    ]
    files.put(LOOP, cursor.sequence, renamed)
    return renamed
