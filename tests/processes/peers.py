"""One of several processes that train a run as one; prints what it has come to as JSON."""

import hashlib
import json
import sys

import jax

# Run as a script: what lies beside it is found by name alone.
from runs import SETTINGS, SPEC, Listener  # type: ignore[import-not-found]

from selfplay.processes.loop import train
from selfplay.processes.peers import join
from selfplay.processes.session import open_session


def main(path: str, coordinator: str, count: int, index: int, updates: int, devices: int) -> None:
    """Trains without playing, to the end."""
    jax.config.update("jax_num_cpu_devices", devices)
    if count > 1:
        join(coordinator, count=count, index=index)
    settings = {**SETTINGS, "trainer": {**SETTINGS["trainer"], "updates": updates}}
    session = open_session(path, SPEC, SPEC.make(), settings)
    listener = Listener()
    loop = train(session.run, session.parts, listener, plays=False, idle_exit_seconds=60.0)
    weights = jax.device_get(loop.state.weights)
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(weights[name].tobytes())
    document = {
        "update": loop.update,
        "positions": loop.cursor.positions,
        "devices": len(jax.devices()),
        "weights": digest.hexdigest(),
        "told": len(listener.progress),
        "total": loop.learning.losses["total"],
    }
    print(json.dumps(document))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:7]))
