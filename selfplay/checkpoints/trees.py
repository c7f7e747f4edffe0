"""Pytrees on disk, by orbax: written as plain nested dicts of arrays, read back as NumPy.

A reader needs neither the classes nor the devices of the writer. The description of the leaves
holds what orbax does not store: typed keys and arrays without elements.
"""

import errno
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from selfplay.errors import CheckpointError, StorageError
from selfplay.store.files import reserve, storage_error, storage_errors

Names = tuple[str, ...]
Description = list[dict[str, Any]]
"""Per leaf: "path" (list of names), "shape", "dtype" and, for typed keys, "key" (its kind)."""


def write_tree(directory: Path, tree: PyTree, *, name: Path) -> Description:
    """Writes the leaves of `tree` into the absent or empty `directory`.

    Not atomic and not synced: the caller writes into a temporary directory.

    Args:
        directory: where to write.
        tree: arrays, numbers and typed keys of any shapes.
        name: what `directory` will be called in the end, for messages.

    Returns:
        What `read_tree` needs to know.

    Raises:
        StorageError: the disk is full.
    """
    leaves = {names: _to_numpy(leaf) for names, leaf in flatten(tree).items()}
    description = [
        {
            "path": list(names),
            "shape": list(array.shape),
            "dtype": str(array.dtype),
            **({"key": key} if key else {}),
        }
        for names, (array, key) in leaves.items()
    ]
    directory.mkdir(exist_ok=True)
    # Orbax refuses arrays without elements; their shape and dtype say all there is.
    arrays = {names: array for names, (array, _) in leaves.items() if array.size}
    if arrays:
        # The formats of orbax add some kilobytes; random bits do not compress.
        size = sum(array.nbytes for array in arrays.values())
        reserve(directory, size + size // 4 + 256 * len(arrays) + 2**16, name=name)
        _save(directory, _nest(arrays), name)
    return description


def read_tree(directory: Path, description: Description) -> dict[Names, Any]:
    """Returns the leaves that `write_tree` wrote: NumPy arrays, and typed JAX keys.

    Raises:
        CheckpointError: they cannot be read.
    """
    stored = _restore(directory) if any(_elements(leaf) for leaf in description) else {}
    leaves: dict[Names, Any] = {}
    for leaf in description:
        names = tuple(leaf["path"])
        if _elements(leaf):
            array = _at(stored, names)
        else:
            array = np.zeros(leaf["shape"], np.dtype(leaf["dtype"]))
        kind = leaf.get("key")
        leaves[names] = array if kind is None else jax.random.wrap_key_data(array, impl=kind)
    return leaves


def check_tree(directory: Path, description: Description) -> None:
    """Reads everything that `write_tree` wrote, once.

    Raises:
        CheckpointError: it cannot be read, or an array has another shape or type.
    """
    leaves = read_tree(directory, [{**leaf, "key": None} for leaf in description])
    for leaf in description:
        array = leaves[tuple(leaf["path"])]
        written = f"{leaf['dtype']}[{','.join(map(str, leaf['shape']))}]"
        if _form(array) != written:
            raise CheckpointError(
                f"{directory} has {_dotted(tuple(leaf['path']))} as {_form(array)} instead of "
                f"{written}"
            )


def nest(leaves: Mapping[Names, Any]) -> Any:
    """Returns leaves as nested dicts; a tree that was a single leaf is that leaf."""
    return leaves[()] if () in leaves else _nest(leaves)


def into(target: PyTree, leaves: Mapping[Names, Any], *, what: str) -> Any:
    """Returns a tree built like `target` from stored leaves.

    A leaf of `target` says what its value becomes: a NumPy array, a Python number, or a JAX
    array with the sharding that a `ShapeDtypeStruct` names.

    Args:
        target: values or `ShapeDtypeStruct`s.
        leaves: what `read_tree` returned.
        what: names the tree in messages.

    Raises:
        CheckpointError: names, shapes or dtypes differ.
    """
    wanted = flatten(target)
    missing = [names for names in wanted if names not in leaves]
    surplus = [names for names in leaves if names not in wanted]
    if missing or surplus:
        parts = [f"lacks {_dotted(names)}" for names in missing[:1]]
        parts += [f"has {_dotted(names)}, which is not asked for" for names in surplus[:1]]
        raise CheckpointError(
            f"{what} {' and '.join(parts)}",
            hint="it was written with other settings: use those of its run",
        )
    for names, leaf in wanted.items():
        stored = leaves[names]
        if not isinstance(leaf, bool | int | float) and _form(stored) != _form(leaf):
            raise CheckpointError(
                f"{what} has {_dotted(names)} as {_form(stored)}, but {_form(leaf)} is asked for",
                hint="it was written with other settings: use those of its run",
            )
    values = [_like(leaf, leaves[names]) for names, leaf in wanted.items()]
    return jax.tree.unflatten(jax.tree.structure(target), values)


def flatten(tree: PyTree) -> dict[Names, Any]:
    """Returns the leaves of `tree` by the names on their path, in the order of its leaves."""
    leaves: dict[Names, Any] = {}
    dotted = set()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        names = tuple(jax.tree_util.keystr((entry,), simple=True) for entry in path)
        # Orbax joins names by dots, so "a.b" and "a" / "b" would share a file.
        if _dotted(names) in dotted:
            raise ValueError(f"two leaves of a tree are both called {_dotted(names)}")
        dotted.add(_dotted(names))
        leaves[names] = leaf
    return leaves


def _to_numpy(leaf: Any) -> tuple[np.ndarray, str]:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(leaf)), str(jax.random.key_impl(leaf))
    return np.asarray(leaf), ""


def _elements(leaf: Mapping[str, Any]) -> bool:
    return 0 not in leaf["shape"]


def _form(leaf: Any) -> str:
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"


def _like(leaf: Any, value: Any) -> Any:
    if isinstance(leaf, bool | int | float):
        return type(leaf)(value.item())
    if isinstance(leaf, np.generic):
        return value[()]
    if isinstance(leaf, np.ndarray) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return value
    sharding = leaf.sharding if isinstance(leaf, jax.ShapeDtypeStruct) else None
    if sharding is not None:
        return jax.device_put(value, sharding)
    # A copy, because a donated buffer must not be shared with NumPy.
    return jnp.array(value, copy=True)


def _dotted(names: Names) -> str:
    return ".".join(names) or "its value"


_SINGLE = "value"
"""The name under which a tree that is a single leaf is stored."""


def _nest(leaves: Mapping[Names, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for names, leaf in leaves.items():
        *parents, last = names or (_SINGLE,)
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = leaf
    return tree


def _at(tree: Mapping[str, Any], names: Names) -> Any:
    node: Any = tree
    for name in names or (_SINGLE,):
        node = node[name]
    return node


def _save(directory: Path, tree: dict[str, Any], name: Path) -> None:
    # Orbax takes a third of a second to import, which `selfplay --help` need not wait for.
    import orbax.checkpoint as ocp
    from etils import epath

    # The handler alone, because temporary names and renaming are our own business, for all items
    # of a checkpoint together. OCDBT puts small arrays together in few files: fewer fsyncs.
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=True, use_zarr3=True)
    with _quiet(), _plain_path(directory) as plain:
        try:
            handler.save(epath.Path(plain), args=ocp.args.PyTreeSave(tree))
            handler.finalize(epath.Path(plain))
        except ValueError as error:
            # TensorStore reports a full disk as a ValueError with this code.
            if "RESOURCE_EXHAUSTED" in str(error) or "No space left" in str(error):
                raise storage_error(name, OSError(errno.ENOSPC, "")) from error
            raise
        finally:
            handler.close()


def _restore(directory: Path) -> Any:
    import orbax.checkpoint as ocp
    from etils import epath

    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=True, use_zarr3=True)
    with _quiet(), _plain_path(directory) as plain:
        try:
            return handler.restore(epath.Path(plain))
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise CheckpointError(
                f"{directory} cannot be read: {str(error).splitlines()[0][:200]}"
            ) from error
        finally:
            handler.close()


_PLAIN = re.compile(r"[A-Za-z0-9_./@:+=,~ -]+")


@contextmanager
def _plain_path(directory: Path) -> Iterator[Path]:
    """Yields another path of a directory, which orbax and TensorStore take literally.

    Orbax finds its own files by patterns: "[1]", "?" or "*" anywhere in the path would match
    other directories or none. TensorStore takes a backslash for a slash and only UTF-8.
    """
    path = directory.absolute()
    if _PLAIN.fullmatch(str(path)):
        yield path
        return
    with (
        storage_errors(Path(tempfile.gettempdir())),
        tempfile.TemporaryDirectory(prefix="selfplay-", dir=_plain_temporary_directory()) as folder,
    ):
        link = Path(folder) / "tree"
        link.symlink_to(path, target_is_directory=True)
        yield link


def _plain_temporary_directory() -> str:
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):
        if _PLAIN.fullmatch(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise StorageError(
        f"{tempfile.gettempdir()}, the directory for temporary files, has a special character in "
        "its path",
        hint="set TMPDIR to a directory whose path has letters, digits, dashes and dots alone",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps orbax from logging the tracebacks of errors that it raises as well."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
