"""The matches of a run, page by page, newest first, without reading all of its files.

It reads files from the newest on until a page is full. It reads only the columns that a list shows,
and only the footer of files that the filter rules out.
"""

import collections
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from selfplay.errors import RecordError
from selfplay.reports.match_filter import MatchFilter
from selfplay.reports.match_listing import Key, ListedFile, MatchListing
from selfplay.run import RunDirectory
from selfplay.run.ratings import FOLDER as RATINGS

_COLUMNS = (
    "match_id",
    "worker",
    "first_checkpoint",
    "last_checkpoint",
    "truncated",
    "returns",
    "plies",
)
_FRESH_SECONDS = 2.0
_KEPT_ROWS = 5_000
"""Summaries kept in memory, about a kilobyte each."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatchPage:
    """A page of matches.

    Attributes:
        rows: summaries, newest first.
        next: cursor of the next page; None if there are no more matches.
        total: number of matches in the files of the run; None while they are not counted, or if
            the filter leaves some out.
    """

    rows: list[dict[str, Any]]
    next: str | None
    total: int | None


class MatchIndex:
    """Pages of the matches of one run. For one thread at a time."""

    def __init__(self, run: RunDirectory, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Reads nothing yet.

        Args:
            run: the run.
            clock: seconds.
        """
        self._run = run
        self._clock = clock
        self._listed = float("-inf")
        self._listing = MatchListing(run)
        self._counts: dict[Key, int] = {}
        self._uncounted: set[Key] = set()
        self._rows: collections.OrderedDict[ListedFile, list[dict[str, Any]]] = (
            collections.OrderedDict()
        )
        self._kept_rows = 0

    def page(
        self,
        wanted: MatchFilter | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
        seconds: float = 0.4,
    ) -> MatchPage:
        """Returns up to `limit` matches.

        Args:
            wanted: which.
            limit: at least 1.
            cursor: `next` of the page before; None for the newest matches.
            seconds: time limit for a page, which may then be empty; `next` continues.

        Raises:
            RecordError: the cursor is not valid.
            StorageError: the store cannot be reached.
        """
        wanted = wanted or MatchFilter()
        self._list()
        deadline = self._clock() + seconds
        after = None if cursor is None else _read_cursor(cursor)
        rows: list[dict[str, Any]] = []
        files = self._from(after)
        for file in files:
            if self._clock() > deadline:
                # This file has not been read.
                return MatchPage(rows=rows, next=_cursor(file, None), total=None)
            if wanted.kind not in (None, file.kind) or wanted.worker not in (None, file.worker):
                continue
            found = self._summaries(file, wanted)
            below = len(found)
            if after is not None and file == after[0] and after[1] is not None:
                below = min(below, after[1])
            for row in range(below - 1, -1, -1):
                if wanted.takes(found[row]):
                    rows.append(found[row])
                    if len(rows) == limit:
                        more = row > 0 or next(files, None) is not None
                        following = _cursor(file, row) if more else None
                        return MatchPage(rows=rows, next=following, total=self._total(wanted))
        return MatchPage(rows=rows, next=None, total=self._total(wanted))

    def count(self, seconds: float, *, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Reads footers for a limited time to count the matches; returns whether all are counted.

        Args:
            seconds: time limit.
            interrupted: asked before each file; whether to stop at once.

        Raises:
            StorageError: the store cannot be reached.
        """
        self._list()
        deadline = self._clock() + seconds
        while self._uncounted:
            if self._clock() > deadline or interrupted():
                return False
            self._summaries(ListedFile(0.0, *self._uncounted.pop()), None)
        return True

    def _total(self, wanted: MatchFilter) -> int | None:
        return sum(self._counts.values()) if wanted.takes_all and not self._uncounted else None

    def _from(self, after: "tuple[ListedFile, int | None] | None") -> Iterator[ListedFile]:
        for file in self._listing.newest():
            if after is None or file <= after[0]:
                yield file

    def _list(self) -> None:
        if self._clock() - self._listed < _FRESH_SECONDS:
            return
        self._listing.refresh()
        keys = self._listing.keys
        for gone in self._counts.keys() - keys:
            del self._counts[gone]
        self._uncounted = keys - self._counts.keys()
        self._listed = self._clock()

    def _note_count(self, file: ListedFile, matches: int) -> None:
        self._counts[file.key] = matches
        self._uncounted.discard(file.key)

    def _summaries(self, file: ListedFile, wanted: MatchFilter | None) -> list[dict[str, Any]]:
        """Returns the accepted matches of a file, oldest first.

        Args:
            file: which.
            wanted: the filter; None only to count the matches.
        """
        if file in self._rows:
            self._rows.move_to_end(file)
            return self._rows[file]
        try:
            read = self._read_records if file.kind == "selfplay" else self._read_evaluation
            rows = read(file, wanted)
        except (
            FileNotFoundError,
            RecordError,
            pa.ArrowException,
            OSError,
            ValueError,
            LookupError,
        ):
            # Removed since it was listed, or damaged, which training reports.
            self._note_count(file, 0)
            return []
        if rows is None:
            return []
        self._note_count(file, len(rows))
        self._rows[file] = rows
        self._kept_rows += len(rows)
        while self._kept_rows > _KEPT_ROWS and len(self._rows) > 1:
            _, oldest = self._rows.popitem(last=False)
            self._kept_rows -= len(oldest)
        return rows

    def _read_records(
        self, file: ListedFile, wanted: MatchFilter | None
    ) -> list[dict[str, Any]] | None:
        path = self._run.store.path
        if path is not None:
            name = self._run.matches.series_name(file.name, file.sequence)
            source: Any = pa.OSFile(str(path / name))
        else:
            source = pa.BufferReader(self._run.matches.get_encoded(file.name, file.sequence))
        with source, pq.ParquetFile(source, pre_buffer=False) as parquet:
            self._note_count(file, parquet.metadata.num_rows)
            if wanted is None or not wanted.may_hold(parquet.metadata):
                return None
            table = parquet.read(columns=list(_COLUMNS), use_threads=False)
        return [
            {
                "match": row["match_id"],
                "kind": "selfplay",
                "game": self._run.game_name,
                "plies": row["plies"],
                "returns": row["returns"],
                "truncated": row["truncated"],
                "worker": row["worker"],
                "first_checkpoint": row["first_checkpoint"],
                "last_checkpoint": row["last_checkpoint"],
                "opponent": None,
                "players": [f"checkpoint {row['last_checkpoint']}"] * 2,
                "time": file.time,
            }
            for row in table.to_pylist()
        ]

    def _read_evaluation(
        self, file: ListedFile, wanted: MatchFilter | None
    ) -> list[dict[str, Any]] | None:
        summary, *matches = read_evaluation_file(self._run, file.name)
        self._note_count(file, len(matches))
        if wanted is None:
            return None
        update, opponent = summary["update"], str(summary["opponent"])
        stem = file.name.removeprefix(f"{RATINGS}/").removesuffix(".jsonl")
        rows = []
        for number, match in enumerate(matches):
            names = [f"checkpoint {update}", opponent]
            returns = [match["result"], -match["result"]]
            if match["seat"] == 1:
                names.reverse()
                returns.reverse()
            rows.append(
                {
                    "match": f"evaluation:{stem}:{number}",
                    "kind": "evaluation",
                    "game": self._run.game_name,
                    "plies": len(match["actions"]),
                    "returns": returns,
                    "truncated": match["truncated"],
                    "worker": None,
                    "first_checkpoint": update,
                    "last_checkpoint": update,
                    "opponent": opponent,
                    "players": names,
                    "time": file.time,
                }
            )
        return rows


def read_evaluation_file(run: RunDirectory, name: str) -> list[dict[str, Any]]:
    """Returns the lines of a file of evaluation matches: the summary, then the matches.

    Raises:
        FileNotFoundError: there is none of that name.
        ValueError: it is damaged.
    """
    return [json.loads(line) for line in run.store.read(name).decode().splitlines()]


def _cursor(file: ListedFile, row: int | None) -> str:
    place = [file.time, file.kind, file.name, file.sequence, row]
    return json.dumps(place, separators=(",", ":"))


def _read_cursor(text: str) -> tuple[ListedFile, int | None]:
    try:
        moment, kind, name, sequence, row = json.loads(text)
        if kind not in ("selfplay", "evaluation") or not isinstance(name, str):
            raise ValueError(kind)
        file = ListedFile(float(moment), kind, name, int(sequence))
        return file, None if row is None else int(row)
    except (ValueError, TypeError) as error:
        raise RecordError(
            f"cursor {text[:80]!r} is not valid", hint="use the key `next` of the previous page"
        ) from error
