"""A trainer of several processes: they agree on each step, and the first process writes."""

import contextlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from selfplay.errors import RunError
from selfplay.training.rendezvous import address, is_loopback, meet

_SMALLEST = 1024
_LOST = ("Gloo", "gloo", "NCCL", "nccl", "UNAVAILABLE", "coordination", "Connection")
"""In what JAX says when another process is gone."""


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

    def any(self, flag: bool) -> bool:
        """Returns in every process whether `flag` holds in one of them; all must call it."""
        if self.count == 1:
            return flag
        return bool(np.asarray(multihost_utils.process_allgather(np.bool_(flag))).any())


def join(coordinator: str, *, count: int, index: int) -> None:
    """Makes this process one of several that train as one; call it before JAX starts its devices.

    Args:
        coordinator: "HOST:PORT" of the first process, which listens there.
        count: how many processes there are; one needs no other and opens no port.
        index: which of them this is, from 0.

    Raises:
        ConfigError: the processes were started with different numbers or versions.
        RunError: one of them does not come in time.
    """
    host, _ = address(coordinator)
    if count == 1:
        return
    meet(coordinator, count=count, index=index)
    # CPUs have no collectives of their own; on accelerators this changes nothing.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # It would take SIGTERM, at which a trainer saves.
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(
        coordinator_address=coordinator,
        num_processes=count,
        process_id=index,
        # Under Slurm JAX would use one GPU of a process that has several.
        cluster_detection_method="deactivate",
        coordinator_bind_address=coordinator if is_loopback(host) else None,
    )


@contextlib.contextmanager
def lost_members() -> Iterator[None]:
    """Turns what JAX raises when another process of the trainer is gone into an error for people.

    Raises:
        RunError: another process is gone; none can continue without it.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        said = str(error)
        if jax.process_count() == 1 or not any(word in said for word in _LOST):
            raise
        raise RunError(
            "another process of the trainer has ended, and none can continue without it",
            hint="start all of them again: they go on from the newest checkpoint",
        ) from error
