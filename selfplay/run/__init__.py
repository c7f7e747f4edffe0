"""The run directory: settings, layout, checkpoints, heartbeats and ratings on disk."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from selfplay.run.heartbeats import (
        Heartbeat,
        read_heartbeats,
        remove_heartbeat,
        store_clock_offset,
        write_heartbeat,
    )
    from selfplay.run.leftovers import Leftovers
    from selfplay.run.matches import MatchFiles
    from selfplay.run.mistakes import append_mistakes, read_mistake_moves, read_mistakes
    from selfplay.run.names import (
        find_checkpoint,
        is_run,
        open_checkpoints,
        split_checkpoint_name,
        split_simulations,
    )
    from selfplay.run.presets import PRESETS
    from selfplay.run.ratings import append_evaluation, read_evaluation_matches, read_evaluations
    from selfplay.run.reference import describe_settings
    from selfplay.run.series import MatchFile
    from selfplay.run.sources import (
        Source,
        changed_settings,
        load_config,
        merged,
        read_settings,
        read_sources,
        write_settings,
    )
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
    "Leftovers",
    "MatchFile",
    "MatchFiles",
    "Place",
    "RunDirectory",
    "Source",
    "Store",
    "StorageConfig",
    "TrainerConfig",
    "UploadQueue",
    "append_evaluation",
    "append_mistakes",
    "atomic_write",
    "changed_settings",
    "check_disk_space",
    "clone_run",
    "describe_settings",
    "find_checkpoint",
    "is_remote",
    "is_run",
    "load_config",
    "merged",
    "open_checkpoints",
    "open_store",
    "read_evaluation_matches",
    "read_evaluations",
    "read_heartbeats",
    "read_mistake_moves",
    "read_mistakes",
    "read_settings",
    "read_sources",
    "remove_heartbeat",
    "settings_hash",
    "split_checkpoint_name",
    "split_simulations",
    "store_clock_offset",
    "training_curve",
    "write_heartbeat",
    "write_settings",
]

# A name is fetched when it is first asked for: a probe that reads heartbeats every few seconds
# needs neither JAX nor pyarrow, whose import takes a second of a core.
_HOMES = {
    "checkpoints": "Checkpoints",
    "clone": "Clone clone_run",
    "config": "Config EvaluationConfig StorageConfig TrainerConfig settings_hash",
    "curve": "training_curve",
    "directory": "RunDirectory",
    "heartbeats": "Heartbeat read_heartbeats remove_heartbeat store_clock_offset write_heartbeat",
    "leftovers": "Leftovers",
    "matches": "MatchFiles",
    "mistakes": "append_mistakes read_mistake_moves read_mistakes",
    "names": "find_checkpoint is_run open_checkpoints split_checkpoint_name split_simulations",
    "presets": "PRESETS",
    "ratings": "append_evaluation read_evaluation_matches read_evaluations",
    "reference": "describe_settings",
    "series": "MatchFile",
    "sources": "Source changed_settings load_config merged read_settings read_sources "
    "write_settings",
    "storage": "atomic_write check_disk_space",
    "store": "Place Store is_remote open_store",
    "uploads": "UploadQueue",
}
_SOURCES = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Returns a public name, importing what it takes."""
    if name not in _SOURCES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_SOURCES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Returns the public names and what is loaded."""
    return sorted({*globals(), *__all__})
