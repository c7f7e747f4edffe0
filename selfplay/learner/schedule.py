"""The learning rate: a function of the update, of how much of the plan is done, and of the loss."""

import dataclasses
import math

from selfplay.settings.sections.learner import LearnerConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plateau:
    """Follows the loss for the "plateau" schedule.

    Attributes:
        scale: factor on the learning rate, in (0, 1].
        best: lowest smoothed loss so far, None before the first update.
        smoothed: running mean of the loss, None before the first update.
        since_best: updates since `best` fell.
        count: how often the loss has stopped falling for `plateau_updates` updates.
    """

    scale: float = 1.0
    best: float | None = None
    smoothed: float | None = None
    since_best: int = 0
    count: int = 0

    def observe(self, loss: float, updates: int, config: LearnerConfig) -> "Plateau":
        """Returns the state after `updates` more updates with mean loss `loss`."""
        weight = 1.0 - 0.99**updates
        smoothed = (
            loss if self.smoothed is None else self.smoothed + weight * (loss - self.smoothed)
        )
        if self.best is None or smoothed < self.best - 1e-4:
            return dataclasses.replace(self, smoothed=smoothed, best=smoothed, since_best=0)
        since_best = self.since_best + updates
        if since_best < config.plateau_updates:
            return dataclasses.replace(self, smoothed=smoothed, since_best=since_best)
        return dataclasses.replace(
            self, smoothed=smoothed, best=smoothed, since_best=0,
            scale=self.scale * config.step_factor, count=self.count + 1,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stall:
    """Follows the loss for the "auto" schedule, which acts on it in runs without a planned end.

    The rate is halved whenever the updates have doubled since the loss last fell by half a per
    cent, so at worst it falls as one over their number. The loss is smoothed over the last
    twentieth of the updates: the longer a run, the slower the progress that can be seen.

    Attributes:
        scale: factor on the learning rate, from 1 down to `LEAST_SCALE`.
        updates: that were observed.
        smoothed: running mean of the loss, None before the first update.
        best: lowest smoothed loss since the last time that the rate was halved.
        best_at: the update of it, or at which the rate was halved.
    """

    scale: float = 1.0
    updates: int = 0
    smoothed: float | None = None
    best: float | None = None
    best_at: int = 0

    def observe(self, loss: float) -> "Stall":
        """Returns the state after one more update, with total loss `loss`."""
        updates = self.updates + 1
        weight = 1 / min(updates, max(_SMOOTHED_UPDATES, updates / 20))
        before = loss if self.smoothed is None else self.smoothed
        smoothed = before + weight * (loss - before)
        scale, best, best_at = self.scale, self.best, self.best_at
        falls = best is None or smoothed < best - _PROGRESS * abs(best)
        if not falls and updates > FIRST_UPDATES and updates >= 2 * best_at:
            falls, scale = True, max(scale / 2, LEAST_SCALE)
        if falls or updates <= FIRST_UPDATES:
            best, best_at = smoothed, updates
        return Stall(scale=scale, updates=updates, smoothed=smoothed, best=best, best_at=best_at)


LEAST_SCALE = 1 / 64
"""Below it a network hardly learns what is new in later matches."""

FIRST_UPDATES = 5_000
"""In which the loss says little, because the matches change faster than the network."""

_SMOOTHED_UPDATES = 100
_PROGRESS = 0.005


def learning_rate(
    config: LearnerConfig,
    *,
    update: int,
    progress: float | None,
    plateau_scale: float = 1.0,
    stall_scale: float = 1.0,
) -> float:
    """Returns the learning rate of one update.

    It is 0 where the update makes no step: with `late_batches` it adds its gradient to that of
    the next update that makes one. The number of an update decides which do, so a resumed run goes
    on as it would have.

    Args:
        config: which schedule.
        update: number of updates made before this one.
        progress: share of the plan that is done, in [0, 1]; None for a run without an end.
        plateau_scale: `Plateau.scale`.
        stall_scale: `Stall.scale`.
    """
    warm = min(1.0, (update + 1) / (config.warmup_updates + 1))
    done = min(max(progress or 0.0, 0.0), 1.0)
    cycles = config.schedule_cycles
    if done >= 1.0 - config.tail_share and (update + 1) % config.late_batches:
        return 0.0
    if config.schedule == "auto" and progress is None:
        factor = stall_scale
    elif config.schedule in ("auto", "tail"):
        factor = min(1.0, (1.0 - done) / config.tail_share)
    elif config.schedule == "cosine":
        factor = _half_cosine(done)
    elif config.schedule == "cosine_restarts":
        factor = _half_cosine(done * cycles % 1.0 if done < 1.0 else 1.0)
    elif config.schedule == "step":
        factor = config.step_factor ** min(int(done * cycles), cycles - 1)
    elif config.schedule == "plateau":
        factor = plateau_scale
    else:
        factor = 1.0
    return config.learning_rate * warm * factor


def _half_cosine(done: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * done))
