"""Finds the files of workers that a consumer has not read yet, with few requests to the store."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from selfplay.store.series import Series

WORKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""The name of a worker."""

_SILENCE_SHARE = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
_GONE_SECONDS = 3600.0
_GONE_PAUSE_SECONDS = 300.0
_GAP_SECONDS = 60.0
_AT_WORK_SECONDS = 300.0
_SHORT_SECONDS = 0.5

_ASKED_AT_ONCE = 64
_FILES_OF_A_WORKER = 8
_FEW_WORKERS = 16
_LIST_SECONDS_A_WORKER = 0.05
_EARLY = 0.8


class NewFiles:
    """Follows the files of all workers for one consumer."""

    def __init__(self, series: Series, clock: Callable[[], float]) -> None:
        """Asks nothing yet.

        Args:
            series: the files.
            clock: returns seconds; decides when to look for new files again.
        """
        self._series = series
        self._clock = clock
        self._workers: dict[str, _Watch] = {}
        self._left: list[_Found] = []
        self._list_at = float("-inf")

    def workers(self) -> list[str]:
        """Returns the workers that have stored files, sorted."""
        return [name for name in self._series.workers() if WORKER.fullmatch(name)]

    def after(self, cursor: Mapping[str, int], limit: int) -> list[tuple[str, int]]:
        """Returns files that the consumer has not read yet, see `MatchFiles.after`."""
        now = self._clock()
        if not (files := self._still_new(cursor)):
            files = self._ask(cursor, limit, now)
        self._left = files[limit:]
        return [(file.worker, file.number) for file in files[:limit]]

    @property
    def at_work(self) -> int:
        """How many workers had new files in the last five minutes."""
        since = self._clock() - _AT_WORK_SECONDS
        return sum(
            watch.delivered_at is not None and watch.delivered_at >= since
            for watch in self._workers.values()
        )

    def _still_new(self, cursor: Mapping[str, int]) -> list["_Found"]:
        """Returns what was found above an earlier limit, unless its consumer went back."""
        expected: dict[str, int] = {}
        files = []
        for file in self._left:
            watch = self._workers[file.worker]
            start = expected.get(file.worker, self._start(file.worker, cursor, watch))
            if file.start != start:
                # Files before this one were returned, but not read.
                watch.next_look = self._clock()
                continue
            expected[file.worker] = file.number + 1
            files.append(file)
        return files

    def _ask(self, cursor: Mapping[str, int], limit: int, now: float) -> list["_Found"]:
        """Asks for the next files of the workers that are due."""
        due = self._due(now)
        asked = [(worker, self._start(worker, cursor, watch)) for worker, watch in due]
        share = max(_FILES_OF_A_WORKER, limit // len(asked)) if asked else limit
        found: list[tuple[int, _Found]] = []
        following = self._series.following(asked, share)
        for (worker, watch), (_, start), numbers in zip(due, asked, following, strict=True):
            if not numbers and now - watch.gap_checked >= _GAP_SECONDS:
                # A number may be missing for good, if a person removed the file.
                watch.gap_checked = now
                later = [number for number in self._series.numbers(worker) if number >= start]
                numbers = later[:share]
            watch.pause = _pause(now - watch.last_news)
            if numbers:
                watch.pause = watch.until_next(len(numbers), now) if self._are_many else 0.0
                watch.last_news = watch.gap_checked = watch.delivered_at = now
            watch.next_look = now + watch.pause
            starts = [start, *(number + 1 for number in numbers)]
            found += [
                (number - start, _Found(worker, number, before))
                for number, before in zip(numbers, starts, strict=False)
            ]
        return [file for _, file in sorted(found)]

    @property
    def _are_many(self) -> bool:
        """Whether there are so many workers that requests are to be saved."""
        return len(self._workers) > _FEW_WORKERS

    def _due(self, now: float) -> list[tuple[str, "_Watch"]]:
        """Returns the workers to ask for now, the longest overdue first by their own pauses."""
        if now >= self._list_at:
            for worker in self.workers():
                self._workers.setdefault(worker, _Watch(now))
            if self._are_many:
                many = len(self._workers) - _FEW_WORKERS
                self._list_at = now + min(many * _LIST_SECONDS_A_WORKER, _LONGEST_PAUSE_SECONDS)
        due = [(worker, watch) for worker, watch in self._workers.items() if now >= watch.next_look]
        due.sort(key=lambda one: (one[1].next_look - now) / max(one[1].pause, _SHORT_SECONDS))
        return due[:_ASKED_AT_ONCE]

    def _start(self, worker: str, cursor: Mapping[str, int], watch: "_Watch") -> int:
        """Returns where to look next for a worker; for a new one, its first file."""
        if worker in cursor:
            return cursor[worker]
        if watch.first is None:
            if self._series.following([(worker, 0)], 1)[0]:
                watch.first = 0
            else:
                watch.first = min(self._series.numbers(worker), default=0)
        return watch.first


class _Found(NamedTuple):
    """A file that was found; `start` is the number that its consumer must have come to."""

    worker: str
    number: int
    start: int


class _Watch:
    """When a worker last had a new file, and when to look again."""

    def __init__(self, now: float) -> None:
        self.last_news = self.gap_checked = now
        self.next_look = now
        self.pause = 0.0
        self.delivered_at: float | None = None
        self.first: int | None = None

    def until_next(self, files: int, now: float) -> float:
        """Returns the seconds until another file can be expected, by the time that these took."""
        before = now if self.delivered_at is None else self.delivered_at
        return min(_EARLY * (now - before) / files, _LONGEST_PAUSE_SECONDS)


def _pause(silence: float) -> float:
    """Returns when to look again for a worker that has stored nothing for so many seconds."""
    longest = _LONGEST_PAUSE_SECONDS if silence < _GONE_SECONDS else _GONE_PAUSE_SECONDS
    return min(silence * _SILENCE_SHARE, longest)
