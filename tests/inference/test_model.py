"""The memory in front of ONNX Runtime: what it answers is what would be computed."""

import threading

import numpy as np
import pytest

from selfplay.inference import model as module
from selfplay.inference.model import Model, Outputs, fingerprints
from selfplay.inference.onnx_inference import serialise
from selfplay.settings.sections import NetworkConfig
from tests.inference.networks import boards, host, lively_weights, network_for

CONFIG = NetworkConfig(blocks=1, channels=8)
NETWORK = network_for(CONFIG)
BYTES = serialise(NETWORK, CONFIG, host(lively_weights(NETWORK)), None)


def ask(model: Model, observations: np.ndarray, wanted: np.ndarray | None = None) -> Outputs:
    """Asks for all rows or the wanted ones; in all of them every action is legal."""
    count = len(observations)
    every = np.ones(count, np.bool_)
    return model(observations, every if wanted is None else wanted, np.ones((count, 7), np.bool_))


def test_an_answer_does_not_depend_on_the_batch() -> None:
    observations = boards(NETWORK, 40)
    together = ask(Model(BYTES), observations)
    for size in (1, 2, 3, 7, 16):
        for first in range(0, 40 - size, 5):
            alone = ask(Model(BYTES), observations[first : first + size])
            for one, all_of_them in zip(alone, together, strict=True):
                np.testing.assert_array_equal(one, all_of_them[first : first + size])


def test_each_position_is_computed_once() -> None:
    model = Model(BYTES)
    observations = boards(NETWORK, 8)
    first = ask(model, observations)
    assert (model.asked, model.computed) == (8, 8)
    mixed = np.concatenate([observations[[3, 3]], boards(NETWORK, 2, seed=1)[[0, 0, 1]]])
    second = ask(model, mixed)
    assert (model.asked, model.computed) == (13, 10)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one[[3, 3]], other[:2])
        np.testing.assert_array_equal(other[2], other[3])
        assert not np.array_equal(other[3], other[4])


def test_rows_that_are_not_wanted_cost_nothing_and_are_zero() -> None:
    model = Model(BYTES)
    wanted = np.array([True, False, True, False])
    answer = ask(model, boards(NETWORK, 4), wanted)
    assert (model.asked, model.computed) == (2, 2)
    assert answer.policy_logits[wanted].any(axis=1).all()
    assert not answer.policy_logits[~wanted].any()
    none = ask(model, boards(NETWORK, 4), np.zeros(4, np.bool_))
    assert not none.value_logits.any()
    # Even as the very first question, when the shapes are not known yet.
    fresh = ask(Model(BYTES), boards(NETWORK, 4), np.zeros(4, np.bool_))
    assert fresh.policy_logits.shape == (4, 7)


def test_a_full_memory_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MEMORY_BYTES", 4 * 10 * 20)
    model, reference = Model(BYTES), Model(BYTES)
    for seed in range(6):
        observations = boards(NETWORK, 15, seed=seed)
        expected = ask(reference, observations)
        for _ in range(2):
            found = ask(model, observations)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one, other)
    # More positions at once than fit at all.
    many = boards(NETWORK, 50, seed=9)
    np.testing.assert_array_equal(
        ask(model, many).value_logits, ask(Model(BYTES), many).value_logits
    )


def test_many_threads_get_the_right_answers() -> None:
    model = Model(BYTES)
    observations = boards(NETWORK, 200)
    expected = ask(Model(BYTES), observations)
    wrong: list[int] = []

    def play(seed: int) -> None:
        generator = np.random.default_rng(seed)
        for _ in range(30):
            rows = generator.integers(0, 200, 16)
            found = ask(model, observations[rows])
            if not np.array_equal(found.policy_logits, expected.policy_logits[rows]):
                wrong.append(seed)

    threads = [threading.Thread(target=play, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_samples_depend_on_what_was_asked_not_on_the_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MOST_SAMPLES", 20)
    observations = boards(NETWORK, 300)
    legal = np.random.default_rng(5).random((300, 7)) < 0.5
    kept = []
    for seed, size in ((0, 10), (1, 7), (2, 300)):
        model = Model(BYTES)
        order = np.random.default_rng(seed).permutation(300)
        for first in range(0, 300, size):
            # In a buffer that is used again, as XLA's are.
            rows = order[first : first + size]
            buffer, moves = observations[rows].copy(), legal[rows].copy()
            model(buffer, np.ones(len(rows), np.bool_), moves)
            buffer[:] = -1
            moves[:] = False
        kept.append(model.samples())
    assert kept[0] is not None
    assert 5 <= len(kept[0].legal) <= 20
    for other in kept[1:]:
        assert other is not None
        for one, again in zip(kept[0], other, strict=True):
            np.testing.assert_array_equal(one, again)
    # As they were asked for.
    for sample, moves in zip(*kept[0], strict=True):
        (row,) = np.flatnonzero((sample == observations).all(axis=(1, 2, 3)))
        np.testing.assert_array_equal(moves, legal[row])
    assert Model(BYTES).samples() is None


def test_fingerprints_tell_positions_apart() -> None:
    generator = np.random.default_rng(0)
    observations = (generator.random((50_000, 6, 7, 2)) < 0.5).astype(np.float32)
    distinct = len({row.tobytes() for row in observations})
    found = fingerprints(observations)
    # In the first number alone, too: that tells apart what one batch asks for.
    assert len(np.unique(found[:, 0])) == distinct
    assert len(np.unique(found, axis=0)) == distinct
    np.testing.assert_array_equal(fingerprints(observations[:5].copy()), found[:5])
    # One bit more or less is enough, wherever it is.
    single = np.zeros((85, 6, 7, 2), np.float32)
    single.reshape(85, -1)[np.arange(84), np.arange(84)] = 1
    assert len(np.unique(fingerprints(single), axis=0)) == 85


def test_an_empty_board_is_computed_like_any_other() -> None:
    """Zeros everywhere, as an empty place of the memory has them."""
    model = Model(BYTES)
    empty = np.zeros((2, *NETWORK.observation_shape), np.float32)
    answer = ask(model, empty)
    assert model.computed == 1
    assert answer.policy_logits.any()
