"""Policy targets as arrays of one width: a few actions of each position with their shares."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Int32

from selfplay.records import MatchRecord


def padded_policies(
    matches: Sequence[MatchRecord], width: int, *, table: str = "policy"
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Returns the policy targets of all plies, [plies, width]; the largest shares are kept.

    Args:
        matches: at least one.
        width: how many actions are kept of a ply.
        table: "policy", or "side_policy" for those of side positions.
    """
    counts = np.concatenate([np.diff(getattr(match, f"{table}_offsets")) for match in matches])
    rows = np.repeat(np.arange(len(counts)), counts)
    ends = counts.cumsum()
    actions = np.concatenate([getattr(match, f"{table}_actions") for match in matches])
    shares = np.concatenate([getattr(match, f"{table}_probabilities") for match in matches])
    if counts.max(initial=0) > width:
        order = np.lexsort((-shares, rows))
        actions, shares = actions[order], shares[order]
    columns = np.arange(len(rows)) - np.repeat(ends - counts, counts)
    kept = columns < width
    padded_actions = np.zeros((len(counts), width), np.int32)
    padded_shares = np.zeros((len(counts), width), np.float32)
    padded_actions[rows[kept], columns[kept]] = actions[kept]
    padded_shares[rows[kept], columns[kept]] = shares[kept]
    return padded_actions, padded_shares


def largest_shares(
    shares: Float32[np.ndarray, "n A"], width: int
) -> tuple[Int32[np.ndarray, "n K"], Float32[np.ndarray, "n K"]]:
    """Returns the `width` largest shares of each row and their actions; all if there are no more.

    Args:
        shares: of all actions, at least 0.
        width: how many are kept.
    """
    count, actions = shares.shape
    if actions <= width:
        return np.tile(np.arange(actions, dtype=np.int32), (count, 1)), shares
    kept = np.argpartition(-shares, width - 1, axis=1)[:, :width].astype(np.int32)
    return kept, np.take_along_axis(shares, kept, axis=1)
