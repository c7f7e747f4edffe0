"""The plan of a training session: when updates, a checkpoint and the end are due."""

import threading

from selfplay.runtime.meter import Meter
from selfplay.training.learning import UPDATES_AT_ONCE, Learning


class SessionSchedule:
    """Compares the plan of a run with the clock and the updates made.

    Attributes:
        stopped: set once the session is asked to end.
    """

    def __init__(self, learning: Learning, meter: Meter, *, relies_on_workers: bool) -> None:
        """Starts at the newest checkpoint, or at the beginning of the run.

        Args:
            learning: as it is when the session begins.
            meter: measures the time since then.
            relies_on_workers: whether workers play, which can be paused.
        """
        self.stopped = threading.Event()
        self._learning = learning
        self._plan = learning.config.trainer
        self._meter = meter
        self._may_suspend = self._plan.suspend_workers and relies_on_workers
        self._earlier_seconds = learning.cursor.elapsed_seconds
        self._saved_iteration = learning.cursor.iteration
        self._saved_at = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of training, over all sessions."""
        return self._earlier_seconds + self._meter.elapsed

    @property
    def planned_fraction(self) -> float | None:
        """Share of the planned length that is done, None if the run has no planned end."""
        parts = []
        if self._plan.minutes:
            parts.append(self.elapsed / (60 * self._plan.minutes))
        if self._plan.updates:
            parts.append(self._learning.update / self._plan.updates)
        return min(1.0, max(parts)) if parts else None

    @property
    def time_share(self) -> float:
        """Share of the planned time that has passed, in [0, 1]; 0 if no time is planned."""
        minutes = self._plan.minutes
        return min(1.0, self.elapsed / (60 * minutes)) if minutes else 0.0

    @property
    def over(self) -> bool:
        """Whether the plan is fulfilled, the loss at a plateau, or the session asked to end."""
        return self.stopped.is_set() or (self.planned_fraction or 0.0) >= 1.0 or self.at_plateau

    @property
    def at_plateau(self) -> bool:
        """Whether the loss has stopped falling as often as `trainer.stop_at_plateau` allows."""
        most = self._plan.stop_at_plateau
        return bool(most) and self._learning.cursor.plateau.count >= most

    @property
    def plateau_note(self) -> str:
        """Says that the loss has stopped falling, if that ends the training; else empty."""
        if not self.at_plateau:
            return ""
        return (
            "the loss has stopped falling for learner.plateau_updates "
            f"{self._learning.cursor.plateau.count} times: trainer.stop_at_plateau ends training"
        )

    def save_due(self, *, last: bool) -> bool:
        """Returns whether to write a checkpoint now.

        Args:
            last: whether the session ends now."""
        learning = self._learning
        if learning.saved is None:
            return True
        if last:
            now = (learning.update, learning.cursor.iteration)
            return now != (learning.saved, self._saved_iteration)
        due = self._plan.checkpoint_due(learning.update, self.checkpoint_age)
        return due and learning.update != learning.saved

    def saved(self) -> None:
        """Notes that a checkpoint was written now."""
        self._saved_iteration = self._learning.cursor.iteration
        self._saved_at = self._meter.elapsed

    @property
    def checkpoint_age(self) -> float:
        """Seconds since this session last wrote a checkpoint, or since it began."""
        return self._meter.elapsed - self._saved_at

    def updates_due(self, *, training: bool) -> int:
        """Returns how many updates to make now.

        Args:
            training: whether the trainer made updates last.
        """
        due = self._learning.updates_due()
        if due and self._may_suspend:
            # Many updates at a time: workers cannot pause for each one.
            ends = bool(self._plan.updates) and self._learning.update + due >= self._plan.updates
            if not self.suspends(training=training) and not ends and due < UPDATES_AT_ONCE:
                return 0
        return due

    def suspends(self, *, training: bool) -> bool:
        """Returns whether workers should pause now, while the trainer makes updates.

        Args:
            training: whether the trainer made updates last."""
        if not self._may_suspend:
            return False
        due = self._learning.updates_due()
        return due >= UPDATES_AT_ONCE or (training and due > 0)
