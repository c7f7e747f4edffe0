"""How long a trainer takes to go on with a full replay window.

    python benchmarks/restart.py /tmp/restart --positions 500000

Plays Connect Four with a tiny network, so that the matches are many and real; takes them in, saves
a checkpoint, and starts the trainer again in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SETTINGS: dict[str, dict[str, Any]] = {
    "network": {"kind": "mlp", "blocks": 1, "channels": 8},
    "search": {"num_simulations": 2, "max_considered_actions": 2},
    "rollout": {"matches_per_device": 128, "plies_per_chunk": 8},
    "learner": {"next_policy_weight": 0.0},
    "evaluation": {"enabled": False},
    "trainer": {"max_backlog": 10_000_000},
}


def fill(path: Path, positions: int) -> dict[str, float]:
    """Makes a run whose window holds so many positions; returns what it is made of."""
    import jax

    from selfplay import startup
    from selfplay.registry import GameSpec
    from selfplay.runtime.playing import Playing
    from selfplay.training.learning import Learning
    from selfplay.training.run_keys import run_keys
    from selfplay.training.session import open_session

    startup.prepare()
    spec = GameSpec("connect_four")
    replay = {"min_window": positions, "max_window": positions}
    session = open_session(path, spec, spec.make(), {**SETTINGS, "replay": replay})
    run, components = session.run, session.components
    learning = Learning(run, components)
    keys = run_keys(components.config.trainer.seed)
    playing = Playing(
        components, components.provenance(run, "w"), start_key=keys.start, play_key=keys.play
    )
    sequence = 0
    while learning.cursor.positions < positions:
        finished = playing.chunk(learning.state.average, update=0, sequence=sequence)
        if finished:
            run.matches.put("w", sequence, finished)
            learning.take_in("w", sequence, finished)
            sequence += 1
    jax.block_until_ready(learning.state)
    learning.save({})
    return {"files": sequence, "matches": learning.cursor.matches}


def restart(path: Path) -> dict[str, float]:
    """Returns the seconds until a trainer of the run can go on, from the start of its process."""
    begin = time.monotonic()
    from selfplay import startup
    from selfplay.run import RunDirectory
    from selfplay.telemetry import PlainReporter
    from selfplay.training.session import open_session
    from selfplay.training.trainer import Trainer
    from selfplay.training.worker_matches import WorkerMatches

    startup.prepare()
    imported = time.monotonic()
    spec = RunDirectory.open(path).game_spec
    session = open_session(path, spec, spec.make(), {})
    trainer = Trainer(
        session.run, session.components, PlainReporter(lambda line: None), source=WorkerMatches
    )
    return {
        "positions": trainer.learning.window.size,
        "import_seconds": imported - begin,
        "seconds": time.monotonic() - begin,
    }


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", type=Path, nargs="?",
        help="for the run; must not exist; by default one that is removed at the end",
    )  # fmt: skip
    parser.add_argument("--positions", type=int, default=20_000)
    parser.add_argument("--only-restart", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_restart:
        print(json.dumps(restart(arguments.folder)))
        return
    if arguments.folder is not None:
        measure(arguments.folder, arguments.positions)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder) / "run", arguments.positions)


def measure(folder: Path, positions: int) -> None:
    """Makes the run, starts its trainer again and prints what that took."""
    made = fill(folder, positions)
    output = subprocess.run(
        [sys.executable, __file__, str(folder), "--only-restart"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    print(json.dumps({**made, **json.loads(output)}, indent=1))


if __name__ == "__main__":
    main()
