"""What one ply of many matches leaves behind, on the devices."""

from collections.abc import Iterable
from typing import Any

import jax

from selfplay.records.match import FIELDS

_COLUMNS = {field.played: field for field in FIELDS if field.played}


@jax.tree_util.register_pytree_with_keys_class
class Plies:
    """One ply of `B` matches; `SelfPlayer.play` stacks `T` of them in front.

    It has an attribute [B, ...] for each field of `selfplay.records.MatchRecord` that self-play
    gives, named and meant as there. What belongs to a whole match counts where the match is over.
    A field that nothing computes has no attribute, and records take its default. `policy` [B, A]
    is the search's improved policy, of which records keep what is not 0; `over` [B] is True where
    the match ended with this ply.

    Attributes:
        columns: all of these by name.
    """

    def __init__(self, **columns: Any) -> None:
        """Takes the columns by name, arrays of JAX or, on the host, of NumPy.

        Raises:
            TypeError: a name or a shape is not that of a field.
        """
        batch = columns["over"].shape
        for name, column in columns.items():
            if name != "over" and name not in _COLUMNS:
                raise TypeError(f"{name} is no field of match records that self-play gives")
            field = _COLUMNS.get(name)
            inner = 1 if field is not None and (field.size or field.per == "action") else 0
            if column.shape[: len(batch)] != batch or column.ndim != len(batch) + inner:
                raise TypeError(f"{name} has the shape {column.shape}, but over has {batch}")
        self.columns = columns

    @property
    def over(self) -> Any:
        """Whether each match ended with this ply."""
        return self.columns["over"]

    def __getattr__(self, name: str) -> Any:
        """Returns a column, `AttributeError` if it was not given."""
        try:
            return self.__dict__["columns"][name]
        except KeyError:
            raise AttributeError(f"these plies have no {name}") from None

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], tuple[str, ...]]:
        """Returns the columns with their names, for JAX."""
        names = tuple(self.columns)
        return [(jax.tree_util.GetAttrKey(name), self.columns[name]) for name in names], names

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], columns: Iterable[Any]) -> "Plies":
        """Returns plies of any leaves, as JAX asks for them."""
        plies = cls.__new__(cls)
        plies.columns = dict(zip(names, columns, strict=True))
        return plies
