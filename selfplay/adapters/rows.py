"""Calls the rules of a plain-Python game for a whole batch: arrays in, arrays out.

Rows identify positions by their moves. The results are the same in this process and in another one
(`selfplay.adapters.pool`).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from selfplay.adapters.python_game import PythonGame
from selfplay.adapters.tree import HostTree, Moves, Node
from selfplay.errors import GameContractError


class Kind(NamedTuple):
    """Shape and type of one row of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


class HostRows:
    """Computes results for many positions at once.

    Attributes:
        tree: finds the positions and asks the rules.
        targets: what one row of each auxiliary target is, by name.
        takes: types of the arguments of each request; a row of "moves" has any length.
        gives: type of one row of each result.
    """

    def __init__(self, tree: HostTree) -> None:
        """Calls nothing yet."""
        self.tree = tree
        self._unseen: GameContractError | None = None
        self.targets = auxiliary_kinds(tree)
        flag, number = np.dtype(np.bool_), np.dtype(np.int32)
        moves = {"starts": np.dtype(np.uint32), "lengths": number, "moves": tree.dtype}
        answer = [
            Kind((tree.legal_bytes,), np.dtype(np.uint8)),
            Kind((), np.dtype(np.int8)),
            Kind((), flag),
            Kind((), np.dtype(np.float32)),
        ]
        seen = Kind(tree.observation_shape, np.dtype(np.float32))
        self.takes: dict[str, dict[str, np.dtype[np.generic]]] = {
            "init": {"starts": moves["starts"]},
            "step": {**moves, "entries": number, "meant": flag},
            "observe": {**moves, "views": np.dtype(np.uint8)},
            "auxiliary": {
                **moves,
                "views": np.dtype(np.uint8),
                "final_lengths": number,
                "final_moves": tree.dtype,
            },
            "chance": {**moves, "meant": flag},
            "resolve": {**moves, "entries": number, "meant": flag},
        }
        self.gives: dict[str, list[Kind]] = {
            "init": answer,
            "step": answer,
            "observe": [seen],
            "auxiliary": list(self.targets.values()),
            "chance": [Kind((tree.outcomes,), np.dtype(np.float32))],
            "resolve": [Kind((), flag), *answer],
        }

    def ask(self, question: str, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        """Returns the results of "init", "step", "observe", "chance" and so on.

        Args:
            question: a key of `takes`.
            arrays: as `takes` says, all with one row per position.

        Raises:
            GameContractError: the rules break their contract.
        """
        found: Sequence[np.ndarray] = getattr(self, f"_{question}")(*arrays)
        return found

    def _init(self, starts: np.ndarray) -> Sequence[np.ndarray]:
        self._raise_unseen()
        return self._answers([self.tree.node((start, b"")) for start in starts.tolist()])

    def _step(
        self,
        starts: np.ndarray,
        lengths: np.ndarray,
        moves: np.ndarray,
        entries: np.ndarray,
        meant: np.ndarray,
    ) -> Sequence[np.ndarray]:
        self._raise_unseen()
        nodes: list[Node | None] = [None] * len(starts)
        for row, path in self._paths(starts, lengths, moves, meant):
            nodes[row] = self.tree.child(path, int(entries[row]))
        return self._answers(nodes)

    def _observe(
        self, starts: np.ndarray, lengths: np.ndarray, moves: np.ndarray, views: np.ndarray
    ) -> Sequence[np.ndarray]:
        seen = np.empty((len(starts), *self.tree.observation_shape), np.float32)
        for row, path in self._paths(starts, lengths, moves, np.ones(len(starts), np.bool_)):
            try:
                seen[row] = self.tree.observation_of_image(path, int(views[row]))
            except GameContractError as error:
                # In the learner other devices wait for this one, and an exception here would leave
                # them waiting forever. The next step of any match raises it.
                seen[row] = np.nan
                self._unseen = error
        return [seen]

    def _auxiliary(
        self,
        starts: np.ndarray,
        lengths: np.ndarray,
        moves: np.ndarray,
        views: np.ndarray,
        final_lengths: np.ndarray,
        final_moves: np.ndarray,
    ) -> Sequence[np.ndarray]:
        count = len(starts)
        all_rows = np.ones(count, np.bool_)
        found = {
            name: np.full((count, *kind.shape), np.nan, np.float32)
            for name, kind in self.targets.items()
        }
        finals = self._paths(starts, final_lengths, final_moves, all_rows)
        for (row, path), (_, final) in zip(
            self._paths(starts, lengths, moves, all_rows), finals, strict=True
        ):
            try:
                told = self.tree.auxiliary(path, final, int(views[row]))
                shapes = {name: Kind(array.shape, array.dtype) for name, array in told.items()}
                if shapes != self.targets:
                    self.tree.refuse(
                        path, "auxiliary_targets changes its names or shapes", rule="auxiliary"
                    )
            except GameContractError as error:
                self._unseen = error  # as above
                continue
            for name, target in told.items():
                found[name][row] = target
        return list(found.values())

    def _chance(
        self, starts: np.ndarray, lengths: np.ndarray, moves: np.ndarray, meant: np.ndarray
    ) -> Sequence[np.ndarray]:
        likely = np.zeros((len(starts), self.tree.outcomes), np.float32)
        for row, path in self._paths(starts, lengths, moves, meant):
            chance = self.tree.node(path).chance
            if chance is not None:
                likely[row] = chance
        return [likely]

    def _resolve(
        self,
        starts: np.ndarray,
        lengths: np.ndarray,
        moves: np.ndarray,
        entries: np.ndarray,
        meant: np.ndarray,
    ) -> Sequence[np.ndarray]:
        # Compiled programs resolve everything: the rules are asked for what can come up alone.
        (likely,) = self._chance(starts, lengths, moves, meant)
        drawn = meant & (likely[np.arange(len(starts)), entries * meant] > 0)
        return [drawn, *self._step(starts, lengths, moves, entries, drawn)]

    def _paths(
        self, starts: np.ndarray, lengths: np.ndarray, moves: np.ndarray, meant: np.ndarray
    ) -> Iterator[tuple[int, Moves]]:
        """Yields the rows that are meant, and the moves to the position of each."""
        width = self.tree.dtype.itemsize
        for row in np.flatnonzero(meant).tolist():
            yield row, (int(starts[row]), moves[row].tobytes()[: width * int(lengths[row])])

    def _raise_unseen(self) -> None:
        error, self._unseen = self._unseen, None
        if error is not None:
            raise error

    def _answers(self, nodes: Sequence[Node | None]) -> list[np.ndarray]:
        """Returns what compiled programs carry of each position; zeros where there is none."""
        nothing = bytes(self.tree.legal_bytes)
        legal = b"".join(nothing if node is None else node.legal for node in nodes)
        return [
            np.frombuffer(legal, np.uint8).reshape(len(nodes), -1),
            np.array([0 if node is None else node.player for node in nodes], np.int8),
            np.array([False if node is None else node.terminal for node in nodes], np.bool_),
            np.array([0.0 if node is None else node.result for node in nodes], np.float32),
        ]


def auxiliary_kinds(tree: HostTree) -> dict[str, Kind]:
    """Returns what the auxiliary targets of a game are, by name; none if it has none."""
    if type(tree.rules).auxiliary_targets is PythonGame.auxiliary_targets:
        return {}
    # The first position will do as the end of a match: shapes never change.
    first: Moves = (0, b"")
    told = tree.auxiliary(first, first, 0)
    return {name: Kind(array.shape, array.dtype) for name, array in told.items()}


def packed(arrays: Sequence[npt.NDArray[np.generic]]) -> bytes:
    """Returns arrays as the bytes of one after the other."""
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def unpacked(data: bytes | bytearray, rows: int, kinds: Sequence[Kind]) -> list[np.ndarray]:
    """Returns what `packed` made bytes of."""
    found = []
    begin = 0
    for kind in kinds:
        size = rows * int(np.prod(kind.shape, dtype=np.int64))
        array = np.frombuffer(data, kind.dtype, size, begin)
        found.append(array.reshape(rows, *kind.shape))
        begin += size * kind.dtype.itemsize
    return found
