"""What the cursor of a checkpoint says of the files in its replay window."""

from collections.abc import Mapping
from typing import Any, NamedTuple

OWN_WORKER = "loop"
"""The worker id of the matches that `selfplay train` plays itself."""

NEVER = -1


class WindowFile(NamedTuple):
    """A file of matches whose positions may still be in the replay window.

    Attributes:
        worker: that played the matches.
        sequence: the number of the file.
        matches: how many of its matches were learnt from.
        positions: how many positions they have.
        holdout_share: what `replay.holdout_share` was when the file was taken in.
        reanalysis: update of the newest weights that searched matches of it again; `NEVER` if none
            did.
    """

    worker: str
    sequence: int
    matches: int
    positions: int
    holdout_share: float = 0.0
    reanalysis: int = NEVER


class ReanalysisFile(NamedTuple):
    """A file of matches that were searched again, whose originals may still be in the window.

    Attributes:
        worker: that searched them.
        sequence: the number of the file.
        after: how many positions had been learnt from when it was taken in.
    """

    worker: str
    sequence: int
    after: int


def window_files(cursor: Mapping[str, Any]) -> list[WindowFile]:
    """Returns the files in the window, oldest first, from the cursor of a checkpoint.

    Early checkpoints of selfplay 0.1 knew one worker, the trainer itself.
    """
    entries = ([OWN_WORKER, *held] if len(held) == 3 else held for held in cursor.get("window", []))
    return [
        WindowFile(
            str(entry[0]),
            *map(int, entry[1:4]),
            *map(float, entry[4:5]),
            *map(int, entry[5:6]),
        )
        for entry in entries
    ]


def reanalysis_files(cursor: Mapping[str, Any]) -> list[ReanalysisFile]:
    """Returns the files of matches searched again, oldest first; older checkpoints have none."""
    return [
        ReanalysisFile(str(worker), int(sequence), int(after))
        for worker, sequence, after in cursor.get("reanalyses", [])
    ]
