"""A trainer of several processes: they agree on each step, and the first process writes."""

import contextlib
import json
from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

_SMALLEST = 1024


class ProcessGroup:
    """The processes of one trainer; usually there is only one.

    All of them must make the same updates, but each has its own clock, sees the store at its own
    time and gets its own signals. So the first process decides for all.
    """

    def __init__(self) -> None:
        """Asks JAX for the number of processes."""
        self.count = jax.process_count()
        self.index = jax.process_index()

    @property
    def leads(self) -> bool:
        """Whether this process decides and writes."""
        return self.index == 0

    def first(self, context: AbstractContextManager[None]) -> AbstractContextManager[None]:
        """Returns `context` in the first process and an empty one in the others."""
        return context if self.leads else contextlib.nullcontext()

    def agree(self, document: Any) -> Any:
        """Returns the document of the first process in every process; it is anything JSON can hold.

        All processes must call it equally often. The documents of the others are ignored.
        """
        if self.count == 1:
            return document
        text = json.dumps(document if self.leads else None).encode()
        length = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
        # Sizes are powers of two, because each size is compiled.
        size = max(_SMALLEST, 1 << (length - 1).bit_length())
        buffer = np.zeros(size, np.uint8)
        if self.leads:
            buffer[:length] = np.frombuffer(text, np.uint8)
        shared = np.asarray(multihost_utils.broadcast_one_to_all(buffer))
        return json.loads(shared[:length].tobytes())


def join(coordinator: str, *, count: int, index: int) -> None:
    """Makes this process one of several that train as one; call it before JAX starts its devices.

    Args:
        coordinator: "HOST:PORT" of the first process, which listens there.
        count: how many processes there are.
        index: which of them this is, from 0.
    """
    # CPUs have no collectives of their own; on accelerators this changes nothing.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        coordinator_address=coordinator, num_processes=count, process_id=index
    )
