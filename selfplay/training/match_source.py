"""What every source of matches has in common: where the matches of a trainer come from."""

import abc
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from jaxtyping import PyTree

from selfplay.records import MatchRecord
from selfplay.runtime.meter import Meter
from selfplay.runtime.playing import Playing
from selfplay.training.intake import Intake
from selfplay.training.learning import Learning


class MatchSource(abc.ABC):
    """Where the matches of a trainer come from.

    Every source takes in the files of matches that workers store in the run. Sources differ in
    what they do while no update is due: `OwnPlay` plays a chunk, `WorkerMatches` waits.

    Attributes:
        activity: what the trainer does while it gets more matches, as people read it.
        relies_on_workers: whether other processes must play. They can be asked to rest, and an
            evaluator can measure the strength.
        learning: takes the matches in.
        intake: reads the files of workers.
        playing: the matches in progress in this process; None where only workers play.
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
        """Goes on from a checkpoint that `learning` was restored from.

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
        """Takes in files of workers; returns their matches without those that were left out.

        Raises:
            StorageError: the store cannot be reached.
        """
        return [match for file in files for match in self.intake.take(*file)]

    @abc.abstractmethod
    def get_more(self, stopped: threading.Event) -> Sequence[MatchRecord]:
        """Plays or waits for a moment; returns the matches that were taken in, if any.

        Args:
            stopped: set once the session is asked to end, which ends a wait early.
        """

    @property
    def exhausted(self) -> bool:
        """Whether no more matches are expected, so that the session ends."""
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
        """Returns what a checkpoint must hold so that this source goes on exactly."""
        return {}

    @abc.abstractmethod
    def close(self) -> None:
        """Ends what is in progress, whatever ended the session."""
