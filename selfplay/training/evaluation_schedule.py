"""When a training session measures its strength: now and then, and once more at its end."""

from selfplay.runtime.meter import Meter
from selfplay.settings.sections import EvaluationConfig

FINAL_SECONDS = 30.0
"""A session of at least this length ends with an evaluation. It may take as long, or up to
`evaluation.share` of the session if that is longer."""


class EvaluationSchedule:
    """Spreads the evaluations of a session over its time."""

    def __init__(self, config: EvaluationConfig, meter: Meter) -> None:
        """Counts from the start of the session.

        Args:
            config: how long evaluations may take.
            meter: measures the time.
        """
        self._config = config
        self._meter = meter
        self._ended = 0.0
        self._took: float | None = None

    def due(self, *, elapsed: float, expected: float) -> bool:
        """Returns whether to make the next evaluation now.

        Args:
            elapsed: seconds of training, over all sessions.
            expected: seconds that the evaluation may take.
        """
        config, pause = self._config, self._meter.elapsed - self._ended
        if elapsed < config.first_seconds:
            return False
        if self._took is None:
            return expected <= config.share * pause
        if pause < config.interval_seconds:
            return False
        # The last one and the pause after it, then the next one, each within the share.
        longest = max(self._took, expected)
        return longest <= config.share * (pause + longest)

    def ended(self, *, took: float) -> None:
        """Notes that an evaluation has ended, and how many seconds it took."""
        self._ended = self._meter.elapsed
        self._took = took

    @property
    def final_seconds(self) -> float:
        """Seconds that all evaluations at the end may take together; 0 after a short session."""
        elapsed = self._meter.elapsed
        return max(FINAL_SECONDS, self._config.share * elapsed) if elapsed >= FINAL_SECONDS else 0.0
