"""The counters of a run, as a checkpoint keeps them."""

import dataclasses
from typing import Any, NamedTuple

from selfplay.learner import Plateau

OWN_WORKER = "loop"
"""The worker id of the matches that `selfplay train` plays itself."""


class WindowFile(NamedTuple):
    """A file of matches whose positions may still be in the replay window.

    Attributes:
        worker: that played the matches.
        sequence: the number of the file.
        matches: how many of its matches were learnt from.
        positions: how many positions they have.
        holdout_share: what `replay.holdout_share` was when the file was taken in.
    """

    worker: str
    sequence: int
    matches: int
    positions: int
    holdout_share: float = 0.0


@dataclasses.dataclass(kw_only=True)
class Cursor:
    """The counters of a run, which a checkpoint stores besides weights and matches in progress.

    Attributes:
        iteration: chunks of self-play that the trainer played itself.
        sequence: number of the next file of those matches.
        elapsed_seconds: time of training, over all sessions.
        positions: number of positions learnt from since the run began.
        matches: number of matches learnt from since the run began.
        held_out: number of matches kept out of training.
        plateau: the state of the "plateau" schedule.
        window: files whose positions may still be in the replay window, oldest first.
        next_files: by worker, the number of the first file that has not been read yet.
        left_out: matches that were not taken in, by reason: "stale", "foreign".
        damaged_files: number of files that could not be read or broke the rules.
        segments: how many segments of the training log lead to this checkpoint.
    """

    iteration: int = 0
    sequence: int = 0
    elapsed_seconds: float = 0.0
    positions: int = 0
    matches: int = 0
    held_out: int = 0
    plateau: Plateau = dataclasses.field(default_factory=Plateau)
    window: list[WindowFile] = dataclasses.field(default_factory=list)
    next_files: dict[str, int] = dataclasses.field(default_factory=dict)
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)
    damaged_files: int = 0
    segments: int = 0

    def to_json(self) -> dict[str, Any]:
        """Returns the counters for the metadata of a checkpoint."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Cursor":
        """Returns what `to_json` was called on.

        Early checkpoints of selfplay 0.1 knew one worker, the trainer itself.
        """
        window = [
            WindowFile(
                str(entry[0]), int(entry[1]), int(entry[2]), int(entry[3]), *map(float, entry[4:5])
            )
            for entry in (
                [OWN_WORKER, *held] if len(held) == 3 else held for held in document["window"]
            )
        ]
        next_files = document.get("next_files", {OWN_WORKER: document["sequence"]})
        return cls(
            **{
                **document,
                "plateau": Plateau(**document["plateau"]),
                "window": window,
                "next_files": dict(next_files),
            }
        )
