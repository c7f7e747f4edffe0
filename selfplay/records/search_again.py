"""Records of matches whose positions were searched again: old moves, new targets."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.records.collect import SMALLEST_SHARE
from selfplay.records.match import FIELDS, MatchRecord

SEARCHED = ("root_values", "raw_values", "simulations", "surprises", "proven")
"""The fields of a ply that a search gives anew, besides its policy."""


def with_new_targets(
    match: MatchRecord,
    plies: npt.NDArray[Any],
    found: Mapping[str, npt.NDArray[Any]],
    policy: npt.NDArray[np.float32],
    *,
    checkpoint: int,
) -> MatchRecord:
    """Returns `match` with what a later search found in some of its positions.

    These become policy targets, fast moves among them. Moves, results and the other plies stay as
    they are, and so does the id.

    Args:
        match: as it was.
        plies: [n] which positions were searched again, ascending.
        found: arrays [n] for each field of `SEARCHED`.
        policy: [n, A] of the searches.
        checkpoint: update number of the weights that searched.
    """
    changed: dict[str, Any] = {}
    new = {
        **found,
        "is_target": np.ones(len(plies), np.bool_),
        "fast": np.zeros(len(plies), np.bool_),
        "reanalysis_checkpoints": np.full(len(plies), checkpoint, np.int64),
    }
    for field in FIELDS:
        if field.name in new:
            values = getattr(match, field.name).copy()
            values[plies] = new[field.name]
            changed[field.name] = values
    actions, shares = [], []
    row_of = {int(ply): row for row, ply in enumerate(plies)}
    for ply in range(match.plies):
        if ply in row_of:
            row = policy[row_of[ply]]
            kept = np.flatnonzero(row >= SMALLEST_SHARE)
            of_ply = kept.astype(np.int32), row[kept].astype(np.float32)
        else:
            of_ply = match.policy(ply)
        actions.append(of_ply[0])
        shares.append(of_ply[1])
    counts = [len(of_ply) for of_ply in actions]
    return dataclasses.replace(
        match,
        **changed,
        policy_offsets=np.cumsum([0, *counts], dtype=np.int32),
        policy_actions=np.concatenate(actions),
        policy_probabilities=np.concatenate(shares),
    )
