"""The update: it learns, in every configuration, and says so when numbers go wrong."""

import dataclasses
import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from selfplay.learner import Learner, TrainState
from selfplay.networks import NEXT_POLICY, SHORT_TERM_VALUES, SOFT_POLICY, build_network
from selfplay.parallel import AXIS
from selfplay.replay import Samples
from selfplay.settings.sections import LearnerConfig, NetworkConfig
from selfplay.settings.sections.learner import OPTIMIZERS
from tests.conftest import Compilations
from tests.learner.examples import batch, data_set, game

TINY = NetworkConfig(kind="mlp", blocks=1, channels=16)
PLAIN = LearnerConfig(
    batch_size=32,
    optimizer="sgd",
    momentum=0.0,
    weight_decay=0.0,
    max_gradient_norm=1e6,
    symmetries=False,
    next_policy_weight=0.0,
)


@functools.cache
def make_learner(
    config: LearnerConfig,
    name: str = "tic_tac_toe",
    network: NetworkConfig = TINY,
    devices: int = 2,
) -> Learner:
    """Returns a learner, made once for each configuration."""
    built = build_network(game(name), network, **dict.fromkeys(config.extra_heads, True))
    mesh = Mesh(jax.local_devices()[:devices], (AXIS,))
    return Learner(game(name), built, config, mesh=mesh)


def start(learner: Learner, *, scale: float = 0.3) -> TrainState:
    """Returns a state whose every weight is random: the heads of a fresh network are zero."""
    state = learner.init(key=jax.random.key(0))
    random = np.random.default_rng(0)
    weights = {
        name: weight + scale * random.normal(size=weight.shape).astype(np.float32)
        for name, weight in state.weights.items()
    }
    fresh = TrainState(
        weights=weights, average=weights, optimizer=state.optimizer, update=state.update
    )
    return learner.place(fresh)


def weights_after(
    learner: Learner, samples: Samples, *, rate: float = 0.1, updates: int = 1
) -> tuple[dict[str, np.ndarray], list[dict[str, float]]]:
    """Returns the weights and what every update said, from `start`."""
    state, reports = start(learner), []
    for update in range(updates):
        key = jax.random.key(update)
        state, metrics = learner.update(state, samples, learning_rate=rate, key=key)
        reports.append({name: float(value) for name, value in metrics.items()})
    return jax.device_get(state.weights), reports


def largest_difference(left: dict[str, Any], right: dict[str, Any]) -> float:
    return max(float(np.abs(left[name] - right[name]).max()) for name in left)


def test_every_head_learns_one_batch_by_heart() -> None:
    config = LearnerConfig(
        batch_size=32, symmetries=False, outcome_share=1.0, weight_decay=0.0, max_gradient_norm=10.0
    )
    network = NetworkConfig(kind="mlp", blocks=2, channels=64)
    learner = make_learner(config, "othello", network)
    samples = distinct(data_set("othello").sample(200, seed=0, update=0), 32)
    state = learner.init(key=jax.random.key(1))
    first: dict[str, float] = {}
    for update in range(500):
        state, metrics = learner.update(
            state, samples, learning_rate=5e-3 if update < 350 else 5e-4, key=jax.random.key(update)
        )
        first = first or {name: float(value) for name, value in metrics.items()}
    last = {name: float(value) for name, value in metrics.items()}
    assert last["finite"] == 1.0
    assert last["policy"] < last["policy_entropy"] + 0.03 < first["policy"] - 0.5
    assert last["value"] < 0.03 < first["value"] - 0.5
    # Its least value is the entropy of its targets.
    shares = samples.next_probabilities
    entropy = -(shares * np.log(np.maximum(shares, 1e-30))).sum(axis=1) * samples.next_weights
    assert last[NEXT_POLICY] < entropy.mean() + 0.05 < first[NEXT_POLICY] - 0.5
    for name in ("ownership", "score_margin"):
        assert last[name] < 0.1 * first[name]
        assert first[name] > 0.01


def distinct(samples: Samples, count: int) -> Samples:
    """Returns the first `count` samples that are different positions with known outcomes."""
    states = [
        b"".join(np.asarray(leaf[index]).tobytes() for leaf in jax.tree.leaves(samples.states))
        for index in range(len(samples.outcomes))
    ]
    rows = np.array(sorted({state: index for index, state in enumerate(states)}.values())[:count])
    assert len(rows) == count
    return jax.tree.map(lambda leaf: leaf[rows], samples)


def test_auxiliary_heads_beat_the_best_constant_on_a_data_set() -> None:
    config = LearnerConfig(
        batch_size=64, auxiliary_weight=1.0, next_policy_weight=1.0, soft_policy_weight=1.0,
        short_term_value_weight=1.0, symmetries=False,
    )  # fmt: skip
    learner = make_learner(config, "othello", NetworkConfig(kind="mlp", blocks=1, channels=64))
    window = data_set("othello")
    state = learner.init(key=jax.random.key(1))
    reports: list[dict[str, float]] = []
    for update in range(250):
        samples = window.sample(64, seed=1, update=update)
        state, metrics = learner.update(
            state, samples, learning_rate=3e-3, key=jax.random.key(update)
        )
        reports.append({name: float(value) for name, value in metrics.items()})
    late = {name: np.mean([report[name] for report in reports[-25:]]) for name in reports[0]}
    # The heads begin at zero, so the first loss is the mean square of the labels: not trivial.
    for name, least in (("ownership", 0.5), ("score_margin", 0.01)):
        assert reports[0][name] > least
        assert late[name] < 0.7 * reports[0][name]
    assert late[NEXT_POLICY] < 0.9 * reports[0][NEXT_POLICY]
    assert late[SOFT_POLICY] < reports[0][SOFT_POLICY] - 0.02
    assert late[SHORT_TERM_VALUES] < 0.9 * reports[0][SHORT_TERM_VALUES]
    # Labels of both signs at every cell, so no constant will do.
    samples = window.sample(256, seed=2, update=0)
    look = jax.jit(jax.vmap(game("othello").auxiliary_targets))
    labels = look(samples.states, samples.final_states)
    assert float(jnp.std(labels["ownership"], axis=0).min()) > 0.5
    assert float(jnp.std(labels["score_margin"])) > 0.1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss(optimizer: str) -> None:
    config = LearnerConfig(batch_size=32, optimizer=optimizer)
    rate = 0.3 if optimizer == "sgd" else 0.01
    _, reports = weights_after(make_learner(config), batch("tic_tac_toe"), rate=rate, updates=60)
    assert reports[-1]["total"] < reports[0]["total"] - 0.3
    assert all(report["finite"] == 1.0 for report in reports)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weight_decay_is_decoupled_and_spares_biases(optimizer: str) -> None:
    # Without a loss there is no gradient: what is left is the decay.
    config = LearnerConfig(
        batch_size=32, optimizer=optimizer, weight_decay=0.5,
        policy_weight=0.0, value_weight=0.0, next_policy_weight=0.0,
    )  # fmt: skip
    learner = make_learner(config)
    before = jax.device_get(start(learner).weights)
    after, reports = weights_after(learner, batch("tic_tac_toe"), rate=0.1, updates=3)
    assert reports[0]["gradient_norm"] == 0.0
    biases = [name for name, weight in before.items() if weight.ndim == 1]
    assert 0 < len(biases) < len(before)
    for name, weight in before.items():
        # Not through the momentum, which would make it (1 - momentum) ** -1 times as strong.
        factor = 1.0 if name in biases else 0.95**3
        np.testing.assert_allclose(after[name], factor * weight, rtol=1e-5, err_msg=name)


def test_late_batches_make_one_step_by_their_mean_gradient() -> None:
    config = dataclasses.replace(PLAIN, late_batches=2, batch_size=16)
    learner, samples = make_learner(config), batch("tic_tac_toe")
    halves = [
        jax.tree.map(lambda leaf, part=part: leaf[16 * part : 16 * (part + 1)], samples)
        for part in range(2)
    ]
    state = start(learner)
    begin = jax.device_get(state.weights)
    state, _ = learner.update(state, halves[0], learning_rate=0.0, key=jax.random.key(0))
    assert largest_difference(jax.device_get(state.weights), begin) == 0.0
    assert int(state.optimizer.gradients) == 1
    state, _ = learner.update(state, halves[1], learning_rate=0.1, key=jax.random.key(0))
    assert (int(state.optimizer.gradients), int(state.update)) == (0, 2)
    whole, _ = weights_after(make_learner(PLAIN), samples, rate=0.1)
    assert largest_difference(jax.device_get(state.weights), whole) < 1e-6
    assert largest_difference(whole, begin) > 1e-3


def test_the_expected_size_of_each_loss_is_learnt() -> None:
    config = LearnerConfig(
        batch_size=32, symmetries=False, weight_decay=0.0, learn_loss_weights=True
    )
    learner, samples = make_learner(config), batch("tic_tac_toe")
    state = learner.init(key=jax.random.key(1))
    for _ in range(250):
        state, found = learner.update(state, samples, learning_rate=0.02, key=jax.random.key(0))
    for name in ("policy", "value", NEXT_POLICY):
        size = float(jnp.exp(state.weights[f"losses/{name}"]))
        # A part that does not change any more is divided by its size.
        assert size == pytest.approx(float(found[name]), rel=0.1), name
        assert abs(size - 1) > 0.05
    parts = {"policy": 1.0, "value": 1.0, NEXT_POLICY: config.next_policy_weight}
    total = sum(
        weight * float(found[name] / jnp.exp(noise) + noise)
        for name, weight in parts.items()
        for noise in [state.weights[f"losses/{name}"]]
    )
    assert float(found["total"]) == pytest.approx(total, abs=0.05)
    # The network itself knows nothing of it.
    seen = jnp.zeros((1, *learner.network.observation_shape))
    assert learner.network.apply(state.average, seen).value.shape == (1,)
    assert "losses/policy" not in learner.network.init(key=jax.random.key(0))


def test_gradients_are_clipped_by_their_global_norm() -> None:
    samples = batch("tic_tac_toe")
    free, clipped = (
        make_learner(dataclasses.replace(PLAIN, max_gradient_norm=norm)) for norm in (1e6, 0.01)
    )
    begin = jax.device_get(start(free).weights)
    far, (report,) = weights_after(free, samples, rate=1.0)
    near, (same_report,) = weights_after(clipped, samples, rate=1.0)

    def moved(weights: dict[str, np.ndarray]) -> float:
        return float(np.sqrt(sum(((weights[n] - begin[n]) ** 2).sum() for n in begin)))

    # The metric is the norm before clipping.
    assert same_report["gradient_norm"] == report["gradient_norm"] > 0.1
    assert moved(far) == pytest.approx(report["gradient_norm"], rel=1e-4)
    assert moved(near) == pytest.approx(0.01, rel=1e-3)


def test_the_learning_rate_scales_the_step() -> None:
    learner, samples = make_learner(PLAIN), batch("tic_tac_toe")
    begin = jax.device_get(start(learner).weights)
    steps = {}
    for rate in (0.0, 0.1, 0.2):
        after, _ = weights_after(learner, samples, rate=rate)
        steps[rate] = {name: after[name] - begin[name] for name in begin}
    assert largest_difference(steps[0.0], dict.fromkeys(begin, 0.0)) == 0.0
    doubled = {name: 2 * step for name, step in steps[0.1].items()}
    assert largest_difference(steps[0.2], doubled) < 1e-5


def test_micro_batches_equal_one_batch() -> None:
    # With symmetries: those drawn must not depend on the number of micro-batches.
    config = dataclasses.replace(PLAIN, symmetries=True, next_policy_weight=0.5)
    whole, (one,) = weights_after(make_learner(config), batch("tic_tac_toe"))
    config = dataclasses.replace(config, micro_batches=4)
    parts, (four,) = weights_after(make_learner(config), batch("tic_tac_toe"))
    assert largest_difference(whole, parts) < 1e-6
    assert four == pytest.approx(one, rel=1e-5)


@pytest.mark.parametrize(("size", "micro_batches"), [(32, 1), (31, 1), (30, 4), (1, 1)])
def test_one_device_equals_two(size: int, micro_batches: int) -> None:
    # With symmetries: those drawn must not depend on who draws, nor must what fills up a part.
    config = dataclasses.replace(
        PLAIN, batch_size=size, micro_batches=micro_batches, symmetries=True, next_policy_weight=0.5
    )
    plain = dataclasses.replace(config, micro_batches=1)
    samples = batch("tic_tac_toe", size)
    two, reports = weights_after(make_learner(config), samples, updates=3)
    one, alone = weights_after(make_learner(plain, devices=1), samples, updates=3)
    assert largest_difference(one, two) < 1e-6
    for found, wanted in zip(reports, alone, strict=True):
        assert found == pytest.approx(wanted, rel=1e-5)
    begin = jax.device_get(start(make_learner(config)).weights)
    assert largest_difference(begin, two) > 0.01


def test_any_number_of_devices_makes_the_updates_of_one() -> None:
    """Symmetries and history dropout are drawn, and 12 devices share 32 samples unevenly."""
    script = Path(__file__).with_name("many_devices.py")
    found = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    results = json.loads(found.stdout)
    assert list(results) == ["1", "3", "12"]
    one = results.pop("1")
    assert len(set(one["total"])) == 3
    for devices, result in results.items():
        for name, values in result.items():
            np.testing.assert_allclose(values, one[name], rtol=2e-5, err_msg=f"{devices} {name}")


def test_a_position_seen_once_is_known_from_every_side() -> None:
    config = LearnerConfig(
        batch_size=32, next_policy_weight=0.0, weight_decay=0.0, max_gradient_norm=10.0
    )
    network = dataclasses.replace(TINY, channels=64)
    learner, rules = make_learner(config, "tic_tac_toe", network), game("tic_tac_toe")
    # The first position that all eight images of differ.
    samples = batch("tic_tac_toe", 64)
    boards = np.asarray(samples.states.cells)
    sides = np.stack([np.rot90(boards, turns, axes=(1, 2)) for turns in range(4)], axis=1)
    sides = np.concatenate([sides, sides.swapaxes(2, 3)], axis=1).reshape(64, 8, 9)
    index = next(row for row in range(64) if len(np.unique(sides[row], axis=0)) == 8)
    sample = jax.tree.map(lambda leaf: leaf[[index]].repeat(32, axis=0), samples)
    state = learner.init(key=jax.random.key(0))
    for update in range(250):
        rate = 0.02 if update < 150 else 0.004
        state, metrics = learner.update(
            state, sample, learning_rate=rate, key=jax.random.key(update)
        )
    assert float(metrics["policy"]) < float(metrics["policy_entropy"]) + 0.05
    state_of = jax.tree.map(lambda leaf: jnp.asarray(leaf[index]), samples.states)
    views = [state_of, *(symmetry.map_state(state_of) for symmetry in rules.symmetries())]
    observations = jnp.stack([rules.observe(view) for view in views])
    legal = jnp.stack([rules.legal_action_mask(view) for view in views])
    logits = learner.network.apply(state.weights, observations).policy_logits
    # The shares of the policy are the same from every side, in another order.
    shares = np.sort(jax.nn.softmax(jnp.where(legal, logits, -1e9)), axis=1)
    np.testing.assert_allclose(shares, shares[:1].repeat(8, axis=0), atol=0.03)


def test_the_average_follows_its_formula() -> None:
    learner = make_learner(dataclasses.replace(PLAIN, ema_decay=0.2))
    state = start(learner)
    average = jax.device_get(state.average)
    # (1 + n) / (10 + n) at first, until it reaches the decay asked for.
    for update, decay in enumerate([1 / 10, 2 / 11, 0.2, 0.2]):
        state, _ = learner.update(
            state, batch("tic_tac_toe"), learning_rate=0.5, key=jax.random.key(0)
        )
        weights = jax.device_get(state.weights)
        average = {name: decay * average[name] + (1 - decay) * weights[name] for name in weights}
        assert largest_difference(jax.device_get(state.average), average) < 1e-5
        assert largest_difference(average, weights) > 1e-3
        assert int(state.update) == update + 1


@pytest.mark.parametrize("poison", ["search value", "outcome", "policy", "rate", "weight"])
def test_numbers_that_are_not_finite_are_reported(poison: str) -> None:
    samples, rate = batch("tic_tac_toe"), 0.1
    learner = make_learner(PLAIN)
    state = start(learner)
    if poison == "rate":
        rate = float("inf")
    elif poison == "weight":
        weights = {name: weight.at[0].set(jnp.nan) for name, weight in state.weights.items()}
        state = learner.place(
            TrainState(
                weights=weights,
                average=weights,
                optimizer=state.optimizer,
                update=state.update,
            )
        )
    else:
        field = {
            "search value": "search_values",
            "outcome": "outcomes",
            "policy": "policy_probabilities",
        }[poison]
        values = getattr(samples, field).copy()
        # One number of one sample is enough.
        values[(7,) if values.ndim == 1 else (7, 0)] = np.nan
        samples = dataclasses.replace(samples, **{field: values})
    _, metrics = learner.update(state, samples, learning_rate=rate, key=jax.random.key(0))
    assert float(metrics["finite"]) == 0.0


def test_the_update_is_compiled_once(compilations: Compilations) -> None:
    learner = make_learner(LearnerConfig(batch_size=32))
    window = data_set("tic_tac_toe")
    state = learner.init(key=jax.random.key(0))

    def update(state: TrainState, number: int) -> TrainState:
        samples = window.sample(32, seed=0, update=number)
        key = jax.random.fold_in(jax.random.key(0), number)
        state, _ = learner.update(state, samples, learning_rate=0.01 / (1 + number), key=key)
        return state

    state = update(state, 0)
    with compilations() as compiled:
        for number in range(1, 5):
            state = update(state, number)
    assert compiled == []
    # Nor for weights that come from elsewhere, such as a checkpoint.
    state = learner.place(jax.device_get(state))
    with compilations() as compiled:
        update(state, 5)
    assert compiled == []


def test_updates_in_bfloat16_change_weights_in_float32() -> None:
    network = dataclasses.replace(TINY, dtype="bfloat16", channels=64)
    rough = make_learner(PLAIN, "tic_tac_toe", network)
    exact = make_learner(PLAIN, "tic_tac_toe", dataclasses.replace(network, dtype="float32"))
    begin = jax.device_get(start(exact).weights)
    samples = batch("tic_tac_toe")
    # So small a step would be lost in weights of eight bits.
    wanted, (full,) = weights_after(exact, samples, rate=1e-4)
    found, (half,) = weights_after(rough, samples, rate=1e-4)
    assert half["gradient_norm"] != full["gradient_norm"]
    assert half["total"] == pytest.approx(full["total"], rel=0.02)
    for name, weight in begin.items():
        assert found[name].dtype == np.float32
        step, right = found[name] - weight, wanted[name] - weight
        scale = float(np.abs(right).max())
        assert 0 < scale < 2**-9 * np.abs(weight).max()
        np.testing.assert_allclose(step, right, atol=0.1 * scale, err_msg=name)


@pytest.mark.parametrize("head", ["wdl", "scalar"])
@pytest.mark.parametrize("value_loss", ["cross_entropy", "mse", "huber"])
def test_every_value_loss_learns_values(value_loss: str, head: str) -> None:
    config = LearnerConfig(
        batch_size=32, value_loss=value_loss, outcome_share=0.0, policy_weight=0.0,
        next_policy_weight=0.0, symmetries=False,
    )  # fmt: skip
    network = dataclasses.replace(TINY, value_head=head)
    learner = make_learner(config, "tic_tac_toe", network)
    samples = distinct(data_set("tic_tac_toe").sample(200, seed=0, update=0), 32)
    state = learner.init(key=jax.random.key(0))
    for update in range(150):
        state, _ = learner.update(state, samples, learning_rate=0.02, key=jax.random.key(update))
    observations = jax.vmap(game("tic_tac_toe").observe)(jax.tree.map(jnp.asarray, samples.states))
    values = learner.network.apply(state.weights, observations).value
    assert np.corrcoef(values, samples.search_values)[0, 1] > 0.9
