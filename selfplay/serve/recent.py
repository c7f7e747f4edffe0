"""A table of limited size that keeps what was used last."""

import collections
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Keeps the values that were used last and drops the others. The caller locks it."""

    def __init__(self, most: int, *, on_drop: Callable[[V], None] = lambda value: None) -> None:
        """Creates an empty table.

        Args:
            most: values that are kept, at least 1.
            on_drop: called with each value that is dropped.
        """
        self._most = most
        self._on_drop = on_drop
        self._values: collections.OrderedDict[K, V] = collections.OrderedDict()

    def __len__(self) -> int:
        """Returns how many values are kept now."""
        return len(self._values)

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Returns the value of a key, made if it is missing."""
        if key not in self._values:
            self.put(key, make())
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: K, value: V) -> None:
        """Sets the value of a key; the key counts as used now."""
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            _, oldest = self._values.popitem(last=False)
            self._on_drop(oldest)
