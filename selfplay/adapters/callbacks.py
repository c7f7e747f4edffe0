"""From a compiled program to a function on the host and back, a whole batch at a time."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from selfplay.errors import SelfplayError
from selfplay.host_call import call_host, enrol

# JAX prints the whole traceback of a callback; an error in a user's game needs only two lines.
logging.getLogger("jax._src.callback").addFilter(
    lambda record: not (record.exc_info and isinstance(record.exc_info[1], SelfplayError))
)

HostFunction = Callable[..., Sequence[np.ndarray]]
"""Takes arrays [B, ...] and returns arrays [B, ...]."""


class HostQuestion:
    """A host function that compiled programs call, once for a whole batch of `jax.vmap`."""

    def __init__(self, function: HostFunction, outputs: Sequence[jax.ShapeDtypeStruct]) -> None:
        """Registers the function for programs, as long as this object exists.

        Args:
            function: given NumPy arrays with one batch axis in front, which it must not change;
                returns as many as `outputs`, with the same axis in front.
            outputs: shapes and types of one result, without a batch axis.
        """
        self._function = function
        self._outputs = list(outputs)
        # Programs hold only the number, which keeps nothing alive.
        self._call = self._answer
        self._number = enrol(self._call)

    def __call__(self, *arguments: Array) -> list[Array]:
        """Returns the results for the arguments of one call, of which the first is a scalar."""
        if jax.default_backend() == "cpu":
            # Works on the program's own memory. `jax.pure_callback` copies every argument through
            # the threads that are busy with the program: slower by far, and above 100 KiB it can
            # wait for itself forever.
            # Not awaited: an error in a user's game is reported once, in two lines.
            return list(call_host(self._number, self._outputs, *arguments, awaited=False))
        return list(
            jax.pure_callback(self._call, self._outputs, *arguments, vmap_method="broadcast_all")
        )

    def _answer(self, *values: Any) -> list[np.ndarray]:
        """Merges all batch axes into one, and splits the results again."""
        arrays = [np.asarray(value) for value in values]
        batch = arrays[0].shape
        found = self._function(*(array.reshape(-1, *array.shape[len(batch) :]) for array in arrays))
        return [
            result.reshape((*batch, *output.shape)).astype(output.dtype)
            for result, output in zip(found, self._outputs, strict=True)
        ]
