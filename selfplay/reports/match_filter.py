"""A filter of recorded matches, and of the files that cannot contain any."""

import dataclasses
from typing import Any, Literal

import pyarrow.parquet as pq

Kind = Literal["selfplay", "evaluation"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatchFilter:
    """A filter of matches; a field that is None accepts every match.

    Attributes:
        kind: of self-play or of an evaluation.
        first_checkpoint: ended by this checkpoint or a later one.
        last_checkpoint: ended by this checkpoint or an earlier one.
        result: who won.
        min_plies: at least so long.
        max_plies: at most so long.
        worker: who played it.
        opponent: of an evaluation.
    """

    kind: Kind | None = None
    first_checkpoint: int | None = None
    last_checkpoint: int | None = None
    result: Literal["first", "second", "draw"] | None = None
    min_plies: int | None = None
    max_plies: int | None = None
    worker: str | None = None
    opponent: str | None = None

    @property
    def takes_all(self) -> bool:
        """Whether it accepts every match."""
        return self == MatchFilter()

    def takes(self, row: dict[str, Any]) -> bool:
        """Returns whether it accepts the match of a summary."""
        winner = "draw"
        if row["returns"][0] != 0:
            winner = "first" if row["returns"][0] > 0 else "second"
        return (
            self.kind in (None, row["kind"])
            and self._in_range(row["last_checkpoint"], row["last_checkpoint"])
            and self.result in (None, winner)
            and (self.min_plies is None or row["plies"] >= self.min_plies)
            and (self.max_plies is None or row["plies"] <= self.max_plies)
            and self.worker in (None, row["worker"])
            and self.opponent in (None, row["opponent"])
        )

    def _in_range(self, low: int, high: int) -> bool:
        """Returns whether it may accept a checkpoint from `low` to `high`."""
        return (self.first_checkpoint is None or high >= self.first_checkpoint) and (
            self.last_checkpoint is None or low <= self.last_checkpoint
        )

    def may_hold(self, footer: pq.FileMetaData) -> bool:
        """Returns whether a file with this footer may contain an accepted match."""
        if footer.num_rows == 0:
            return False
        ranges = _ranges(footer)
        if not ranges:
            return True
        if not self._in_range(*ranges["last_checkpoint"]):
            return False
        low, high = ranges["plies"]
        return (self.min_plies is None or high >= self.min_plies) and (
            self.max_plies is None or low <= self.max_plies
        )


def _ranges(footer: pq.FileMetaData) -> dict[str, tuple[int, int]]:
    """Returns the smallest and largest value of the columns that a filter uses."""
    found: dict[str, tuple[int, int]] = {}
    for group in range(footer.num_row_groups):
        columns = footer.row_group(group)
        for number in range(columns.num_columns):
            column = columns.column(number)
            if column.path_in_schema not in ("last_checkpoint", "plies"):
                continue
            statistics = column.statistics
            if statistics is None or not statistics.has_min_max:
                return {}
            low, high = found.get(column.path_in_schema, (statistics.min, statistics.max))
            found[column.path_in_schema] = (min(low, statistics.min), max(high, statistics.max))
    return found
