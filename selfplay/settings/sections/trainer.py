"""Settings of `[trainer]`: how long to train and what is kept."""

import dataclasses

from selfplay.configuration import check_range
from selfplay.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainerConfig:
    """How long to train, how often each position is used, and what is kept.

    Attributes:
        replay_ratio: training samples drawn per new position, above 0: how often each position is
            used.
        checkpoint_seconds: time from one checkpoint to the next, above 0.
        checkpoint_updates: a checkpoint is also written whenever this many updates have been made,
            at least 0; 0 writes them by time only. Unlike time, updates are the same when a
            training is repeated.
        keep_checkpoints: how many of the newest checkpoints are kept, at least 1.
        spread_checkpoints: how many older checkpoints are kept at most, at least 0, spread evenly
            from the start of the training to the newest ones; 0 for none. With
            `storage.max_bytes` they take at most a tenth of it.
        pinned_every_updates: checkpoints at multiples of this are written and never removed, at
            least 0; 0 pins none.
        seed: of all random numbers of the run, at least 0.
        minutes: planned length in minutes, at least 0; 0 for no limit by time. Learning-rate
            schedules and the end of training depend on it.
        updates: planned length in updates, at least 0; 0 for no limit by updates.
        max_staleness: age limit in updates for matches of other processes, at least 0; 0 for no
            limit. Matches whose last checkpoint is older are counted and left out.
        max_backlog: limit of the backlog, at least 1: positions that were taken in but not yet
            used as often as `replay_ratio` asks. Above it the trainer takes in no more matches and
            workers pause until it has caught up.
        suspend_workers: whether workers pause while the trainer makes updates, which it then makes
            in bursts: for one accelerator that all of them share.
        gate: score in [0.5, 1) that a checkpoint must reach against the last accepted one, draws
            counting one half, before self-play uses it; 0 for no gate: self-play uses the newest
            weights.
        gate_updates: with a gate, the weights are tested every so many updates, at least 1.
        gate_matches: of each test, at least 2 and even: every opening is played from both seats.
        stop_at_plateau: training ends once the loss has stopped falling for
            `learner.plateau_updates` updates so many times, at least 0; 0 for never.
        any_settings: whether to learn from matches made with other settings of search and rollout
            too, as in training on stored matches of other runs.
    """

    replay_ratio: float = 4.0
    checkpoint_seconds: float = 60.0
    checkpoint_updates: int = 0
    keep_checkpoints: int = 10
    spread_checkpoints: int = 12
    pinned_every_updates: int = 0
    seed: int = 0
    minutes: float = 0.0
    updates: int = 0
    max_staleness: int = 20_000
    max_backlog: int = 20_000
    suspend_workers: bool = False
    gate: float = 0.0
    gate_updates: int = 500
    gate_matches: int = 64
    stop_at_plateau: int = 0
    any_settings: bool = False

    def __post_init__(self) -> None:
        check_range("trainer.replay_ratio", self.replay_ratio, above=0)
        check_range("trainer.checkpoint_seconds", self.checkpoint_seconds, above=0)
        check_range("trainer.checkpoint_updates", self.checkpoint_updates, low=0)
        check_range("trainer.keep_checkpoints", self.keep_checkpoints, low=1)
        check_range("trainer.spread_checkpoints", self.spread_checkpoints, low=0)
        check_range("trainer.pinned_every_updates", self.pinned_every_updates, low=0)
        check_range("trainer.seed", self.seed, low=0, high=2**32 - 1)
        check_range("trainer.minutes", self.minutes, low=0)
        check_range("trainer.updates", self.updates, low=0)
        check_range("trainer.max_staleness", self.max_staleness, low=0)
        check_range("trainer.max_backlog", self.max_backlog, low=1)
        if self.gate:
            check_range(
                "trainer.gate",
                self.gate,
                low=0.5,
                below=1,
                hint="0.55 is usual; 0 is no gate",
            )
        check_range("trainer.gate_updates", self.gate_updates, low=1)
        check_range("trainer.gate_matches", self.gate_matches, low=2)
        if self.gate_matches % 2:
            raise ConfigError(
                f"trainer.gate_matches is {self.gate_matches}, but must be even",
                hint="every opening is played once from each seat",
            )
        check_range("trainer.stop_at_plateau", self.stop_at_plateau, low=0)

    @property
    def has_end(self) -> bool:
        """Returns whether a length is planned, in minutes or in updates."""
        return self.minutes > 0 or self.updates > 0

    def checkpoint_due(self, update: int, seconds: float) -> bool:
        """Returns whether to write a checkpoint after `update`, `seconds` after the last one."""
        steps = (self.checkpoint_updates, self.pinned_every_updates)
        on_step = any(step > 0 and update % step == 0 for step in steps)
        return on_step or seconds >= self.checkpoint_seconds
