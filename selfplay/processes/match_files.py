"""The files of finished matches in a run, written once and never changed."""

from collections.abc import Sequence
from pathlib import Path

from selfplay.records import MatchRecord, encode_matches, read_matches, same_content
from selfplay.run import atomic_write


class MatchFiles:
    """Finished matches under RUN/matches, one directory a worker, files numbered from 0."""

    def __init__(self, path: Path) -> None:
        """Looks at the directory; touches nothing."""
        self.path = path

    def file(self, worker: str, sequence: int) -> Path:
        """Returns where a worker's file of that number lies."""
        return self.path / worker / f"{sequence:08d}.parquet"

    def put(self, worker: str, sequence: int, matches: Sequence[MatchRecord]) -> bool:
        """Stores matches; returns whether the file holds them afterwards.

        A process that was killed and resumed plays the same matches again: storing them a second
        time changes nothing. False means that other matches lie there, which stay untouched.

        Raises:
            StorageError: the disk is full or refuses the write.
            RecordError: a file lies there that cannot be read.
        """
        file = self.file(worker, sequence)
        if file.exists():
            return same_content(read_matches(file), matches)
        atomic_write(file, encode_matches(matches))
        return True

    def get(self, worker: str, sequence: int) -> list[MatchRecord]:
        """Returns the matches of one file.

        Raises:
            RecordError: it is missing or damaged.
        """
        return read_matches(self.file(worker, sequence))

    def all(self) -> list[Path]:
        """Returns every file, by worker and number."""
        return sorted(self.path.glob("*/[0-9]*.parquet"))

    def next_sequence(self, worker: str) -> int:
        """Returns the number after the last file of a worker."""
        numbers = [int(file.stem) for file in (self.path / worker).glob("[0-9]*.parquet")]
        return max(numbers, default=-1) + 1
