"""A worker without selfplay: weights in, files of matches out.

    python external_worker.py RUN WORKER MATCHES

It plays tic-tac-toe with the network alone, without any search, for a run whose network is
`network.kind=mlp`. What it needs of a run is what docs/stores.md describes: run.toml, the newest
checkpoint, and the columns of docs/records.md. It uses NumPy, pyarrow, and orbax to read weights.
"""

import json
import os
import sys
import tomllib
from pathlib import Path

import numpy as np
import orbax.checkpoint
import pyarrow as pa
import pyarrow.parquet as pq

LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]
PLIES = {
    "players": pa.int8(),
    "actions": pa.int32(),
    "outcomes": pa.int32(),
    "simulations": pa.int32(),
    "root_values": pa.float32(),
    "raw_values": pa.float32(),
    "is_target": pa.bool_(),
    "exploratory": pa.bool_(),
}
SCHEMA = pa.schema(
    [
        ("match_id", pa.string()),
        ("game", pa.string()),
        ("version", pa.int32()),
        ("fingerprint", pa.string()),
        ("worker", pa.string()),
        ("first_checkpoint", pa.int64()),
        ("last_checkpoint", pa.int64()),
        ("settings_hash", pa.string()),
        ("start_key", pa.list_(pa.uint32(), 2)),
        ("truncated", pa.bool_()),
        ("returns", pa.list_(pa.float32(), 2)),
        ("plies", pa.int32()),
        *((name, pa.list_(kind)) for name, kind in PLIES.items()),
        ("policy_actions", pa.list_(pa.list_(pa.int32()))),
        ("policy_probabilities", pa.list_(pa.list_(pa.float32()))),
    ],
    metadata={"selfplay_records": "1"},
)


def newest_checkpoint(run):
    """Returns the update, the weights by name and the metadata of the newest checkpoint."""
    folders = [path for path in (run / "checkpoints").iterdir() if path.name.isdecimal()]
    complete = [path for path in folders if (path / "manifest.json").exists()]
    newest = max(complete, key=lambda path: int(path.name))
    weights = orbax.checkpoint.PyTreeCheckpointer().restore(newest.absolute() / "weights")
    return int(newest.name), weights, json.loads((newest / "metadata.json").read_text())


def predict(weights, cells, player):
    """Returns the policy logits [9] and the value in [-1, 1] for the player to move."""
    planes = np.stack([cells == player, cells == 1 - player], axis=-1)
    hidden = linear(weights, "stem", planes.reshape(-1).astype(np.float32))
    layer = 0
    while f"layers/{layer}/kernel" in weights:
        hidden = hidden + linear(weights, f"layers/{layer}", np.maximum(hidden, 0))
        layer += 1
    features = np.maximum(hidden, 0)
    units = np.maximum(linear(weights, "heads/value_hidden", features), 0)
    win, _, loss = softmax(linear(weights, "heads/value", units))
    return linear(weights, "heads/policy", features), win - loss


def linear(weights, name, inputs):
    return inputs @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def play(weights, random):
    """Plays one match; returns its columns."""
    cells = np.full(9, -1)
    match = {name: [] for name in (*PLIES, "policy_actions", "policy_probabilities")}
    player, returns = 0, None
    while returns is None:
        legal = np.flatnonzero(cells < 0)
        logits, value = predict(weights, cells, player)
        shares = softmax(logits[legal])
        action = int(random.choice(legal, p=shares / shares.sum()))
        match["players"].append(player)
        match["actions"].append(action)
        match["outcomes"].append(-1)
        match["simulations"].append(0)
        match["root_values"].append(value)
        match["raw_values"].append(value)
        # Without a search the policy is no better than the network: only the result teaches.
        match["is_target"].append(False)
        match["exploratory"].append(False)
        match["policy_actions"].append(legal.tolist())
        match["policy_probabilities"].append(shares.tolist())
        cells[action] = player
        if any(all(cells[cell] == player for cell in line) for line in LINES):
            returns = [1.0, -1.0] if player == 0 else [-1.0, 1.0]
        elif (cells >= 0).all():
            returns = [0.0, 0.0]
        player = 1 - player
    return {**match, "returns": returns, "plies": len(match["actions"])}


def main(run, worker, count):
    game = tomllib.loads((run / "run.toml").read_text())["game"]
    update, weights, metadata = newest_checkpoint(run)
    folder = run / "matches" / worker
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [int(path.stem) for path in folder.glob("[0-9]*.parquet")]
    sequence = max(numbers, default=-1) + 1
    random = np.random.default_rng([sequence, *worker.encode()])
    rows = [
        {
            "match_id": f"{worker}-{sequence:08d}-{index:04d}",
            "game": game["name"],
            "version": game["version"],
            "fingerprint": game["fingerprint"],
            "worker": worker,
            "first_checkpoint": update,
            "last_checkpoint": update,
            "settings_hash": metadata["settings_hash"],
            "start_key": [0, 0],
            "truncated": False,
            **play(weights, random),
        }
        for index in range(count)
    ]
    # Complete or absent: a temporary name that begins with a dot, a sync, a new name.
    temporary = folder / f".tmp-{sequence:08d}.parquet-{os.getpid()}"
    with temporary.open("wb") as file:
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(folder / f"{sequence:08d}.parquet")
    print(f"{count} matches of checkpoint {update} in {worker}/{sequence:08d}.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
