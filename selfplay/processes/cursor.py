"""The counters of a run, as a checkpoint keeps them."""

import dataclasses
from typing import Any

from selfplay.learner import Plateau


@dataclasses.dataclass(kw_only=True)
class Cursor:
    """The counters of a run: what a checkpoint keeps beside weights and matches in progress.

    Attributes:
        iteration: chunks of self-play made.
        sequence: number of the next file of matches.
        elapsed_seconds: of training, over all sessions.
        positions: ever recorded.
        matches: ever finished.
        plateau: for the "plateau" schedule.
        window: files whose positions may still be in the replay window, oldest first: number of
            the file, matches and positions in it.
    """

    iteration: int = 0
    sequence: int = 0
    elapsed_seconds: float = 0.0
    positions: int = 0
    matches: int = 0
    plateau: Plateau = dataclasses.field(default_factory=Plateau)
    window: list[tuple[int, int, int]] = dataclasses.field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Returns it for the metadata of a checkpoint."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Cursor":
        """Returns what `to_json` was called on."""
        return cls(
            **{
                **document,
                "plateau": Plateau(**document["plateau"]),
                "window": [(int(n), int(m), int(p)) for n, m, p in document["window"]],
            }
        )
