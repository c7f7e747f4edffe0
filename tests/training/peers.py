"""One of several processes that train a run as one; prints what it has come to as JSON."""

import functools
import hashlib
import json
import sys

import jax

# Run as a script: what lies beside it is found by name alone.
from runs import SETTINGS, SPEC, Listener  # type: ignore[import-not-found]

from selfplay.training.process_group import join
from selfplay.training.session import open_session
from selfplay.training.trainer import train
from selfplay.training.worker_matches import WorkerMatches


def main(path: str, coordinator: str, count: int, index: int, updates: int, devices: int) -> None:
    """Trains without playing, to the end."""
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
    print(json.dumps(document))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:7]))
