"""Trains tic-tac-toe from nothing and checks the agent on every reachable position.

    python benchmarks/tic_tac_toe_perfect.py [MINUTES] [SEED ...]

For each seed: `selfplay train tic_tac_toe` in a process of its own, limited to MINUTES (2.8 by
default, so that three minutes are not exceeded from the start of the process), then the agent at
32 simulations, and the raw network, on all non-terminal positions. A mistake is a move that makes
the result under perfect play worse. Prints one JSON object a seed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main(minutes: float, seeds: list[int]) -> None:
    """Trains and measures."""
    for seed in seeds:
        with tempfile.TemporaryDirectory() as directory:
            run = Path(directory) / "run"
            begin = time.monotonic()
            subprocess.run(
                [
                    *(sys.executable, "-m", "selfplay", "train", "tic_tac_toe"),
                    *("--run", str(run), "--minutes", str(minutes), "--seed", str(seed)),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            seconds = time.monotonic() - begin
            measured = {f"{n} simulations": mistakes(f"{run}:{n}") for n in (0, 32)}
            print(json.dumps({"seed": seed, "seconds": round(seconds, 1), **measured}), flush=True)


def mistakes(agent_text: str) -> dict[str, Any]:
    """Returns how many non-terminal positions there are and in how many the agent errs."""
    from selfplay.startup import prepare

    prepare()
    import jax

    from selfplay.arena import make_agent
    from selfplay.arena.batches import stack
    from selfplay.registry import make

    game = make("tic_tac_toe")
    positions = reachable(game)
    agent = make_agent(agent_text, game, batch_size=256)
    actions = agent.select(stack(positions), key=jax.random.key(0))
    wrong = []
    for action, position in zip(actions, positions, strict=True):
        solution = game.solve(position.state)
        if solution is None:
            raise SystemExit("tic_tac_toe has no solver")
        wrong.append(int(action) not in solution.actions)
    return {"positions": len(wrong), "mistakes": sum(wrong)}


def reachable(game: Any) -> list[Any]:
    """Returns every reachable position that is not over, once."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from selfplay.game import advance, start

    step = jax.jit(lambda position, action: advance(game, position, action))
    mask = jax.jit(game.legal_action_mask)
    found: dict[bytes, Any] = {}
    waiting = [jax.jit(lambda key: start(game, key))(jax.random.key(0))]
    while waiting:
        position = waiting.pop()
        name = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(position.state))
        if name in found:
            continue
        found[name] = jax.device_get(position)
        for action in np.flatnonzero(mask(position.state)):
            transition = step(position, jnp.int32(action))
            if not transition.over:
                waiting.append(transition.position)
    return list(found.values())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("minutes", nargs="?", type=float, default=2.8)
    parser.add_argument("seeds", nargs="*", type=int, default=[0])
    main(**vars(parser.parse_args()))
