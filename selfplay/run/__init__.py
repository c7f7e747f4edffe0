"""The run directory: settings, layout, checkpoints, heartbeats and ratings on disk."""

from selfplay.run.checkpoints import Checkpoints
from selfplay.run.clone import Clone, clone_run
from selfplay.run.config import (
    Config,
    EvaluationConfig,
    StorageConfig,
    TrainerConfig,
    settings_hash,
)
from selfplay.run.curve import training_curve
from selfplay.run.directory import RunDirectory
from selfplay.run.heartbeats import Heartbeat, read_heartbeats, remove_heartbeat, write_heartbeat
from selfplay.run.matches import MatchFiles
from selfplay.run.names import (
    find_checkpoint,
    is_run,
    open_checkpoints,
    split_checkpoint_name,
)
from selfplay.run.presets import PRESETS
from selfplay.run.ratings import append_evaluation, read_evaluation_matches, read_evaluations
from selfplay.run.reference import describe_settings
from selfplay.run.series import MatchFile
from selfplay.run.sources import load_config, read_settings, write_settings
from selfplay.run.storage import atomic_write, check_disk_space
from selfplay.run.store import Place, Store, is_remote, open_store
from selfplay.run.uploads import UploadQueue

__all__ = [
    "PRESETS",
    "Checkpoints",
    "Clone",
    "Config",
    "EvaluationConfig",
    "Heartbeat",
    "MatchFile",
    "MatchFiles",
    "Place",
    "RunDirectory",
    "Store",
    "StorageConfig",
    "TrainerConfig",
    "UploadQueue",
    "append_evaluation",
    "atomic_write",
    "check_disk_space",
    "clone_run",
    "describe_settings",
    "find_checkpoint",
    "is_remote",
    "is_run",
    "load_config",
    "open_checkpoints",
    "open_store",
    "read_evaluation_matches",
    "read_evaluations",
    "read_heartbeats",
    "read_settings",
    "remove_heartbeat",
    "settings_hash",
    "split_checkpoint_name",
    "training_curve",
    "write_heartbeat",
    "write_settings",
]
