"""Files of matches that a person names: by themselves, in folders, or in runs."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from selfplay.errors import RunError
from selfplay.records import MatchRecord, read_matches
from selfplay.run.directory import RunDirectory
from selfplay.run.names import is_run
from selfplay.store.place import is_remote, typed


@dataclasses.dataclass(frozen=True)
class MatchSource:
    """A file of matches, by itself or in a run."""

    path: Path | None = None
    run: RunDirectory | None = None
    worker: str = ""
    sequence: int = 0

    def read(self) -> list[MatchRecord]:
        """Returns its matches.

        Raises:
            RecordError: it is missing or damaged.
        """
        if self.path is not None:
            return read_matches(self.path)
        if self.run is None:
            raise TypeError("a source needs a path or a run")
        return self.run.matches.get(self.worker, self.sequence)


def match_sources(text: str, *, option: str) -> Iterator[MatchSource]:
    """Yields the files of matches that a path or URL means.

    Args:
        text: a Parquet file, a folder that holds some, or a run.
        option: that it was given to, for messages.

    Raises:
        RunError: there is no such thing.
    """
    path = Path(text)
    if is_remote(text) or is_run(text):
        run = RunDirectory.open(text)
        for item in run.matches.entries():
            yield MatchSource(run=run, worker=item.worker, sequence=item.sequence)
    elif path.is_dir():
        for file in sorted(path.rglob("*.parquet")):
            yield MatchSource(path=file)
    elif path.is_file():
        yield MatchSource(path=path)
    else:
        raise RunError(
            f"{option} {typed(text)} does not exist",
            hint="name a Parquet file of matches, a folder of them, or a run",
        )
