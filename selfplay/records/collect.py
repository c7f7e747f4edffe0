"""From the plies that self-play returns to finished matches: the host only slices."""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from selfplay.records.match import MatchRecord

_NAMES = (
    "start_keys",
    "players",
    "actions",
    "outcomes",
    "policy",
    "root_values",
    "raw_values",
    "exploratory",
    "over",
    "truncated",
    "returns",
)
_SMALLEST_SHARE = 1e-4


@runtime_checkable
class PliesLike(Protocol):
    """`selfplay.rollout.Plies` on the host: each attribute an array [T, B, ...]."""

    start_keys: Any
    players: Any
    actions: Any
    outcomes: Any
    policy: Any
    root_values: Any
    raw_values: Any
    exploratory: Any
    over: Any
    truncated: Any
    returns: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """What every record of one player says of its origin; see `MatchRecord`."""

    game: str
    version: int
    fingerprint: str
    worker: str
    settings_hash: str
    simulations: int


class MatchCollector:
    """Keeps the plies of matches in progress and hands out each match once it has ended."""

    def __init__(self, provenance: Provenance, num_matches: int) -> None:
        """Starts with `num_matches` matches at their first ply."""
        self.provenance = provenance
        self._history: dict[str, npt.NDArray[Any]] = {}
        self._checkpoints: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._begins: npt.NDArray[np.int64] = np.zeros(num_matches, np.int64)

    def add(self, plies: PliesLike, *, checkpoint: int, sequence: int) -> list[MatchRecord]:
        """Takes in a chunk of plies and returns the matches that ended in it.

        Args:
            plies: the chunk, each attribute [T, B, ...].
            checkpoint: update number of the weights that played it.
            sequence: number of the file the matches will be written to; part of their ids.

        Returns:
            Finished matches, in the order in which they ended.
        """
        chunk = {name: np.asarray(getattr(plies, name)) for name in _NAMES}
        before = len(self._checkpoints)
        length = len(chunk["over"])
        self._history = (
            {name: np.concatenate([self._history[name], chunk[name]]) for name in _NAMES}
            if self._history
            else chunk
        )
        self._checkpoints = np.concatenate([self._checkpoints, np.full(length, checkpoint)])
        records: list[MatchRecord] = []
        for ply, slot in np.argwhere(chunk["over"]):
            last = before + int(ply)
            records.append(self._record(int(slot), last, f"{sequence:08d}-{len(records):04d}"))
            self._begins[slot] = last + 1
        self._forget(int(self._begins.min()))
        return records

    def _record(self, slot: int, last: int, number: str) -> MatchRecord:
        rows = slice(int(self._begins[slot]), last + 1)
        column = {name: values[rows, slot] for name, values in self._history.items()}
        kept = column["policy"] >= _SMALLEST_SHARE
        length = len(kept)
        origin = self.provenance
        returns = column["returns"][-1]
        return MatchRecord(
            match_id=f"{origin.worker}-{number}",
            game=origin.game,
            version=origin.version,
            fingerprint=origin.fingerprint,
            worker=origin.worker,
            first_checkpoint=int(self._checkpoints[rows.start]),
            last_checkpoint=int(self._checkpoints[last]),
            settings_hash=origin.settings_hash,
            start_key=(int(column["start_keys"][0, 0]), int(column["start_keys"][0, 1])),
            truncated=bool(column["truncated"][-1]),
            returns=(float(returns[0]), float(returns[1])),
            players=column["players"].astype(np.int8),
            actions=column["actions"].astype(np.int32),
            outcomes=column["outcomes"].astype(np.int32),
            simulations=np.full(length, origin.simulations, np.int32),
            policy_offsets=np.concatenate([[0], kept.sum(axis=1).cumsum()]).astype(np.int32),
            policy_actions=np.nonzero(kept)[1].astype(np.int32),
            policy_probabilities=column["policy"][kept].astype(np.float32),
            root_values=column["root_values"].astype(np.float32),
            raw_values=column["raw_values"].astype(np.float32),
            is_target=np.ones(length, np.bool_),
            exploratory=column["exploratory"].astype(np.bool_),
        )

    def _forget(self, count: int) -> None:
        """Drops the oldest `count` plies, which no match in progress needs."""
        self._history = {name: values[count:] for name, values in self._history.items()}
        self._checkpoints = self._checkpoints[count:]
        self._begins = self._begins - count

    @property
    def num_matches(self) -> int:
        """How many matches are in progress."""
        return len(self._begins)

    def resize(self, num_matches: int) -> None:
        """Goes on with the first `num_matches` matches in progress.

        If there are more of them than before, the new ones begin with the next ply.
        """
        kept = min(num_matches, self.num_matches)
        added = num_matches - kept

        def fitting(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            nothing = np.zeros((len(values), added, *values.shape[2:]), values.dtype)
            return np.concatenate([values[:, :kept], nothing], axis=1)

        self._history = {name: fitting(values) for name, values in self._history.items()}
        next_ply = np.full(added, len(self._checkpoints), np.int64)
        self._begins = np.concatenate([self._begins[:kept], next_ply])
        self._forget(int(self._begins.min()))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Returns everything that changes, as arrays, for a checkpoint."""
        return {
            **{f"history_{name}": values for name, values in self._history.items()},
            "checkpoints": self._checkpoints,
            "begins": self._begins.copy(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` returned."""
        prefix = "history_"
        self._history = {
            name.removeprefix(prefix): np.asarray(values)
            for name, values in state.items()
            if name.startswith(prefix)
        }
        if self._history:
            # Checkpoints from before there were games of chance have none.
            nothing = np.full_like(self._history["actions"], -1)
            self._history.setdefault("outcomes", nothing)
        self._checkpoints = np.asarray(state["checkpoints"])
        self._begins = np.array(state["begins"])
