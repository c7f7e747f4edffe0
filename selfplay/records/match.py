"""The record of one finished match, which is also the table of all fields that a record has.

To add a field, declare it in `MatchRecord` with `since` one higher than `VERSION` was. Files,
their reading and writing, self-play's outputs, reports and docs/records.md follow from there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.records.fields import (
    Field,
    Per,
    action_field,
    fields_of,
    fill_in,
    match_field,
    offsets_field,
    ply_field,
    record,
)

PLAYED_OUT, RESIGNED, LENGTH = ENDINGS = ("played_out", "resigned", "length")
"""How a match may end: by the rules, by giving up, or by `max_plies` alone."""


@record
class MatchRecord:
    """A finished match of `T` plies: the moves and what the search said of them.

    Positions, observations, symmetries and auxiliary targets are not stored. Replaying the moves
    under the rules gives them back (`selfplay.replay.rebuild`).

    Attributes per match are plain values, attributes per ply are arrays [T]. A value of a position
    counts for the player to move there. `policy_offsets` [T + 1] says where the policy target of
    each ply begins in `policy_actions` and `policy_probabilities`; `policy` picks one out. Likewise
    for those of side positions.
    """

    match_id: str = match_field(
        "string",
        "worker, number of the file and index in it: unique, and the same when the match is "
        "written again",
    )
    game: str = match_field("string", "name of the game")
    version: int = match_field("int32", "version of its rules")
    fingerprint: str = match_field("string", "digest of the behaviour of the rules")
    worker: str = match_field("string", "who played it")
    first_checkpoint: int = match_field(
        "int64", "update number of the weights that played the first ply", low=0
    )
    last_checkpoint: int = match_field(
        "int64", "update number of the weights that played the last ply", low=0, shown="checkpoint"
    )
    settings_hash: str = match_field("string", "digest of the search and self-play settings")
    start_key: tuple[int, int] = match_field(
        "uint32", "data of the key that `Game.init` was given", size=2, played="start_keys"
    )
    truncated: bool = match_field(
        "bool", "whether the match was ended by `max_plies` alone", played="truncated"
    )
    returns: tuple[float, float] = match_field(
        "float32",
        "result for player 0 and for player 1; a draw is 0 for both",
        size=2,
        low=-1,
        high=1,
        played="returns",
    )
    ending: str = match_field(
        "string",
        "how the match ended: by the rules, by resignation, or by `max_plies` alone",
        choices=ENDINGS,
        since=2,
        default=lambda match: LENGTH if match.truncated else PLAYED_OUT,
        played="endings",
    )
    restart_ply: int = match_field(
        "int32",
        "ply at which it went on from a position of an earlier match, whose moves it repeats until "
        "there; 0 if it began anew",
        since=3,
        default=0,
        played="restart_plies",
        low=0,
    )
    source_id: str = match_field(
        "string",
        "id, elsewhere, of the match whose moves these are, if it was taken from another run or "
        "program to be searched again; else empty",
        since=4,
        default="",
    )
    players: npt.NDArray[np.int8] = ply_field("int8", "who moved", shown="player")
    actions: npt.NDArray[np.int32] = ply_field("int32", "what was played", shown="action")
    outcomes: npt.NDArray[np.int32] = ply_field(
        "int32", "the chance outcome that followed, -1 for none", default=-1, shown="outcome"
    )
    simulations: npt.NDArray[np.int32] = ply_field("int32", "simulations spent on the move", low=0)
    root_values: npt.NDArray[np.float32] = ply_field(
        "float32",
        "value after the search, for the player who moved",
        low=-1,
        high=1,
        shown="value",
    )
    raw_values: npt.NDArray[np.float32] = ply_field(
        "float32",
        "the network's own value, for the player who moved",
        low=-1,
        high=1,
        shown="network_value",
    )
    is_target: npt.NDArray[np.bool_] = ply_field(
        "bool", "whether the policy of this ply is a training target", default=True
    )
    exploratory: npt.NDArray[np.bool_] = ply_field(
        "bool", "whether the move was drawn at random, whatever the search said", default=False
    )
    fast: npt.NDArray[np.bool_] = ply_field(
        "bool",
        "whether it was a fast move, with fewer simulations than a full search "
        "(playout cap randomisation)",
        since=2,
        default=False,
    )
    reanalysis_checkpoints: npt.NDArray[np.int64] = ply_field(
        "int64",
        "update number of the weights that searched this position again later and made its "
        "targets; null (-1 in Python) if it was not searched again",
        since=2,
        default=-1,
        null=-1,
        played="",
        shown="reanalysis_checkpoint",
    )
    surprises: npt.NDArray[np.float32] = ply_field(
        "float32",
        "Kullback-Leibler divergence of the search's policy from the network's own, in nats; null "
        "(-1 in Python) if it is not known",
        since=3,
        default=-1,
        null=-1,
        shown="surprise",
    )
    proven: npt.NDArray[np.bool_] = ply_field(
        "bool",
        "whether the value after the search is exact: what the game is worth there if both play "
        "their best (`search.proven`, or the game's solver: `rollout.solver`)",
        since=3,
        default=False,
    )
    side_actions: npt.NDArray[np.int32] = ply_field(
        "int32",
        "a move that was not played but was searched, too; it leads to the side position of the "
        "ply, of which the columns `side_...` tell; null (-1 in Python) for none",
        since=5,
        default=-1,
        null=-1,
        shown="side_action",
    )
    side_values: npt.NDArray[np.float32] = ply_field(
        "float32",
        "value of the side position after the search, for the player to move there; 0 for none",
        since=5,
        default=0,
        low=-1,
        high=1,
        shown="side_value",
    )
    policy_offsets: npt.NDArray[np.int32]
    policy_actions: npt.NDArray[np.int32] = action_field(
        "int32", "the actions with a share in the policy target"
    )
    policy_probabilities: npt.NDArray[np.float32] = action_field(
        "float32",
        "their probabilities; shares below 0.0001 are left out, so the sum may fall a little "
        "short of 1",
        low=0,
        high=1,
        played="policy",
    )

    side_policy_offsets: npt.NDArray[np.int32] = offsets_field(default=None)
    side_policy_actions: npt.NDArray[np.int32] = action_field(
        "int32",
        "the actions with a share in the policy target of the side position",
        since=5,
        default=0,
        table="side_policy",
    )
    side_policy_probabilities: npt.NDArray[np.float32] = action_field(
        "float32",
        "their probabilities, likewise",
        since=5,
        default=0,
        low=0,
        high=1,
        played="side_policy",
        table="side_policy",
    )

    def __post_init__(self) -> None:
        """Fills in the fields that were left out."""
        fill_in(self)

    @property
    def plies(self) -> int:
        """Number of actions played."""
        return len(self.actions)

    def policy(self, ply: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Returns the policy target of one ply as actions and probabilities."""
        part = slice(self.policy_offsets[ply], self.policy_offsets[ply + 1])
        return self.policy_actions[part], self.policy_probabilities[part]

    def values(self, per: Per, index: int | None = None) -> dict[str, Any]:
        """Returns the fields that have one value a match, or a ply, as plain Python for reports.

        Args:
            per: "match" or "ply".
            index: of the ply.
        """
        return {
            field.shown: field.plain(
                getattr(self, field.name) if index is None else getattr(self, field.name)[index]
            )
            for field in FIELDS
            if field.per == per
        }


FIELDS: tuple[Field, ...] = fields_of(MatchRecord)
"""All fields, in the order of the columns of a file."""
TABLES = tuple(dict.fromkeys(field.table for field in FIELDS if field.per == "action"))
"""The lists of actions of a record, see `Field.table`."""
VERSION = max(field.since for field in FIELDS)
"""Version of the record format: that of the newest field."""


def same_content(left: Sequence[MatchRecord], right: Sequence[MatchRecord]) -> bool:
    """Returns whether two lists of records are equal in every field."""
    if len(left) != len(right):
        return False
    names = [*(field.name for field in FIELDS), *(f"{table}_offsets" for table in TABLES)]
    return all(
        np.array_equal(np.asarray(getattr(a, name)), np.asarray(getattr(b, name)))
        for a, b in zip(left, right, strict=True)
        for name in names
    )
