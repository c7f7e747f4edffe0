"""The settings of a run: one frozen dataclass per section, all of them in `Config`."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from selfplay.errors import ConfigError
from selfplay.settings.renames import with_current_names
from selfplay.settings.sections import (
    CostConfig,
    EvaluationConfig,
    LearnerConfig,
    NetworkConfig,
    ReplayConfig,
    RolloutConfig,
    SearchConfig,
    StorageConfig,
    TrainerConfig,
)
from selfplay.settings.values import convert, not_a_setting


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Every setting of a run, by section.

    >>> config = Config.from_dict({"search": {"num_simulations": 64}})
    >>> config.search.num_simulations, config.to_dict()["search"]["num_simulations"]
    (64, 64)
    """

    network: NetworkConfig = dataclasses.field(default_factory=NetworkConfig)
    search: SearchConfig = dataclasses.field(default_factory=SearchConfig)
    rollout: RolloutConfig = dataclasses.field(default_factory=RolloutConfig)
    replay: ReplayConfig = dataclasses.field(default_factory=ReplayConfig)
    learner: LearnerConfig = dataclasses.field(default_factory=LearnerConfig)
    trainer: TrainerConfig = dataclasses.field(default_factory=TrainerConfig)
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)
    storage: StorageConfig = dataclasses.field(default_factory=StorageConfig)
    cost: CostConfig = dataclasses.field(default_factory=CostConfig)

    def search_for_matches(self, simulations: int | None = None) -> SearchConfig:
        """Returns the search of an agent of the run that plays matches.

        Args:
            simulations: per move; by default `evaluation.simulations`, or those of self-play if
                that is 0.
        """
        if simulations is None:
            simulations = self.evaluation.simulations or self.search.num_simulations
        return self.search.for_matches(simulations)

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


MACHINE_KEYS: dict[str, tuple[str, ...]] = {
    "search": ("tree", "inference"),
    "rollout": ("matches_per_device", "plies_per_chunk"),
}
"""Settings, by section, that each process may choose for its machine, whatever the run says."""


NEWER_KEYS: dict[str, tuple[str, ...]] = {
    "search": (
        "forced_playouts",
        "root_temperature",
        "proven",
        "max_children",
        "scale_simulations",
        "reuse_tree",
    ),
    "rollout": (
        "full_search_share",
        "fast_simulations",
        "resign_share",
        "max_false_resigns",
        "restart_share",
        "side_positions",
        "solver",
        "solver_plies",
        "solver_positions",
    ),
}
"""Settings of search and rollout, by section, that 0.1.0 did not have. As long as they have their
defaults, they change nothing, and `settings_hash` is that of a version without them."""


def typed(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns `settings` with every name known and every value of its setting's type.

    Earlier names of settings become those of now.

    Raises:
        ConfigError: an unknown section or key, or a value of the wrong type.
    """
    settings = with_current_names(settings)
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

    What each machine may choose, `MACHINE_KEYS`, is not among them, nor `NEWER_KEYS` at their
    defaults, nor a solver that only looks on.
    """
    defaults = Config().to_dict()
    sections: dict[str, Any] = {
        "search": config.search,
        "rollout": config.rollout.as_recorded(),
    }
    made_with = {
        section: {
            key: value
            for key, value in dataclasses.asdict(settings).items()
            if key not in MACHINE_KEYS[section]
            and (key not in NEWER_KEYS[section] or value != defaults[section][key])
        }
        for section, settings in sections.items()
    }
    text = json.dumps(made_with, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
