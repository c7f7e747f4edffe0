"""The settings of a run: one frozen dataclass per section, all of them in `Config`."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from selfplay.configuration import check_range
from selfplay.errors import ConfigError
from selfplay.learner.config import LearnerConfig
from selfplay.networks.config import NetworkConfig
from selfplay.replay.config import ReplayConfig
from selfplay.rollout.config import RolloutConfig
from selfplay.run.values import convert, not_a_setting
from selfplay.search.config import SearchConfig


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainerConfig:
    """How long to train, how often each position is used, and what is kept.

    Attributes:
        reuse: training samples drawn per new position, above 0. The one ratio that matters.
        checkpoint_seconds: a checkpoint is written when this many seconds have passed since the
            last, above 0.
        checkpoint_updates: a checkpoint is also written every so many updates, at least 0; 0 to
            go by time only. Unlike time this is the same in every repetition.
        keep_checkpoints: how many of the newest checkpoints are kept, at least 1.
        pinned_every_updates: checkpoints at multiples of this are written and never removed, at
            least 0; 0 pins none.
        seed: of everything random in the run, at least 0.
        minutes: planned length, at least 0; 0 for no limit by time. Learning-rate schedules and
            the end of training follow it.
        updates: planned length in updates, at least 0; 0 for no limit by updates.
        max_staleness: matches of other processes that ended with a checkpoint more updates old
            than this are counted and left out, at least 0; 0 for no limit.
        max_backlog: positions taken in whose updates are not made yet, at least 1: with more,
            the trainer takes in no further ones and workers rest until it has caught up.
        suspend_workers: whether workers rest while the trainer makes updates, which it then does
            in bursts: for one accelerator that all of them share.
        any_settings: whether matches made with other settings of search and rollout are learnt
            from too, as in training on stored matches of other runs.
    """

    reuse: float = 4.0
    checkpoint_seconds: float = 60.0
    checkpoint_updates: int = 0
    keep_checkpoints: int = 10
    pinned_every_updates: int = 0
    seed: int = 0
    minutes: float = 0.0
    updates: int = 0
    max_staleness: int = 20_000
    max_backlog: int = 20_000
    suspend_workers: bool = False
    any_settings: bool = False

    def __post_init__(self) -> None:
        check_range("trainer.reuse", self.reuse, above=0)
        check_range("trainer.checkpoint_seconds", self.checkpoint_seconds, above=0)
        check_range("trainer.checkpoint_updates", self.checkpoint_updates, low=0)
        check_range("trainer.keep_checkpoints", self.keep_checkpoints, low=1)
        check_range("trainer.pinned_every_updates", self.pinned_every_updates, low=0)
        check_range("trainer.seed", self.seed, low=0, high=2**32 - 1)
        check_range("trainer.minutes", self.minutes, low=0)
        check_range("trainer.updates", self.updates, low=0)
        check_range("trainer.max_staleness", self.max_staleness, low=0)
        check_range("trainer.max_backlog", self.max_backlog, low=1)

    def checkpoint_due(self, update: int, seconds: float) -> bool:
        """Returns whether to write a checkpoint after `update`, `seconds` after the last one."""
        steps = (self.checkpoint_updates, self.pinned_every_updates)
        on_step = any(step > 0 and update % step == 0 for step in steps)
        return on_step or seconds >= self.checkpoint_seconds


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """How strength is measured while training.

    Attributes:
        enabled: whether it is measured at all.
        opponents: agents to play against: "random", "mcts:N" (plain tree search with N
            simulations), "solver" or another run, "RUN@UPDATE". With none only an evaluator plays,
            against earlier checkpoints.
        matches: per opponent and evaluation, at least 2 and even, because every opening is
            played once from each seat.
        simulations: of our own search, at least 2; 0 for `search.num_simulations`.
        share: at most this share of the wall time goes into evaluation, in (0, 1]. It is spread
            over the time: none is saved up.
        first_seconds: the first evaluation starts this many seconds into training, at least 0.
        interval_seconds: from the end of one evaluation to the next at least so long, at least 0;
            longer where `share` asks for it.
        mistake_positions: in a game with `solve`, every evaluation also counts mistakes in so
            many positions of random matches, at least 0; 0 does not.
        solver_seconds: after this many seconds no further one of those positions is solved,
            above 0. Late ones come first; all is done once in the life of a process.
    """

    enabled: bool = True
    opponents: tuple[str, ...] = ("random", "mcts:100")
    matches: int = 32
    simulations: int = 0
    share: float = 0.1
    first_seconds: float = 20.0
    interval_seconds: float = 20.0
    mistake_positions: int = 256
    solver_seconds: float = 10.0

    def __post_init__(self) -> None:
        check_range("evaluation.matches", self.matches, low=2)
        if self.matches % 2:
            raise ConfigError(
                f"evaluation.matches is {self.matches}, but must be even",
                hint="every opening is played once from each seat",
            )
        if self.simulations != 0:
            check_range("evaluation.simulations", self.simulations, low=2)
        check_range("evaluation.share", self.share, above=0, high=1)
        check_range("evaluation.first_seconds", self.first_seconds, low=0)
        check_range("evaluation.interval_seconds", self.interval_seconds, low=0)
        check_range("evaluation.mistake_positions", self.mistake_positions, low=0)
        check_range("evaluation.solver_seconds", self.solver_seconds, above=0)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StorageConfig:
    """How much a run may store.

    Attributes:
        max_match_bytes: of all files of matches, at least 0; 0 for no limit. Above it the oldest
            files are removed when a checkpoint is written, but never one that is not learnt from
            yet or still in the replay window.
        max_bytes: of the whole run, at least 0; 0 for no limit. Old files of matches, refused
            files, event files, parts of the ledger and evaluations are removed when a checkpoint
            is written, early enough to stay below it until the next one.
    """

    max_match_bytes: int = 0
    max_bytes: int = 0

    def __post_init__(self) -> None:
        check_range("storage.max_match_bytes", self.max_match_bytes, low=0)
        check_range("storage.max_bytes", self.max_bytes, low=0)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Every setting of a run, by section."""

    network: NetworkConfig = dataclasses.field(default_factory=NetworkConfig)
    search: SearchConfig = dataclasses.field(default_factory=SearchConfig)
    rollout: RolloutConfig = dataclasses.field(default_factory=RolloutConfig)
    replay: ReplayConfig = dataclasses.field(default_factory=ReplayConfig)
    learner: LearnerConfig = dataclasses.field(default_factory=LearnerConfig)
    trainer: TrainerConfig = dataclasses.field(default_factory=TrainerConfig)
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)
    storage: StorageConfig = dataclasses.field(default_factory=StorageConfig)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Returns plain values by section and key; tuples become lists, as in JSON and TOML."""
        return {
            section: {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in dataclasses.asdict(getattr(self, section)).items()
            }
            for section in SECTIONS
        }

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> "Config":
        """Returns the config with these settings; what is not named keeps its default.

        Raises:
            ConfigError: an unknown section or key, a value of the wrong type or out of range.
        """
        return cls().updated(settings)

    def updated(self, settings: Mapping[str, Any]) -> "Config":
        """Returns this config with `settings` (section to key to value) laid over it.

        Raises:
            ConfigError: an unknown section or key, a value of the wrong type or out of range.
        """
        sections = {
            section: dataclasses.replace(getattr(self, section), **values)
            for section, values in typed(settings).items()
        }
        return dataclasses.replace(self, **sections)


SECTIONS: dict[str, type] = {
    field.name: field.default_factory  # type: ignore[misc]
    for field in dataclasses.fields(Config)
}
"""Section names and their dataclasses, in order."""

KEYS: dict[str, dict[str, Any]] = {
    section: {field.name: field.type for field in dataclasses.fields(kind)}
    for section, kind in SECTIONS.items()
}
"""Section to key to annotated type."""


WORKER_KEYS = ("matches_per_device", "plies_per_chunk")
"""Settings of `rollout` that each worker may choose for its machine."""


def typed(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns `settings` with every name known and every value of its setting's type.

    Raises:
        ConfigError: an unknown section or key, or a value of the wrong type.
    """
    for section, values in settings.items():
        if section not in KEYS:
            raise not_a_setting(section, KEYS)
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"{section} is {values!r}, but must be a table of settings",
                hint=f"write {section}.KEY = VALUE, or a [{section}] table",
            )
        for key in values:
            if key not in KEYS[section]:
                raise not_a_setting(f"{section}.{key}", KEYS)
    return {
        section: {
            key: convert(f"{section}.{key}", value, KEYS[section][key])
            for key, value in values.items()
        }
        for section, values in settings.items()
    }


def settings_hash(config: Config) -> str:
    """Returns 12 hex digits that name the settings matches are made with: search and rollout.

    How many matches a machine plays at once is its own business and not among them.
    """
    settings = config.to_dict()
    rollout = {key: value for key, value in settings["rollout"].items() if key not in WORKER_KEYS}
    # Nor is what computes the network there.
    search = {key: value for key, value in settings["search"].items() if key != "inference"}
    made_with = json.dumps({"search": search, "rollout": rollout}, sort_keys=True)
    return hashlib.sha256(made_with.encode()).hexdigest()[:12]
