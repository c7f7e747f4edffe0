"""Presets: named settings that replace some defaults."""

import dataclasses
from typing import Any

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    # Seconds, not minutes, to the first checkpoint: to try a new game out, and for tests.
    "quick": {
        "network": {"blocks": 1, "channels": 16},
        "search": {"num_simulations": 8, "max_considered_actions": 4},
        "rollout": {"matches_per_device": 16, "plies_per_chunk": 4},
        "replay": {"min_window": 2_000, "max_window": 20_000, "first_positions": 200},
        "learner": {"batch_size": 64, "warmup_updates": 10},
        "trainer": {"checkpoint_seconds": 10.0},
        "evaluation": {
            "opponents": ("random",),
            "matches": 8,
            "first_seconds": 5.0,
            "interval_seconds": 5.0,
        },
    },
    # Settings are chosen as for four times the time, with twice the simulations; see `SHIFTS`.
    "strong": {},
    # For one large GPU and hours: big batches, a long memory.
    "large": {
        "network": {
            "blocks": 10,
            "channels": 128,
            "squeeze_excitation": True,
        },
        "search": {"num_simulations": 64},
        "rollout": {"matches_per_device": 1024, "plies_per_chunk": 16},
        "replay": {"min_window": 250_000, "max_window": 5_000_000, "first_positions": 50_000},
        "learner": {"batch_size": 1024, "warmup_updates": 500},
        "trainer": {"checkpoint_seconds": 300.0},
        "evaluation": {"opponents": ("random", "mcts:1000"), "matches": 64},
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Shift:
    """How a preset changes the settings that are chosen for a new run.

    Attributes:
        time: factor on the planned time for which the network is chosen.
        simulations: factor on the simulations.
    """

    time: float = 1.0
    simulations: int = 1


SHIFTS: dict[str, Shift] = {
    "default": Shift(),
    "strong": Shift(time=4.0, simulations=2),
    "large": Shift(),
}
"""Of the presets that leave settings to choose; the others have no others than their own."""
