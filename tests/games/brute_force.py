"""Exact values by trying everything that can follow, many positions at once, by the rules alone."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.game import Game

CHUNK = 1024


class Everything:
    """All positions that can follow some positions of a game.

    Values are those of player 0 throughout: player 0 takes the highest and player 1 the lowest, so
    that no sign can be mistaken. Nothing is shared with a solver but the rules.
    """

    def __init__(self, game: Game[Any], states: Any, *, most: int = 400_000) -> None:
        """Finds what follows `states`, which have a leading axis; refuses more than `most`."""
        self._game = game
        leaves, structure = jax.tree.flatten(states)
        frontier = [np.asarray(leaf) for leaf in leaves]
        self._numbers: dict[bytes, int] = {}
        self._replies: list[list[tuple[int, int]]] = []
        self._movers: list[int] = []
        self._results: list[float] = []
        self._values: dict[int, float] = {}
        names, frontier = self._new(frontier)
        self.roots = [self._numbers[name] for name in names]
        expand = jax.jit(jax.vmap(functools.partial(_look, game)))
        done = 0
        while len(frontier[0]):
            found: list[list[np.ndarray]] = []
            for begin in range(0, len(frontier[0]), CHUNK):
                part = [leaf[begin : begin + CHUNK] for leaf in frontier]
                size = len(part[0])
                padded = [np.resize(leaf, (CHUNK, *leaf.shape[1:])) for leaf in part]
                seen = jax.device_get(expand(jax.tree.unflatten(structure, padded)))
                self._movers += seen["player"][:size].tolist()
                self._results += seen["result"][:size].tolist()
                legal = seen["legal"][:size]
                children = [leaf[:size][legal] for leaf in jax.tree.leaves(seen["children"])]
                rows, actions = np.nonzero(legal)
                names, new = self._new(children)
                assert len(self._numbers) <= most, f"{len(self._numbers)} positions are too many"
                self._replies += [[] for _ in range(size)]
                for row, action, name in zip(rows.tolist(), actions.tolist(), names, strict=True):
                    self._replies[done + row].append((action, self._numbers[name]))
                done += size
                found.append(new)
            frontier = [np.concatenate(parts) for parts in zip(*found, strict=True)]

    def __len__(self) -> int:
        return len(self._numbers)

    def solution(self, root: int) -> tuple[float, set[int]]:
        """Returns the value of given position `root` for its mover, and all best moves."""
        number = self.roots[root]
        sign = 1.0 if self._movers[number] == 0 else -1.0
        values = {action: sign * self._value(after) for action, after in self._replies[number]}
        best = max(values.values())
        return best, {action for action, value in values.items() if value == best}

    def _value(self, number: int) -> float:
        if number not in self._values:
            replies = [self._value(after) for _, after in self._replies[number]]
            best = max if self._movers[number] == 0 else min
            self._values[number] = best(replies) if replies else self._results[number]
        return self._values[number]

    def _new(self, leaves: Sequence[np.ndarray]) -> tuple[list[bytes], list[np.ndarray]]:
        """Returns the names of positions, and those positions that were not known before."""
        count = len(leaves[0])
        if not count:
            return [], list(leaves)
        rows = np.concatenate(
            [np.ascontiguousarray(leaf).reshape(count, -1).view(np.uint8).reshape(count, -1)
             for leaf in leaves], axis=1,
        )  # fmt: skip
        names = [row.tobytes() for row in rows]
        fresh = []
        for index, name in enumerate(names):
            if name not in self._numbers:
                self._numbers[name] = len(self._numbers)
                fresh.append(index)
        return names, [leaf[fresh] for leaf in leaves]


def _look(game: Game[Any], state: Any) -> dict[str, Any]:
    actions = jnp.arange(game.num_actions, dtype=jnp.int32)
    return {
        "legal": game.legal_action_mask(state) & ~game.is_terminal(state),
        "player": game.current_player(state),
        "result": game.returns(state)[0],
        "children": jax.vmap(lambda action: game.step(state, action))(actions),
    }
