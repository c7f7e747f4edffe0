"""From the plies that self-play plays to the records of finished matches: slicing, on the host."""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from selfplay.records.fields import Field, repeated
from selfplay.records.match import FIELDS, TABLES, MatchRecord

_FIELDS = {field.played: field for field in FIELDS if field.played}
"""The fields that self-play gives, by the attribute of `Plies` that holds them."""
_BY_NAME = {field.name: field for field in FIELDS}
SMALLEST_SHARE = 1e-4


@runtime_checkable
class PliesLike(Protocol):
    """Plies of `B` matches, as NumPy arrays [T, B, ...]: `selfplay.rollout.Plies` on the host.

    Besides `over` it has an attribute for each field of `MatchRecord` that self-play gives. One
    that is absent or None takes the default of the field.
    """

    @property
    def over(self) -> Any:
        """Whether the match ended with the ply."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """What every record of one player says of its origin; see `MatchRecord`.

    Attributes:
        game: name of the game.
        version: of the game.
        fingerprint: of the rules.
        worker: who plays.
        settings_hash: of the search and self-play settings.
        simulations: of each ply, where the plies themselves do not say.
    """

    game: str
    version: int
    fingerprint: str
    worker: str
    settings_hash: str
    simulations: int


class MatchCollector:
    """Keeps the plies of matches in progress and returns each match once it has ended."""

    def __init__(self, provenance: Provenance, num_matches: int) -> None:
        """Starts with `num_matches` matches at their first ply."""
        self.provenance = provenance
        self._history: dict[str, npt.NDArray[Any]] = {}
        self._checkpoints: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._begins: npt.NDArray[np.int64] = np.zeros(num_matches, np.int64)
        self._sequence = -1
        self._in_file = 0

    def add(self, plies: PliesLike, *, checkpoint: int, sequence: int) -> list[MatchRecord]:
        """Takes in a chunk of plies and returns the matches that ended in it.

        Args:
            plies: the chunk, each attribute [T, B, ...].
            checkpoint: update number of the weights that played it.
            sequence: number of the file the matches will be written to; part of their ids. Chunks
                in a row may share a file.

        Returns:
            Finished matches, in the order in which they ended.
        """
        if sequence != self._sequence:
            self._sequence, self._in_file = sequence, 0
        over = np.asarray(plies.over)
        before = len(self._checkpoints)
        self._append(plies, over.shape)
        self._checkpoints = np.concatenate([self._checkpoints, np.full(len(over), checkpoint)])
        records: list[MatchRecord] = []
        for ply, slot in np.argwhere(over):
            last = before + int(ply)
            records.append(self._record(int(slot), last, f"{sequence:08d}-{self._in_file:04d}"))
            self._in_file += 1
            self._begins[slot] = last + 1
        self._forget(int(self._begins.min()))
        return records

    def _append(self, plies: PliesLike, shape: tuple[int, ...]) -> None:
        """Puts a chunk of plies [T, B] behind those of the matches in progress."""
        chunk = {
            name: np.asarray(values)
            for name in _FIELDS
            if (values := getattr(plies, name, None)) is not None
        }
        held = (len(self._checkpoints), *shape[1:])
        if not held[0]:
            self._history = {}
        for name in {**self._history, **chunk} if held[0] else ():
            # A checkpoint of an older version, or another writer, may leave some out.
            for part, other, size in (
                (self._history, chunk, held),
                (chunk, self._history, shape),
            ):
                if name not in part:
                    actions = other[name].shape[2:] if _FIELDS[name].per == "action" else ()
                    part[name] = self._left_out(_FIELDS[name], size + actions)
            chunk[name] = np.concatenate([self._history[name], chunk[name]])
        self._history = chunk

    def _left_out(self, field: Field, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Returns what stands for a field of plies [T, B] that do not give it."""
        if hasattr(self.provenance, field.name):
            return np.full(shape, getattr(self.provenance, field.name), field.dtype)
        return field.left_out(shape)

    def _record(self, slot: int, last: int, number: str) -> MatchRecord:
        first = int(self._begins[slot])
        rows = slice(first, last + 1)
        history = self._history
        plies = last + 1 - first
        # Where the shares that are kept lie, counted ply after ply.
        kept = {
            table: np.flatnonzero(history[table][rows, slot] >= SMALLEST_SHARE)
            for table in TABLES
            if table in history
        }
        # A field that nobody gives takes its default.
        values: dict[str, Any] = {
            "match_id": f"{self.provenance.worker}-{number}",
            "first_checkpoint": int(self._checkpoints[first]),
            "last_checkpoint": int(self._checkpoints[last]),
        }
        for table, places in kept.items():
            actions = history[table].shape[2]
            offsets = places.searchsorted(np.arange(plies + 1) * actions)
            values[f"{table}_offsets"] = offsets.astype(np.int32)
            values[f"{table}_actions"] = (places % actions).astype(np.int32)
        for name, value in vars(self.provenance).items():
            field = _BY_NAME[name]
            if field.per == "match":
                values[name] = value
            elif field.played not in history:
                values[name] = repeated(value, plies, field)
        for played, column in history.items():
            field = _FIELDS[played]
            if field.per == "match":
                values[field.name] = field.plain(column[last, slot])
            elif field.per == "ply":
                values[field.name] = column[rows, slot].astype(field.dtype)
            else:
                shares = column[rows, slot].reshape(-1)[kept[field.table]]
                values[field.name] = shares.astype(field.dtype)
        return MatchRecord(**values)

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
        # A checkpoint of another version may hold fields that are unknown here.
        self._history = {
            name.removeprefix(prefix): np.asarray(values)
            for name, values in state.items()
            if name.startswith(prefix) and name.removeprefix(prefix) in _FIELDS
        }
        self._checkpoints = np.asarray(state["checkpoints"])
        self._begins = np.array(state["begins"])
        self._sequence = -1
