"""The processes of a run under test: real commands, forked from one that has imported everything.

    python -m benchmarks.faults.processes FOLDER

Each line of JSON on standard input starts a command; its process id is printed. Importing takes
longer than what the commands do, so they are forked, before JAX's devices are started.
"""

import errno
import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

SETTINGS = (
    "network.kind=mlp",
    "network.blocks=1",
    "network.channels=8",
    "search.num_simulations=4",
    "search.max_considered_actions=4",
    "rollout.matches_per_device=4",
    "rollout.plies_per_chunk=4",
    "replay.first_positions=100",
    "replay.min_window=300",
    "replay.max_window=600",
    "learner.batch_size=16",
    "learner.schedule=constant",
    "learner.next_policy_weight=0",
    "trainer.replay_ratio=1",
    "trainer.checkpoint_seconds=1",
    "trainer.keep_checkpoints=3",
    "trainer.max_backlog=400",
    "evaluation.opponents=random",
    "evaluation.matches=4",
    "evaluation.simulations=2",
)
ROLES = {
    "trainer": ("trainer", "--game", "tic_tac_toe", *(f"--set={one}" for one in SETTINGS)),
    "worker a": ("worker", "--id", "a", "--jitter", "0.2"),
    "worker b": ("worker", "--id", "b", "--jitter", "0.2"),
    "evaluator": ("evaluator", "--id", "e"),
}
_CHUNK_PAUSE_SECONDS = 0.05


def fork_on_request(folder: Path) -> None:
    """Forks a process for each line of JSON on standard input and prints its process id.

    While the file FOLDER/full exists, every sync to disk fails as on a full disk. Each file of
    matches whose storing is confirmed to its worker is listed in FOLDER/confirmed.
    """
    # Imported before the fork; nothing here starts a device.
    import jax
    import orbax.checkpoint  # noqa: F401

    from selfplay import startup
    from selfplay.cli.main import main
    from selfplay.run import MatchFiles
    from selfplay.runtime.playing import Playing
    from selfplay.training import session, trainer  # noqa: F401
    from selfplay.workers import evaluator, worker  # noqa: F401

    def prepare(**_: object) -> None:
        jax.config.update("jax_num_cpu_devices", 1)
        jax.config.update("jax_compilation_cache_dir", str(folder / "programs"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

    startup.prepare = prepare
    fsync, full = os.fsync, folder / "full"

    def fsync_on_a_full_disk(descriptor: int) -> None:
        if full.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    os.fsync = fsync_on_a_full_disk  # type: ignore[assignment]
    put, chunk = MatchFiles.put_encoded, Playing.chunk

    def confirmed_put(self: MatchFiles, name: str, sequence: int, data: bytes) -> bool:
        stored = put(self, name, sequence, data)
        if stored:
            line = f"{name} {sequence} {hashlib.sha256(data).hexdigest()}\n"
            descriptor = os.open(folder / "confirmed", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, line.encode())
            os.close(descriptor)
        return stored

    def slow_chunk(self: Playing, *arguments: Any, **named: Any) -> Any:
        finished = chunk(self, *arguments, **named)
        time.sleep(_CHUNK_PAUSE_SECONDS)
        return finished

    MatchFiles.put_encoded = confirmed_put  # type: ignore
    Playing.chunk = slow_chunk  # type: ignore[method-assign]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child:
            print(child, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        turn_clock(float(order["skew"]))
        sys.argv = ["selfplay", *order["arguments"]]
        status: Any = 1
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        finally:
            os.write(log, f"exit {status}\n".encode())
            os._exit(int(status))


def turn_clock(seconds: float) -> None:
    """Puts the clock of this process wrong."""
    now = time.time
    time.time = lambda: now() + seconds


if __name__ == "__main__":
    fork_on_request(Path(sys.argv[1]))
