"""Takes in the newer targets of matches that other processes have searched again."""

import contextlib
import time
from collections.abc import Callable

from selfplay.errors import RecordError, StorageError
from selfplay.training.cursor import OWN_WORKER
from selfplay.training.learning import Learning

_SECONDS_BETWEEN_LOOKS = 2.0
_FILES_AT_ONCE = 16


class ReanalysisIntake:
    """Looks for new files of matches that were searched again, and reads them.

    Files made with weights older than `trainer.max_staleness` allows are left out. A file that
    cannot be read or breaks the rules is set aside. Matches that the window does not hold change
    nothing.
    """

    def __init__(
        self,
        learning: Learning,
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads nothing yet.

        Args:
            learning: takes the targets in.
            say: shows a message to people.
            clock: returns seconds.
        """
        self._learning = learning
        self._say = say
        self._clock = clock
        self._looked = float("-inf")

    def look(self) -> list[tuple[str, int]]:
        """Returns new files as worker and number; none while the store cannot be reached.

        It asks the store every other second.
        """
        if self._clock() - self._looked < _SECONDS_BETWEEN_LOOKS:
            return []
        self._looked = self._clock()
        cursor = dict(self._learning.cursor.next_reanalyses)
        # This process takes in its own files when it writes them; after a kill there may be more.
        cursor[OWN_WORKER] = 1 << 62
        try:
            files = self._learning.run.reanalyses.after(cursor, _FILES_AT_ONCE)
        except StorageError:
            # The intake of matches says so.
            return []
        return [(worker, number) for worker, number in files if worker != OWN_WORKER]

    def take(self, worker: str, sequence: int) -> int:
        """Takes one file in; returns how many positions it gives newer targets.

        Raises:
            StorageError: the store cannot be reached.
        """
        learning = self._learning
        files = learning.run.reanalyses
        limit = learning.config.trainer.max_staleness
        try:
            matches = files.get(worker, sequence)
            newest = max((int(m.reanalysis_checkpoints.max(initial=0)) for m in matches), default=0)
            if limit and newest < learning.player.update - limit:
                matches = []
            return learning.renew(worker, sequence, matches)
        except RecordError as error:
            learning.cursor.next_reanalyses[worker] = sequence + 1
            learning.cursor.damaged_files += 1
            self._say(f"left out: {error}")
            with contextlib.suppress(StorageError):
                files.set_aside(worker, sequence, str(error))
            return 0
