"""From a compiled program to a function on the host and back, a whole batch at a time."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental.buffer_callback import buffer_callback
from jaxtyping import Array

from selfplay.errors import SelfplayError

# JAX prints the whole traceback of a callback; what a user's game did wrong is said in two lines.
logging.getLogger("jax._src.callback").addFilter(
    lambda record: not (record.exc_info and isinstance(record.exc_info[1], SelfplayError))
)

HostFunction = Callable[..., Sequence[np.ndarray]]
"""Arrays [B, ...] in, arrays [B, ...] out."""


def call_host(
    function: HostFunction, outputs: Sequence[jax.ShapeDtypeStruct], *arguments: Array
) -> list[Array]:
    """Calls `function` on the host, once for everything that `jax.vmap` put side by side.

    Args:
        function: given NumPy arrays with one batch axis in front; returns as many as `outputs`,
            with the same axis in front.
        outputs: shapes and types of one result, without a batch axis.
        arguments: of one call, without a batch axis.
    """
    ranks = [argument.ndim for argument in arguments]

    def flattened(values: Sequence[Any]) -> tuple[list[np.ndarray], tuple[int, ...]]:
        arrays = [np.asarray(value) for value in values]
        batch = arrays[0].shape[: arrays[0].ndim - ranks[0]]
        return [
            array.reshape(-1, *array.shape[len(batch) :]) if batch else array[None]
            for array in arrays
        ], batch

    if jax.default_backend() == "cpu":
        # Works on the program's own memory. `jax.pure_callback` copies every argument through the
        # threads that are busy with the program: slower by far, and above 100 KiB it can wait
        # for itself forever.
        def in_place(context: object, out: Sequence[Any], *values: Any) -> None:
            del context
            arrays, _ = flattened(values)
            for target, found in zip(out, function(*arrays), strict=True):
                view = np.asarray(target)
                view[...] = found.reshape(view.shape)

        found = buffer_callback(in_place, list(outputs), vmap_method="broadcast_all")(*arguments)
        return list(found)

    def copied(*values: Any) -> list[np.ndarray]:
        arrays, batch = flattened(values)
        return [
            result.reshape((*batch, *output.shape)).astype(output.dtype)
            for result, output in zip(function(*arrays), outputs, strict=True)
        ]

    return list(jax.pure_callback(copied, list(outputs), *arguments, vmap_method="broadcast_all"))
