"""The decorator with which a game declares its state."""

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def pytree(cls: type[T]) -> type[T]:
    """Registers `cls` as a frozen dataclass pytree, every field a child.

    Unflattening skips `__init__`, so a field may be annotated with its unbatched shape: the
    annotation is checked where a state is built, never when JAX rebuilds one around tracers,
    `ShapeDtypeStruct`s or an extra batch axis. Use `dataclasses.replace` only where the fields
    have their annotated shapes, that is inside `jax.vmap`.

    >>> import jax
    >>> from jaxtyping import Array, Int32
    >>> @pytree
    ... class Pile:
    ...     stones: Int32[Array, ""]
    >>> [int(leaf) for leaf in jax.tree.leaves(Pile(stones=jax.numpy.int32(7)))]
    [7]
    """
    cls = dataclasses.dataclass(frozen=True)(cls)
    names = tuple(field.name for field in dataclasses.fields(cls))  # type: ignore[arg-type]

    def flatten_with_keys(node: Any) -> tuple[tuple[Any, ...], None]:
        return tuple((jax.tree_util.GetAttrKey(name), getattr(node, name)) for name in names), None

    def unflatten(_: None, leaves: Iterable[Any]) -> Any:
        node = object.__new__(cls)
        for name, leaf in zip(names, leaves, strict=True):
            object.__setattr__(node, name, leaf)
        return node

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten)
    return cls
