"""Keeps a run below its limits: what is removed, in which order, and what always stays."""

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from selfplay.run.heartbeats import FOLDER as HEARTBEATS
from selfplay.run.match_files import REANALYSES, REFUSED, MatchFiles
from selfplay.run.ratings import FOLDER as RATINGS
from selfplay.run.stop_requests import FOLDER as REQUESTS
from selfplay.run.usage import FOLDER as USAGE
from selfplay.run.usage import fold_usage, keep_usage_of_killed
from selfplay.settings.sections.storage import StorageConfig
from selfplay.store.store import Entry, Store

TRAINING_LOG = "ledger"  # its name in the runs of every version
EVENTS = "tensorboard"
CHECKPOINTS = "checkpoints"
BALANCE = "balance"

_SHARE = 0.1
_MARGIN = 0.05
_HEARTBEAT = re.compile(rf"{HEARTBEATS}/(?P<role>[a-z]+)-(?P<id>[A-Za-z0-9][A-Za-z0-9._-]*)\.json")
_SILENT_SECONDS = 24 * 3600.0
_TIDY_SECONDS = 3600.0


class StorageLimit:
    """Removes what a run no longer needs, once it stores more than `storage` allows.

    Once an hour, whatever a run stores: heartbeats of processes that have been silent for a day,
    requests to end that are as old, files that say how long ended processes have run (one file adds
    them up), and of each kind under 1. what is above
    `storage.max_other_bytes` and `storage.max_other_files`.

    What may go above `storage.max_bytes`, in this order:

    1. where they take more than a tenth of the limit each, the oldest refused files, event files
       and segments of the training log, evaluations that lie close to others, and matches that
       earlier checkpoints played for a balance report;
    2. the oldest files of matches that were searched again, then of matches, as
       `MatchFiles.prune` does;
    3. more of what 1. lists.

    What stays: checkpoints, which have settings of their own; files of matches that are not learnt
    from yet, that the replay window holds, or that are the last of a worker; the newest event
    file, segment of the training log and evaluation against each opponent; the newest balance
    report, and what the newest checkpoint among them played for one.
    """

    def __init__(
        self,
        store: Store,
        matches: MatchFiles,
        limits: StorageConfig,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Reads nothing yet.

        Args:
            store: of the run.
            matches: of the run.
            limits: how much it may store.
            clock: seconds since 1970.
        """
        self._store = store
        self._matches = matches
        self._reanalyses = MatchFiles(store, REANALYSES)
        self._limits = limits
        self._clock = clock
        self._tidy_at = float("-inf")
        self._left: int | None = None
        self._growth = 0

    def prune(
        self,
        *,
        cursor: Mapping[str, int],
        window: Collection[tuple[str, int]],
        update: int,
        next_reanalyses: Mapping[str, int] | None = None,
        reanalyses: Collection[tuple[str, int]] = (),
    ) -> int:
        """Removes what is above the limits, with some room for what comes until the next call.

        Args:
            cursor: the next number of each worker that the newest checkpoint has not taken in.
            window: files whose positions may still be sampled from that checkpoint on.
            update: of the newest checkpoint.
            next_reanalyses: as `cursor`, of matches that were searched again.
            reanalyses: as `window`, of these.

        Returns:
            The bytes by which what must stay exceeds `storage.max_bytes`; 0 if it fits.

        Raises:
            StorageError: the store cannot be reached or refuses.
        """
        if self._clock() >= self._tidy_at:
            self._tidy_at = self._clock() + _TIDY_SECONDS
            self._tidy()
        self._matches.prune(self._limits.max_match_bytes, cursor=cursor, window=window)
        limit = self._limits.max_bytes
        if not limit:
            return 0
        stored = {
            folder: self._store.entries(folder)
            for folder in (
                HEARTBEATS,
                USAGE,
                REFUSED,
                EVENTS,
                TRAINING_LOG,
                RATINGS,
                BALANCE,
                CHECKPOINTS,
            )
        }
        match_bytes = self._matches.bytes_used()
        again_bytes = self._reanalyses.bytes_used()
        used = match_bytes + again_bytes + sum(_bytes(entries) for entries in stored.values())
        if self._left is not None:
            self._growth = max(self._growth, used - self._left)
        newest = f"{CHECKPOINTS}/{update}/"
        one_checkpoint = _bytes(e for e in stored[CHECKPOINTS] if e.name.startswith(newest))
        # The next checkpoint is written before older ones are removed.
        room = min(self._growth + one_checkpoint + int(limit * _MARGIN), limit // 2)
        excess = used - (limit - room)
        if excess > 0:
            kinds = {folder: order(stored[folder]) for folder, order in _ORDERS.items()}
            for folder, order in kinds.items():
                above = _bytes(stored[folder]) - int(limit * _SHARE)
                excess -= self._remove(order, min(excess, above))
        if excess > 0 and again_bytes:
            left = max(1, again_bytes - excess)
            self._reanalyses.prune(left, cursor=next_reanalyses or {}, window=reanalyses)
            excess -= again_bytes - self._reanalyses.bytes_used()
        if excess > 0:
            self._matches.prune(max(1, match_bytes - excess), cursor=cursor, window=window)
            excess -= match_bytes - self._matches.bytes_used()
        if excess > 0:
            for order in kinds.values():
                excess -= self._remove(order, excess)
        self._left = limit - room + excess
        return max(0, self._left - limit)

    def _tidy(self) -> None:
        """Removes what no run needs, so that the number of files does not grow for ever."""
        for folder in (HEARTBEATS, REQUESTS):
            for entry in self._silent(self._store.entries(folder)):
                if parts := _HEARTBEAT.fullmatch(entry.name):
                    # How long a killed process ran is in its heartbeat alone.
                    keep_usage_of_killed(self._store, parts["role"], parts["id"])
                self._store.delete(entry.name)
        fold_usage(self._store, now=self._clock())
        limits = self._limits
        for folder, order in _ORDERS.items():
            entries = self._store.entries(folder)
            above = _bytes(entries) - limits.max_other_bytes if limits.max_other_bytes else 0
            many = len(entries) - limits.max_other_files if limits.max_other_files else 0
            if above > 0 or many > 0:
                removable = order(entries)
                first = removable[: max(0, many)]
                for entry in first:
                    self._store.delete(entry.name)
                self._remove(removable[len(first) :], above - _bytes(first))

    def _silent(self, entries: Iterable[Entry]) -> list[Entry]:
        """Returns heartbeats and requests that were not renewed for a day."""
        now = self._clock()
        return [entry for entry in entries if now - entry.time > _SILENT_SECONDS]

    def _remove(self, order: list[Entry], excess: int) -> int:
        """Removes blobs from the front of `order`, which it changes; returns how many bytes."""
        freed = 0
        while order and freed < excess:
            entry = order.pop(0)
            self._store.delete(entry.name)
            freed += entry.bytes
        return freed


def thinned(entries: Iterable[Entry]) -> list[Entry]:
    """Returns evaluations in the order of removal, which keeps curves even.

    Of each kind it removes all but one that lie within 2 updates of each other, then within 4, 8
    and so on, so that the rest always lies evenly over the updates. The first and the newest of a
    kind are not in the list.

    Args:
        entries: of the folder of ratings.
    """
    kinds: dict[str, list[tuple[int, Entry]]] = {}
    for entry in sorted(entries, key=lambda entry: entry.name):
        if parts := _EVALUATION.fullmatch(entry.name):
            # Earlier checkpoints, "@UPDATE", are of one kind: there are ever more of them.
            kind = "@" if parts["kind"].isdecimal() else parts["kind"]
            kinds.setdefault(kind, []).append((int(parts["update"]), entry))
    order: list[tuple[int, int, str, Entry]] = []
    for of_kind in kinds.values():
        left = of_kind[:-1]
        width = 1
        while len(left) > 1:
            kept: dict[int, tuple[int, Entry]] = {}
            for update, entry in left:
                if kept.setdefault(update // width, (update, entry))[1] is not entry:
                    order.append((width, update, entry.name, entry))
            left = list(kept.values())
            width *= 2
    return [entry for *_, entry in sorted(order, key=lambda item: item[:3])]


_EVALUATION = re.compile(rf"{RATINGS}/(?P<update>\d+)-(?P<kind>.+)-[0-9a-f]+\.\w+")


def _played_for_balance(entries: Iterable[Entry]) -> list[Entry]:
    """Returns the files of balance matches, those of the oldest checkpoint first.

    Those of the newest checkpoint that played any are left out.
    """
    found = [
        (int(parts["update"]), entry)
        for entry in entries
        if (parts := _BALANCE_FILE.fullmatch(entry.name))
    ]
    newest = max((update for update, _ in found), default=-1)
    order = sorted(found, key=lambda item: (item[0], item[1].name))
    return [entry for update, entry in order if update < newest]


_BALANCE_FILE = re.compile(rf"{BALANCE}/\w+/(?P<update>\d+)-.+\.\w+")


def _refused(entries: Iterable[Entry]) -> list[Entry]:
    """Returns refused files, the oldest first.

    The last file of each worker is left out: it keeps the count of the worker's numbers.
    """
    found = sorted(entries, key=lambda entry: (entry.time, entry.name))
    last: dict[str, str] = {}
    for entry in found:
        folder, _, name = entry.name.rpartition("/")
        if name.endswith(".txt"):
            last[folder] = max(last.get(folder, ""), entry.name)
    return [entry for entry in found if entry.name not in last.values()]


def _all_but_newest(entries: list[Entry]) -> list[Entry]:
    return entries[:-1]


_ORDERS: dict[str, Callable[[list[Entry]], list[Entry]]] = {
    REFUSED: _refused,
    EVENTS: _all_but_newest,
    TRAINING_LOG: _all_but_newest,
    RATINGS: thinned,
    BALANCE: _played_for_balance,
}
"""By folder, what may be removed of its files, by name, in the order of removal."""


def _bytes(entries: Iterable[Entry]) -> int:
    return sum(entry.bytes for entry in entries)
