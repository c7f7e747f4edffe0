"""The sections of a run's settings: one module and one dataclass for each table of run.toml."""

from selfplay.settings.sections.cost import CostConfig as CostConfig
from selfplay.settings.sections.evaluation import EvaluationConfig as EvaluationConfig
from selfplay.settings.sections.learner import LearnerConfig as LearnerConfig
from selfplay.settings.sections.network import NetworkConfig as NetworkConfig
from selfplay.settings.sections.replay import ReplayConfig as ReplayConfig
from selfplay.settings.sections.rollout import RolloutConfig as RolloutConfig
from selfplay.settings.sections.search import SearchConfig as SearchConfig
from selfplay.settings.sections.storage import StorageConfig as StorageConfig
from selfplay.settings.sections.trainer import TrainerConfig as TrainerConfig
