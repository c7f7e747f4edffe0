"""What a run holds after all faults, counted from its files."""

import hashlib
from pathlib import Path
from typing import Any

MUST_BE_ZERO = ("lost", "changed", "twice", "learnt_twice", "not_learnt", "not_equal", "hangs",
          "went_back")  # fmt: skip
"""Counts in the result that must be 0."""


def count_outcome(run_path: Path, confirmed: Path) -> dict[str, Any]:
    """Returns what a run holds after all that, counted.

    Keys: `confirmed_files`, `files`, `matches`, `update`, `damaged_files` set aside,
    `damaged_files_left`, `evaluations`; and what must be 0: `lost` and `changed` files that had
    been confirmed, matches that are there `twice`, files that were `learnt_twice` or
    `not_learnt`, and arrays of the newest checkpoint that are `not_equal` to those made again.
    """
    import jax
    import numpy as np
    from jax.sharding import Mesh

    from selfplay.parallel import local_mesh
    from selfplay.reports.rerun import rerun
    from selfplay.run import RunDirectory
    from selfplay.training.cursor import Cursor
    from selfplay.training.training_log import Take, read_segment

    run = RunDirectory.open(run_path)
    promises: dict[tuple[str, int], str] = {}
    for line in confirmed.read_text().splitlines():
        worker, sequence, digest = line.split()
        promises.setdefault((worker, int(sequence)), digest)
    found: dict[tuple[str, int], list[str]] = {}
    changed = 0
    for worker in sorted({worker for worker, _ in promises}):
        for file in sorted((run_path / "matches" / worker).glob("[0-9]*.parquet")):
            key = (worker, int(file.stem))
            found[key] = [match.match_id for match in run.matches.get(*key)]
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            changed += promises.get(key, digest) != digest
    ids = [match_id for matches in found.values() for match_id in matches]
    update = run.checkpoints.latest()
    if update is None:
        raise SystemExit(f"{run_path} has no checkpoint")
    cursor = Cursor.from_json(run.checkpoints.metadata(update)["cursor"])
    taken = [
        (event.worker, event.sequence)
        for segment in range(cursor.segments)
        for event in read_segment(run, segment)[1]
        if isinstance(event, Take)
    ]
    # The trainers had one device, however many there are here.
    mesh = local_mesh()
    made_again = jax.device_get(
        rerun(run, update, mesh=Mesh(mesh.devices[:1], mesh.axis_names)).state
    )
    stored = jax.device_get(run.checkpoints.load(update, "train_state", made_again))
    pairs = zip(jax.tree.leaves(made_again), jax.tree.leaves(stored), strict=True)
    return {
        "confirmed_files": len(promises),
        "files": len(found),
        "matches": len(ids),
        "update": update,
        "damaged_files": sum(1 for _ in run_path.glob("refused/ghost/*.txt")),
        "damaged_files_left": sum(1 for _ in run_path.glob("matches/ghost/[0-9]*")),
        "evaluations": sum(1 for _ in run_path.glob("ratings/[0-9]*.jsonl")),
        "lost": len(set(promises) - set(found)),
        "changed": changed,
        "twice": len(ids) - len(set(ids)),
        "learnt_twice": len(taken) - len(set(taken)),
        "not_learnt": len(set(found) - set(taken)),
        "not_equal": sum(not np.array_equal(one, other) for one, other in pairs),
    }
