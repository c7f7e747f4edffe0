"""Which files of the replay window a reanalyzer searches next, of several that are at work."""

import time
import zlib
from collections.abc import Callable

import numpy as np

from selfplay.run import RunDirectory, read_heartbeats
from selfplay.run.window_files import NEVER, WindowFile, window_files
from selfplay.runtime.reanalysis_choice import files_to_search, is_dealt_to

ROLE = "reanalyzer"

_SECONDS_BETWEEN_LOOKS = 5.0


class WindowQueue:
    """The files of the window that are one process's to search, and those it has done.

    The processes divide the window among them by the heartbeats that they see. The cursor of a
    checkpoint says what the trainer has taken in, whoever searched it.
    """

    def __init__(
        self, run: RunDirectory, id: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Reads nothing yet.

        Args:
            run: the run.
            id: of this process.
            clock: returns seconds.
        """
        self._run = run
        self._id = id
        self._clock = clock
        self._looked = float("-inf")
        self._others: frozenset[str] = frozenset()
        self._window: tuple[int, list[WindowFile]] = (NEVER, [])
        self._done: dict[tuple[str, int], int] = {}
        self._rounds = 0

    def files(self, checkpoint: int, update: int) -> list[WindowFile]:
        """Returns the files to search next, in order.

        Args:
            checkpoint: the newest, whose window it is.
            update: of the weights that are to search.

        Raises:
            StorageError: the store cannot be reached.
            CheckpointError: the checkpoint was removed.
        """
        if self._window[0] != checkpoint:
            cursor = self._run.checkpoints.metadata(checkpoint)["cursor"]
            self._window = (checkpoint, window_files(cursor))
        window = self._window[1]
        held = {(file.worker, file.sequence) for file in window}
        self._done = {key: done for key, done in self._done.items() if key in held}
        ids = self._ids()
        mine = [
            file._replace(
                reanalysis=max(file.reanalysis, self._done.get((file.worker, file.sequence), NEVER))
            )
            for file in window
            if is_dealt_to(self._id, file, ids)
        ]
        self._rounds += 1
        key = [zlib.crc32(self._id.encode()), self._rounds]
        return files_to_search(mine, update, np.random.Generator(np.random.Philox(key=key)))

    def done(self, file: WindowFile, update: int) -> None:
        """Notes that a file is being searched with the weights of an update."""
        self._done[file.worker, file.sequence] = update

    def _ids(self) -> frozenset[str]:
        """Returns the ids of all reanalyzers that are alive; asks the store now and then."""
        if self._clock() - self._looked >= _SECONDS_BETWEEN_LOOKS:
            beats = read_heartbeats(self._run.store, role=ROLE)
            self._others = frozenset(beat.id for beat in beats if beat.alive)
            self._looked = self._clock()
        return self._others | {self._id}
