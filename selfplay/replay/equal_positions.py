"""Which positions of the window are equal: openings, above all, come back in many matches."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jaxtyping import Int64, PyTree

_FEWEST = 1024


class EqualPositions:
    """Finds the newest positions that equal given ones.

    Positions have numbers: 0 is the first that was ever added, and the ring holds the newest.
    Equal are those whose states are equal in every bit.
    """

    def __init__(self, ring: int) -> None:
        """Makes room for the newest `ring` positions."""
        self._ring = ring
        self._names = np.zeros(ring, np.int64)
        self._previous = np.full(ring, -1, np.int64)
        self._newest: dict[int, int] = {}

    def add(self, numbers: Int64[np.ndarray, " n"], states: PyTree) -> None:
        """Adds positions.

        Args:
            numbers: ascending, all higher than those added before.
            states: of these, leaves [n, ...].
        """
        names = digests(states)
        newest = self._newest
        previous = np.empty_like(names)
        for row, (name, number) in enumerate(zip(names.tolist(), numbers.tolist(), strict=True)):
            previous[row] = newest.get(name, -1)
            newest[name] = number
        slots = numbers % self._ring
        self._names[slots], self._previous[slots] = names, previous
        if len(newest) > 2 * max(self._ring, _FEWEST):
            oldest = int(numbers[-1]) - self._ring
            self._newest = {name: number for name, number in newest.items() if number > oldest}

    def newest(
        self, numbers: Int64[np.ndarray, " B"], *, oldest: int, most: int
    ) -> Iterator[Int64[np.ndarray, " B"]]:
        """Yields the newest position equal to each of the given ones, then the next newest, ...

        Args:
            numbers: of positions in the ring.
            oldest: no position with a lower number is yielded.
            most: how many times at most.

        Yields:
            For each of the `B` a number, -1 where there are no more.
        """
        heads = (self._newest[name] for name in self._names[numbers % self._ring].tolist())
        found = np.fromiter(heads, np.int64, len(numbers))
        for _ in range(most):
            found = np.where(found >= oldest, found, -1)
            if (found < 0).all():
                return
            yield found
            # The slot of -1 is any slot; what it says does not count.
            found = np.where(found >= 0, self._previous[found % self._ring], -1)


def digests(states: PyTree) -> Int64[np.ndarray, " n"]:
    """Returns 64 bits for each of `n` states; equal states, equal bits."""
    rows = [_bytes(np.asarray(leaf)) for leaf in jax.tree.leaves(states)]
    joined = np.concatenate(rows, axis=1)
    joined = np.pad(joined, ((0, 0), (0, -joined.shape[1] % 8)))
    words = np.ascontiguousarray(joined).view(np.uint64)
    factors = np.random.default_rng(0).integers(0, 2**64, words.shape[1] + 1, np.uint64)
    # Each word is mixed before it is multiplied, so that low bits reach high ones and back.
    mixed = (words ^ (words >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    sums = (mixed * (factors[1:] | np.uint64(1))).sum(axis=1, dtype=np.uint64)
    sums ^= sums >> np.uint64(32)
    return (sums * (factors[0] | np.uint64(1))).view(np.int64)


def _bytes(leaf: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Returns the bytes of each row."""
    flat = np.ascontiguousarray(leaf.reshape(leaf.shape[0], -1))
    return flat.view(np.uint8).reshape(leaf.shape[0], -1)
