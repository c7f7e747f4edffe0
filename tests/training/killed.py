"""Trains a tiny run again and again, a new process for each line on standard input.

The processes are forked before JAX starts its devices, because importing takes longer than the
training. What they say on standard output: their process id, "begin" when training begins, "end"
when the run is finished; then this process says "gone".
"""

import os
import sys
from pathlib import Path

import jax
import orbax.checkpoint  # noqa: F401  (imported before the fork, for speed)

# Run as a script: what lies beside it is found by name alone.
from runs import Listener, make_run, tiny_components, train_all  # type: ignore[import-not-found]


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


class Talker(Listener):
    """Says when training first reports progress."""

    def update(self, progress: object) -> None:
        if not self.progress:
            say("begin")
            self.progress.append(progress)


def main(path: Path, updates: int) -> None:
    """Trains to the end."""
    jax.config.update("jax_num_cpu_devices", 1)
    run, components = make_run(
        path, tiny_components(), updates=updates, checkpoint_updates=4, keep_checkpoints=3
    )
    train_all(run, components, Talker())
    say("end")


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            say(str(os.getpid()))
            main(Path(line.strip()), int(sys.argv[1]))
            os._exit(0)
        os.waitpid(child, 0)
        say("gone")
