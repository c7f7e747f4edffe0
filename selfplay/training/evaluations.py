"""The evaluations of a training session: at intervals, and once more at its end."""

from collections.abc import Callable

import jax

from selfplay.evaluation.strength import StrengthMeter
from selfplay.networks import Weights
from selfplay.runtime.meter import Meter
from selfplay.settings.sections import EvaluationConfig
from selfplay.training.learning import Learning

FINAL_SECONDS = 30.0
"""A session of at least this length ends with an evaluation. It may take as long, or up to
`evaluation.share` of the session if that is longer."""

_PROGRESS_SECONDS = 1.0
_LEAST_LIMIT = 20.0
"""Seconds that any evaluation may take: the first one compiles, too."""


class Evaluations:
    """Measures the strength of a session's weights, within the time that the settings allow.

    Attributes:
        enabled: whether this session measures anything.
        strength: plays the matches and holds the results.
    """

    def __init__(
        self,
        strength: StrengthMeter,
        learning: Learning,
        meter: Meter,
        *,
        enabled: bool,
        stopped: Callable[[], bool],
        mean_length: Callable[[], float | None],
    ) -> None:
        """Measures nothing yet.

        Args:
            strength: plays the matches and holds the results.
            learning: has the weights.
            meter: measures the time.
            enabled: whether this session measures anything.
            stopped: whether the session was asked to end.
            mean_length: of the matches of self-play, in plies; None if that is not known.
        """
        self.enabled = enabled
        self.strength = strength
        self._learning = learning
        self._meter = meter
        self._stopped = stopped
        self._mean_length = mean_length
        self._schedule = EvaluationSchedule(learning.config.evaluation, meter)

    def due(self, *, elapsed_seconds: float) -> bool:
        """Returns whether to play the next opponent now.

        Args:
            elapsed_seconds: of training, over all sessions.
        """
        if not self.enabled or self._stopped() or self._learning.update == 0:
            return False
        expected = self.strength.expected_seconds
        return self._schedule.due(elapsed=elapsed_seconds, expected=expected)

    def play_next(self, *, elapsed_seconds: float, tick: Callable[[str], None]) -> None:
        """Plays the opponent whose turn it is.

        Args:
            elapsed_seconds: of training, over all sessions.
            tick: called about once a second, with the state of the matches in words.
        """
        limit = self._schedule.limit(expected=self.strength.expected_seconds)
        self._play(None, self._stopped, elapsed_seconds, tick, limit)

    def play_last(self, *, elapsed_seconds: float, tick: Callable[[str], None]) -> None:
        """Measures the last checkpoint against every opponent, as far as time allows.

        Args:
            elapsed_seconds: of training, over all sessions.
            tick: as in `play_next`.
        """
        seconds = self._schedule.final_seconds
        if not self.enabled or not seconds or self._learning.update == 0:
            return
        deadline = self._meter.elapsed + seconds

        def stop() -> bool:
            return self._stopped() or self._meter.elapsed > deadline

        # Twice, because matches that were broken off early leave time for fewer of them.
        for opponent in 2 * self.strength.opponents:
            measured = self.strength.results.get(opponent)
            left = deadline - self._meter.elapsed
            new = measured is None or measured.update != self._learning.update
            if self.strength.least_seconds(opponent) <= left and new and not stop():
                self._play(opponent, stop, elapsed_seconds, tick, left)

    def play_gate(self, *, elapsed_seconds: float, tick: Callable[[str], None]) -> float | None:
        """Plays the newest weights against those that passed the gate last.

        Args:
            elapsed_seconds: of training, over all sessions.
            tick: as in `play_next`.

        Returns:
            The mean result of the newest weights, in [0, 1]; None if the session was asked to end.
        """
        accepted = self._learning.gate.accepted
        if accepted is None:
            return None
        with self._meter.phase("evaluate"):
            found = self.strength.evaluate(
                _local(self._learning.state.average),
                update=self._learning.update,
                elapsed_seconds=elapsed_seconds,
                opponent=f"@{accepted.update}",
                against=_local(accepted.weights),
                chooses=True,
                num_matches=self._learning.config.trainer.gate_matches,
                stop=self._stopped,
                tick=self._now_and_then(tick),
            )
        return None if found is None else found.score

    def _now_and_then(self, tick: Callable[[str], None]) -> Callable[[str], None]:
        """Returns what passes on a text about once a second."""
        next_tick = self._meter.elapsed

        def tell(text: str) -> None:
            nonlocal next_tick
            if self._meter.elapsed >= next_tick:
                next_tick = self._meter.elapsed + _PROGRESS_SECONDS
                tick(text)

        return tell

    def _play(
        self,
        opponent: str | None,
        stop: Callable[[], bool],
        elapsed_seconds: float,
        tick: Callable[[str], None],
        seconds: float,
    ) -> None:
        begin = self._meter.elapsed
        with self._meter.phase("evaluate"):
            self.strength.evaluate(
                self._learning.state.average,
                update=self._learning.update,
                elapsed_seconds=elapsed_seconds,
                opponent=opponent,
                seconds=seconds,
                plies_per_match=self._mean_length(),
                stop=stop,
                tick=self._now_and_then(tick),
            )
        self._schedule.ended(took=self._meter.elapsed - begin)


def _local(weights: Weights) -> Weights:
    """Returns weights that this process can use alone, where several train as one."""
    return jax.device_put(jax.device_get(weights)) if jax.process_count() > 1 else weights


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

    def limit(self, *, expected: float) -> float:
        """Returns the seconds after which the next evaluation is broken off.

        Before the first one nothing is known of how long the matches of a game take. What an
        evaluation takes beyond its share lengthens the pause after it.

        Args:
            expected: seconds that the evaluation may take.
        """
        pause = self._meter.elapsed - self._ended
        return max(_LEAST_LIMIT, 2 * expected, 2 * self._config.share * pause)

    def ended(self, *, took: float) -> None:
        """Notes that an evaluation has ended, and how many seconds it took."""
        self._ended = self._meter.elapsed
        self._took = took

    @property
    def final_seconds(self) -> float:
        """Seconds that all evaluations at the end may take together; 0 after a short session."""
        elapsed = self._meter.elapsed
        return max(FINAL_SECONDS, self._config.share * elapsed) if elapsed >= FINAL_SECONDS else 0.0
