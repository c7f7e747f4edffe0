"""Several updates in one call of the device are the updates that as many calls make."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from selfplay.learner import Learner, TrainState
from selfplay.networks import build_network
from selfplay.parallel import AXIS
from selfplay.replay import Samples
from selfplay.settings.sections import LearnerConfig, NetworkConfig
from tests.conftest import Compilations
from tests.learner.examples import data_set, game

MOST = 5
KEY = 3


def make_learner(*, devices: int = 2, **changes: Any) -> Learner:
    """Returns a learner of a tiny network for tic-tac-toe; symmetries are drawn."""
    config = LearnerConfig(batch_size=16, warmup_updates=0, **changes)
    network = build_network(game("tic_tac_toe"), NetworkConfig(kind="mlp", blocks=1, channels=8))
    mesh = Mesh(jax.local_devices()[:devices], (AXIS,))
    return Learner(game("tic_tac_toe"), network, config, mesh=mesh)


@pytest.fixture(scope="module")
def learner() -> Learner:
    return make_learner(next_policy_weight=0.0)


def stacked(first: int, most: int = MOST) -> Samples:
    """Returns a batch for each of `most` updates from `first` on."""
    window = data_set("tic_tac_toe")
    batches = [window.sample(16, seed=0, update=first + number) for number in range(most)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *batches)


def rates(first: int, most: int = MOST) -> list[float]:
    return [0.01 / (1 + first + number) for number in range(most)]


def make(
    learner: Learner, *counts: int, most: int = MOST
) -> tuple[TrainState, list[dict[str, np.ndarray]]]:
    """Returns the state on the host after calls with so many updates each, and the reports."""
    state, done, reports = learner.init(key=jax.random.key(0)), 0, []
    for count in counts:
        state, report = learner.updates(
            state,
            stacked(done, most),
            learning_rates=rates(done, most),
            count=count,
            key=jax.random.key(KEY),
        )
        reports.append(jax.device_get(report))
        done += count
    return jax.device_get(state), reports


def test_how_updates_are_grouped_changes_nothing(learner: Learner) -> None:
    together, (report,) = make(learner, 5)
    apart, reports = make(learner, 1, 3, 1)
    assert int(together.update) == 5
    jax.tree.map(np.testing.assert_array_equal, together, apart)
    for name, values in report.items():
        pieces = [reports[0][name][:1], reports[1][name][:3], reports[2][name][:1]]
        np.testing.assert_array_equal(values, np.concatenate(pieces), err_msg=name)
    assert len(set(report["total"].tolist())) == 5
    assert not np.array_equal(together.weights["stem/kernel"], together.average["stem/kernel"])


def test_they_are_the_updates_made_one_by_one(learner: Learner) -> None:
    together, (report,) = make(learner, 4)
    # A call of one has no loop: other programs, which may round otherwise.
    once, reports = make(learner, 1, 1, 1, 1, most=1)
    state = learner.init(key=jax.random.key(0))
    for number in range(4):
        state, alone = learner.update(
            state,
            jax.tree.map(lambda leaf: leaf[0], stacked(number, 1)),
            learning_rate=rates(number, 1)[0],
            key=jax.random.key(KEY),
        )
        for name, value in alone.items():
            np.testing.assert_allclose(report[name][number], value, rtol=1e-4, err_msg=name)
            np.testing.assert_allclose(reports[number][name][0], value, rtol=1e-4, err_msg=name)
    for found in (together, once):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, state)


def test_what_is_not_asked_for_is_neither_made_nor_looked_at(learner: Learner) -> None:
    poisoned = stacked(0)
    poisoned.search_values[2:] = np.nan
    state = learner.init(key=jax.random.key(0))
    state, report = learner.updates(
        state, poisoned, learning_rates=rates(0), count=2, key=jax.random.key(KEY)
    )
    assert int(state.update) == 2
    assert report["finite"].tolist() == [1, 1, 0, 0, 0]
    assert not report["total"][2:].any()
    state, report = learner.updates(
        state, poisoned, learning_rates=rates(0), count=3, key=jax.random.key(KEY)
    )
    assert report["finite"].tolist() == [1, 1, 0, 0, 0]


def test_one_program_makes_any_number_of_updates(
    learner: Learner, compilations: Compilations
) -> None:
    batches, key = stacked(0), jax.random.key(KEY)
    state = learner.init(key=jax.random.key(0))
    state, _ = learner.updates(state, batches, learning_rates=rates(0), count=3, key=key)
    with compilations() as compiled:
        for count in (1, 2, 5):
            state, _ = learner.updates(
                state, batches, learning_rates=rates(count), count=count, key=key
            )
    assert compiled == []
    state = learner.place(jax.device_get(state))
    with compilations() as compiled:
        learner.updates(state, batches, learning_rates=rates(0), count=1, key=key)
    assert compiled == []


def test_the_state_before_is_given_up(learner: Learner) -> None:
    before = learner.init(key=jax.random.key(0))
    learner.updates(before, stacked(0), learning_rates=rates(0), count=1, key=jax.random.key(KEY))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))


class Card:
    """An accelerator."""

    platform = "gpu"


def test_no_more_samples_go_to_the_device_at_a_time_than_it_should_hold(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batch(megabytes: float) -> dict[str, np.ndarray]:
        return {"states": np.zeros(int(megabytes * 1e6), np.int8)}

    assert [learner.most_updates(batch(size)) for size in (0.1, 16.0, 100.0)] == [8, 4, 1]
    assert [learner.calls_ahead(batch(size)) for size in (0.1, 8.0, 100.0)] == [2, 1, 1]
    monkeypatch.setattr(learner, "mesh", Mesh(np.array([Card()]), (AXIS,)))
    assert learner.most_updates(batch(0.1)) == 16
    assert learner.most_updates(batch(8.0)) == 8
    assert learner.most_updates(batch(100.0)) == 1
    assert [learner.calls_ahead(batch(size)) for size in (0.1, 8.0, 100.0)] == [1, 1, 1]


def test_convolutions_are_updated_one_by_one_on_cpu_cores() -> None:
    network = build_network(game("tic_tac_toe"), NetworkConfig(kind="resnet", blocks=1, channels=8))
    learner = Learner(game("tic_tac_toe"), network, LearnerConfig(batch_size=16))
    batch = {"states": np.zeros(1000, np.int8)}
    assert (learner.most_updates(batch), learner.calls_ahead(batch)) == (1, 16)


def test_on_a_gpu_updates_compute_in_bfloat16_in_place_and_without_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    rules, config = game("connect_four"), LearnerConfig(batch_size=16)
    network = build_network(rules, NetworkConfig(blocks=1, channels=8), next_policy=True)
    learner = Learner(rules, network, config)
    state = learner.like()
    sample = data_set("connect_four").sample(16, seed=0, update=0)
    samples = jax.tree.map(lambda leaf: np.stack([leaf] * MOST), sample)
    arguments = (jnp.zeros(MOST), jnp.int32(2), jax.random.key_data(jax.random.key(0)))
    updates: Any = learner._updates
    traced = updates.trace(state, samples, *arguments)
    text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert set(re.findall(r"stablehlo.convolution.*-> tensor<[\dx]*x(\w+)>", text)) == {"bf16"}
    assert all(leaf.dtype == jnp.float32 for leaf in state.weights.values())
    donated = re.findall(r"tf.aliasing_output|jax.buffer_donor", text)
    assert len(donated) == len(jax.tree.leaves(state))
    assert "custom_call" not in text
    # The devices wait for each other once in an update.
    assert text.count("stablehlo.all_reduce") == 1
