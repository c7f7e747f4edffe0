"""Takes in the files of matches that workers store."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence

from selfplay.errors import RecordError, StorageError
from selfplay.records import MatchRecord, decode_matches, traceparent_of
from selfplay.settings import settings_hash
from selfplay.telemetry import tracing
from selfplay.training.learning import Learning

_SECONDS_BETWEEN_LOOKS = 0.5
_FILES_AT_ONCE = 32


@dataclasses.dataclass
class IntakeCounts:
    """Counts of the matches that this session has taken in.

    Attributes:
        files: how many were taken in.
        newest_at: when the newest matches arrived, by the intake's clock; None before the first.
        last_checkpoints: by worker, the newest checkpoint that its matches were ended with.
    """

    files: int = 0
    newest_at: float | None = None
    last_checkpoints: dict[str, int] = dataclasses.field(default_factory=dict)


class Intake:
    """Looks for new files, reads them, and leaves out matches that must not be learnt from.

    It leaves out, and counts in the cursor, "stale" matches, which ended with a checkpoint older
    than `trainer.max_staleness`, and "foreign" matches, which were made with other settings of the
    search or carry the name of another worker. It sets aside a file that cannot be read.
    """

    def __init__(
        self,
        learning: Learning,
        say: Callable[[str], None],
        *,
        own_worker: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads nothing yet.

        Args:
            learning: takes the matches in.
            say: shows a message to people.
            own_worker: the worker id under which this process stores matches, which it takes in
                itself.
            clock: returns seconds.
        """
        self._learning = learning
        self._say = say
        self._own_worker = own_worker
        self._clock = clock
        self._looked = float("-inf")
        self._unreachable = False
        self._settings = settings_hash(learning.config)
        self.counts = IntakeCounts()

    @property
    def data_age(self) -> float | None:
        """Seconds since the newest matches arrived; None before the first."""
        newest = self.counts.newest_at
        return None if newest is None else self._clock() - newest

    def look(self, *, now: bool = False) -> list[tuple[str, int]]:
        """Returns new files, at most `_FILES_AT_ONCE`.

        It asks the store at most twice a second, unless `now` or the last answer was full. While
        the store cannot be reached it returns none.
        """
        if not now and self._clock() - self._looked < _SECONDS_BETWEEN_LOOKS:
            return []
        learning = self._learning
        if learning.backlog > learning.config.trainer.max_backlog:
            return []
        self._looked = self._clock()
        cursor = dict(learning.cursor.next_files)
        if self._own_worker is not None:
            # After a kill the store holds more files of this process than it has taken in. It plays
            # those matches again.
            cursor[self._own_worker] = 1 << 62
        try:
            files = learning.run.matches.after(cursor, _FILES_AT_ONCE)
        except StorageError as error:
            if not self._unreachable:
                self._say(f"{error}; trying again")
            self._unreachable = True
            return []
        self._unreachable = False
        if len(files) == _FILES_AT_ONCE:
            # Probably there are more.
            self._looked = float("-inf")
        return [(worker, sequence) for worker, sequence in files if worker != self._own_worker]

    def take(self, worker: str, sequence: int) -> Sequence[MatchRecord]:
        """Takes one file in; returns its matches, none if it was left out.

        Raises:
            StorageError: the store cannot be reached.
        """
        learning = self._learning
        cursor = learning.cursor
        try:
            matches, reason = self._read(worker, sequence)
        except RecordError as error:
            cursor.next_files[worker] = sequence + 1
            cursor.damaged_files += 1
            self._say(f"left out: {error}")
            with contextlib.suppress(StorageError):
                learning.run.matches.set_aside(worker, sequence, str(error))
            return []
        if matches:
            newest = max(match.last_checkpoint for match in matches)
            self.counts.last_checkpoints[worker] = newest
        if reason:
            cursor.next_files[worker] = sequence + 1
            if not cursor.left_out.get(reason):
                self._say(f"the first {reason} matches are left out, of worker {worker}")
            cursor.left_out[reason] = cursor.left_out.get(reason, 0) + len(matches)
            return []
        self.counts.files += 1
        self.counts.newest_at = self._clock()
        return matches

    def _read(self, worker: str, sequence: int) -> tuple[Sequence[MatchRecord], str]:
        """Takes one file in, unless there is a reason not to; returns its matches and the reason.

        Its span belongs to the trace of whoever stored the file.
        """
        files = self._learning.run.matches
        data = files.get_encoded(worker, sequence)
        parent = traceparent_of(data) if tracing.on() else ""
        name = files.series_name(worker, sequence)
        with tracing.span("take in matches", parent=parent, file=name) as span:
            matches = decode_matches(data, source=files.name(worker, sequence))
            reason = self._reason(worker, sequence, matches)
            span.set(matches=len(matches), left_out=reason or None)
            if not reason:
                self._learning.take_in(worker, sequence, matches)
        return matches, reason

    def _reason(self, worker: str, sequence: int, matches: Sequence[MatchRecord]) -> str:
        """Returns why a file is left out, or ""."""
        trainer = self._learning.config.trainer
        prefix = f"{worker}-{sequence:08d}-"
        names = {match.match_id for match in matches}
        # A match with two ids would be learnt from twice.
        if len(names) < len(matches) or not all(name.startswith(prefix) for name in names):
            return "foreign"
        made_with = {match.settings_hash for match in matches}
        if not trainer.any_settings and made_with - {self._settings}:
            return "foreign"
        oldest = self._learning.player.update - trainer.max_staleness
        # By the checkpoint that ended them, because long matches begin earlier than short ones.
        if trainer.max_staleness and all(match.last_checkpoint < oldest for match in matches):
            return "stale"
        return ""
