"""The base class of the sources from which a trainer gets its matches."""

import abc
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from jaxtyping import PyTree

from selfplay.records import MatchRecord
from selfplay.runtime.meter import Meter
from selfplay.runtime.playing import Playing
from selfplay.training.intake import Intake
from selfplay.training.learning import Learning


class MatchSource(abc.ABC):
    """A source of matches for a trainer.

    Every source takes in the files of matches that workers store in the run. While no update is
    due, `OwnPlay` plays a chunk and `WorkerMatches` waits.

    Attributes:
        activity: what the trainer does while it gets more matches, in words.
        relies_on_workers: whether other processes must play. Then workers can be paused, and an
            evaluator can measure the strength.
        learning: takes the matches in.
        intake: reads the files of workers.
        playing: the matches in progress in this process; None if only workers play.
    """

    activity: ClassVar[str]
    relies_on_workers: ClassVar[bool]

    def __init__(
        self,
        learning: Learning,
        meter: Meter,
        say: Callable[[str], None],
        *,
        own_worker: str | None = None,
    ) -> None:
        """Takes in nothing yet.

        Args:
            learning: takes the matches in.
            meter: measures the time.
            say: shows a message to people.
            own_worker: the worker id under which this process stores matches, if it plays.
        """
        self.learning = learning
        self.meter = meter
        self.say = say
        self.intake = Intake(learning, say, own_worker=own_worker)
        self.playing: Playing | None = None

    def restore(self, update: int) -> Sequence[MatchRecord]:
        """Continues from the checkpoint from which `learning` was restored.

        Returns:
            Matches that were finished but not yet taken in when the checkpoint was written. They
            are taken in now.

        Raises:
            CheckpointError: the checkpoint is damaged.
        """
        return []

    def new_files(self) -> list[tuple[str, int]]:
        """Returns the files of workers that are not taken in yet, as worker and number."""
        return self.intake.look()

    def take_in(self, files: Iterable[tuple[str, int]]) -> Sequence[MatchRecord]:
        """Takes in files of workers; returns their matches, except those left out.

        Raises:
            StorageError: the store cannot be reached.
        """
        files = list(files)
        self.learning.run.matches.prefetch(files)
        return [match for file in files for match in self.intake.take(*file)]

    @abc.abstractmethod
    def get_more(self, stopped: threading.Event) -> Sequence[MatchRecord]:
        """Plays a chunk or waits briefly; returns the matches that were taken in, if any.

        Args:
            stopped: set when the session should end; ends a wait early.
        """

    @property
    def exhausted(self) -> bool:
        """Whether the session should end because no more matches are expected."""
        return False

    @property
    def waited_seconds(self) -> float:
        """Seconds spent waiting for matches in this session."""
        return 0.0

    @property
    def starved_seconds(self) -> float:
        """Seconds since the last matches came, while the trainer waits for more; else 0."""
        return 0.0

    def checkpoint_items(self) -> dict[str, PyTree]:
        """Returns the state that a checkpoint must hold for this source to continue exactly."""
        return {}

    def playing_metrics(self) -> dict[str, Any]:
        """Returns the metrics of the methods of play; none if this process plays no matches."""
        playing = self.playing
        return {} if playing is None else playing.resignations.metrics() | playing.solver.metrics()

    def reanalysis_metrics(self) -> dict[str, Any]:
        """Returns what searching again changes in this process; nothing if it does not do so."""
        return {}

    @abc.abstractmethod
    def close(self) -> None:
        """Ends work in progress, for whatever reason the session ended."""
