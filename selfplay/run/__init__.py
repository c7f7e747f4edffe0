"""The run directory: settings, layout, checkpoints, heartbeats and ratings on disk."""

from selfplay.run.checkpoints import Checkpoints, find_checkpoint, split_checkpoint_name
from selfplay.run.config import Config, EvaluationConfig, TrainerConfig, settings_hash
from selfplay.run.curve import training_curve
from selfplay.run.directory import RunDirectory, is_run
from selfplay.run.heartbeats import Heartbeat, read_heartbeats, remove_heartbeat, write_heartbeat
from selfplay.run.presets import PRESETS
from selfplay.run.ratings import append_evaluation, read_evaluation_matches, read_evaluations
from selfplay.run.reference import describe_settings
from selfplay.run.sources import load_config, read_settings
from selfplay.run.storage import atomic_write, check_disk_space

__all__ = [
    "PRESETS",
    "Checkpoints",
    "Config",
    "EvaluationConfig",
    "Heartbeat",
    "RunDirectory",
    "TrainerConfig",
    "append_evaluation",
    "atomic_write",
    "check_disk_space",
    "describe_settings",
    "find_checkpoint",
    "is_run",
    "load_config",
    "read_evaluation_matches",
    "read_evaluations",
    "read_heartbeats",
    "read_settings",
    "remove_heartbeat",
    "settings_hash",
    "split_checkpoint_name",
    "training_curve",
    "write_heartbeat",
]
