"""Makes the same updates on different numbers of devices; prints what they report as JSON."""

import json
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from selfplay.game import Game
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.learner import Learner
from selfplay.networks import build_network
from selfplay.parallel import AXIS
from selfplay.replay import Samples
from selfplay.settings.sections import LearnerConfig, NetworkConfig

BATCH = 32
DEVICES = (1, 3, 12)


class Repeating(TicTacToe):
    """No bundled game has such planes; the first one of this will do."""

    history_planes = (0,)


def main() -> None:
    """Makes three updates on each number of devices."""
    jax.config.update("jax_num_cpu_devices", max(DEVICES))
    rules = Repeating()
    config = LearnerConfig(batch_size=BATCH, history_dropout=0.5, warmup_updates=0)
    network = build_network(
        rules, NetworkConfig(kind="mlp", blocks=1, channels=16), next_policy=True
    )
    batches = [random_samples(rules, seed) for seed in range(3)]
    results = {}
    for devices in DEVICES:
        mesh = Mesh(jax.local_devices()[:devices], (AXIS,))
        learner = Learner(rules, network, config, mesh=mesh)
        state = learner.init(key=jax.random.key(0))
        report: dict[str, list[float]] = {}
        for samples in batches:
            state, metrics = learner.update(
                state, samples, learning_rate=0.02, key=jax.random.key(1)
            )
            for name, value in metrics.items():
                report.setdefault(name, []).append(float(value))
        size = sum(float(np.square(weight).sum()) for weight in state.weights.values())
        results[devices] = {**report, "weights": [size]}
    print(json.dumps(results))  # noqa: T201


def random_samples(rules: Game[Any], seed: int) -> Samples:
    """Returns samples of positions after one to four random moves, with random targets."""
    random = np.random.default_rng(seed)

    def play(actions: jax.Array, count: jax.Array) -> Any:
        state = rules.init(jax.random.key(0))
        for ply in range(4):
            after = rules.step(state, actions[ply])
            state = jax.tree.map(
                lambda new, old, ply=ply: jax.numpy.where(ply < count, new, old), after, state
            )
        return state

    actions = np.stack([random.permutation(9) for _ in range(BATCH)]).astype(np.int32)
    states = jax.device_get(jax.jit(jax.vmap(play))(actions, random.integers(1, 5, BATCH)))
    outcomes = random.integers(-1, 2, BATCH).astype(np.float32)
    shares = random.dirichlet(np.ones(5), BATCH).astype(np.float32)
    return Samples(
        states=states,
        final_states=None,
        policy_actions=actions[:, 4:],
        policy_probabilities=shares,
        policy_weights=random.integers(0, 2, BATCH).astype(np.float32),
        next_actions=actions[:, 4:],
        next_probabilities=shares[::-1].copy(),
        next_weights=random.integers(0, 2, BATCH).astype(np.float32),
        outcomes=outcomes,
        draws=1 - np.abs(outcomes),
        outcome_weights=random.integers(0, 2, BATCH).astype(np.float32),
        search_values=random.uniform(-1, 1, BATCH).astype(np.float32),
        short_term_values=random.uniform(-1, 1, (BATCH, 3)).astype(np.float32),
        progress=random.uniform(0, 1, BATCH).astype(np.float32),
    )


if __name__ == "__main__":
    main()
