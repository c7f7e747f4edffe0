"""Newer targets for positions that the window holds: what counts at each ply, the old or the new.

A match whose positions were searched again comes as a record with the same id. Its
`reanalysis_checkpoints` say at which plies its targets are new.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.records import MatchRecord


class Place(NamedTuple):
    """Where the window holds a match.

    Attributes:
        first: number of its first position.
        plies: how many positions it has.
    """

    first: int
    plies: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldTargets:
    """What the window holds of a match, arrays [T].

    Attributes:
        present: whether the position is still there; where it is not, the rest has no meaning.
        checkpoints: update of the weights behind its targets; as far as is known, they are not
            older.
        root_values: see `MatchRecord`, as the following.
        proven: likewise.
        is_target: likewise.
        surprises: likewise; None if the window does not keep them.
    """

    present: npt.NDArray[np.bool_]
    checkpoints: npt.NDArray[np.int64]
    root_values: npt.NDArray[np.float32]
    proven: npt.NDArray[np.bool_]
    is_target: npt.NDArray[np.bool_]
    surprises: npt.NDArray[np.float32] | None


class Renewed(NamedTuple):
    """A match with the newest targets of all its plies.

    Attributes:
        match: the record, except for its policies, which are those of the new record.
        newer: [T] where the new record has a newer target than the window.
    """

    match: MatchRecord
    newer: npt.NDArray[np.bool_]


def renewed(match: MatchRecord, held: HeldTargets) -> Renewed:
    """Returns what holds of a match if the window holds `held` and `match` was searched later.

    The newer of two targets of a position is that of the newer weights; of equally new ones it is
    the one that comes last. A proven one stays, unless the newer one is proven, too. Weights older
    than those that ended the match make no newer targets.
    """
    again = match.reanalysis_checkpoints
    newer = held.present & (again >= match.last_checkpoint) & (again >= held.checkpoints)
    # Nothing is more accurate than what is proven, by the search or by the game's solver.
    newer &= match.proven | ~held.proven
    kept = held.present & ~newer
    surprises = match.surprises
    if held.surprises is not None:
        surprises = np.where(kept, held.surprises, surprises)
    merged = dataclasses.replace(
        match,
        root_values=np.where(kept, held.root_values, match.root_values),
        proven=np.where(kept, held.proven, match.proven),
        is_target=np.where(kept, held.is_target, match.is_target),
        surprises=surprises,
    )
    return Renewed(merged, newer)
