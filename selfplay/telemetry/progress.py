"""A snapshot of a trainer: what the screen, the logs, heartbeats and TensorBoard show."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from selfplay.telemetry.metrics import METRICS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """A snapshot of training.

    Attributes:
        game: its name.
        run: the run directory, as the user wrote it.
        metrics: values by key of `METRICS`; None or missing where not known (yet).
        planned_fraction: of the planned length that is done, in [0, 1]; None if open-ended.
        eta_seconds: until the planned end; None if not known.
        state: what the process does, such as "training" or "waiting for matches".
        evaluation: progress of the current evaluation; "" for none.
        device: such as "2 x cpu".
    """

    game: str
    run: str
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    planned_fraction: float | None = None
    eta_seconds: float | None = None
    state: str = ""
    evaluation: str = ""
    device: str = ""

    def __post_init__(self) -> None:
        """Refuses metrics that no sink would show.

        Raises:
            ValueError: a key is not in the table.
        """
        if unknown := self.metrics.keys() - METRICS.keys():
            raise ValueError(f"not in the table of metrics: {', '.join(sorted(unknown))}")

    def updated(self, **metrics: Any) -> "Progress":
        """Returns the same snapshot with other values of these metrics."""
        return dataclasses.replace(self, metrics={**self.metrics, **metrics})

    @property
    def update(self) -> int:
        """Updates made."""
        return self.metrics.get("update") or 0

    @property
    def matches(self) -> int:
        """Matches finished or taken in."""
        return self.metrics.get("matches") or 0

    @property
    def positions(self) -> int:
        """Positions recorded."""
        return self.metrics.get("positions") or 0

    @property
    def elapsed_seconds(self) -> float:
        """Seconds of training, over all sessions of the run."""
        return self.metrics.get("elapsed_seconds") or 0.0
