"""Processes that train a run as one; each writes what it has come to as JSON.

A line on standard input has the arguments of `main` for each of them. They are forked before JAX
starts its devices, because importing takes longer than the training. Their exit codes are printed
once all have ended.
"""

import functools
import hashlib
import json
import os
import sys
from pathlib import Path

import jax
import orbax.checkpoint  # noqa: F401  (imported before the fork, for speed)

# Run as a script: what lies beside it is found by name alone.
from runs import SETTINGS, SPEC, Listener  # type: ignore[import-not-found]

from selfplay.training.process_group import join
from selfplay.training.session import open_session
from selfplay.training.trainer import train
from selfplay.training.worker_matches import WorkerMatches


def main(
    output: str, path: str, coordinator: str, count: int, index: int, updates: int, devices: int
) -> None:
    """Trains without playing, to the end, and writes the file `output`."""
    jax.config.update("jax_num_cpu_devices", devices)
    if count > 1:
        join(coordinator, count=count, index=index)
    settings = {**SETTINGS, "trainer": {**SETTINGS["trainer"], "updates": updates}}
    session = open_session(path, SPEC, SPEC.make(), settings)
    listener = Listener()
    trainer = train(
        session.run,
        session.components,
        listener,
        source=functools.partial(WorkerMatches, idle_exit_seconds=60.0),
    )
    weights = jax.device_get(trainer.state.weights)
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(weights[name].tobytes())
    document = {
        "update": trainer.update,
        "positions": trainer.cursor.positions,
        "devices": len(jax.devices()),
        "weights": digest.hexdigest(),
        "told": len(listener.progress),
        "total": trainer.learning.losses["total"],
    }
    Path(output).write_text(json.dumps(document))


def fork_on_request() -> None:
    """Forks the processes of each line and waits for them; returns in a process that has ended."""
    for line in sys.stdin:
        children = []
        for arguments in json.loads(line):
            child = os.fork()
            if child == 0:
                # The library behind the collectives speaks on standard output.
                os.dup2(2, 1)
                # Afterwards it ends as any process does: it takes leave of the others.
                main(*arguments)
                return
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(codes), flush=True)  # noqa: T201


if __name__ == "__main__":
    fork_on_request()
