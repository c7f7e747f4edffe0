"""Targets after a random symmetry are those of the turned position, whatever the symmetry does."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.game import Game
from selfplay.learner import LearnerConfig, make_targets
from selfplay.learner.losses import Targets
from selfplay.registry import make
from selfplay.replay import Samples
from tests.learner.examples import EXAMPLE, batch, game

GAMES = ["tic_tac_toe", "connect_four", "othello", EXAMPLE]
PLAIN = LearnerConfig(symmetries=False)
BATCH = 64


@functools.cache
def turned(name: str, seed: int = 0) -> Targets:
    """Returns the targets of one batch under random symmetries, on the host."""
    make_them = jax.jit(lambda samples, key: make_targets(game(name), LearnerConfig(), samples, key=key))
    return jax.device_get(make_them(batch(name, BATCH), jax.random.key(seed)))


def image(rules: Game[Any], samples: Samples, index: int, number: int) -> dict[str, np.ndarray]:
    """Returns what symmetry `number` (0 is none) makes of one sample, from its definition."""
    state, final = (
        jax.tree.map(lambda leaf: jnp.asarray(leaf[index]), states)
        for states in (samples.states, samples.final_states)
    )
    symmetry = ([None, *rules.symmetries()])[number]
    if symmetry is not None:
        state = symmetry.map_state(state)
        final = None if final is None else symmetry.map_state(final)
    permutation = np.arange(rules.num_actions) if symmetry is None else symmetry.permutation

    def policy(actions: np.ndarray, shares: np.ndarray) -> np.ndarray:
        full = np.zeros(rules.num_actions)
        for action, share in zip(actions[index], shares[index], strict=True):
            # The image of the action, as the law of symmetries has it.
            full[permutation[int(action)]] += share
        return full / max(full.sum(), 1e-30)

    return {
        "observations": np.asarray(rules.observe(state)),
        "legal": np.asarray(rules.legal_action_mask(state)),
        "policy": policy(samples.policy_actions, samples.policy_probabilities),
        "next_policy": policy(samples.next_actions, samples.next_probabilities),
        **(
            {}
            if final is None
            else {k: np.asarray(v) for k, v in rules.auxiliary_targets(state, final).items()}
        ),
    }


def fits(found: Targets, index: int, wanted: dict[str, np.ndarray]) -> bool:
    """Returns whether the targets of one sample are these."""
    return all(
        np.allclose(
            getattr(found, name)[index] if hasattr(found, name) else found.auxiliary[name][index],
            value,
            atol=1e-6,
        )
        for name, value in wanted.items()
    )


@pytest.mark.parametrize("name", GAMES)
def test_every_sample_is_the_image_under_one_symmetry(name: str) -> None:
    rules, samples, found = game(name), batch(name, BATCH), turned(name)
    total = len(rules.symmetries()) + 1
    used = np.zeros(total, int)
    for index in range(BATCH):
        matching = [
            number
            for number in range(total)
            if fits(found, index, image(rules, samples, index, number))
        ]
        assert matching, f"sample {index} is no image of its position"
        if len(matching) == 1:
            used[matching[0]] += 1
    # Every symmetry is used; by chance one of them is missing once in 600 batches.
    assert (used > 0).all()
    assert used.sum() > BATCH // 2


@pytest.mark.parametrize("name", GAMES)
def test_values_do_not_turn(name: str) -> None:
    samples, found = batch(name, BATCH), turned(name)
    np.testing.assert_array_equal(found.outcomes, samples.outcomes)
    np.testing.assert_array_equal(found.search_values, samples.search_values)
    for weights in ("policy_weights", "next_weights", "outcome_weights"):
        np.testing.assert_array_equal(getattr(found, weights), getattr(samples, weights))


def test_a_swap_of_roles_keeps_the_outcome_of_who_is_to_move() -> None:
    rules, samples = game(EXAMPLE), batch(EXAMPLE, BATCH)
    (swap,) = rules.symmetries()
    # Play on from a position and from its image: the mover's result is the same.
    for index in range(8):
        state = jax.tree.map(lambda leaf, index=index: jnp.asarray(leaf[index]), samples.states)
        other = swap.map_state(state)
        movers = int(rules.current_player(state)), int(rules.current_player(other))
        assert movers[0] != movers[1]
        random = np.random.default_rng(index)
        while not rules.is_terminal(state):
            action = random.choice(np.flatnonzero(rules.legal_action_mask(state)))
            state = rules.step(state, jnp.int32(action))
            other = rules.step(other, jnp.int32(swap.permutation[action]))
        assert rules.returns(state)[movers[0]] == rules.returns(other)[movers[1]]


def test_without_symmetries_positions_stay_as_they_are() -> None:
    rules, samples = game("tic_tac_toe"), batch("tic_tac_toe")
    found = make_targets(rules, PLAIN, samples, key=jax.random.key(0))
    for index in range(len(samples.outcomes)):
        assert fits(found, index, image(rules, samples, index, 0))
    again = make_targets(rules, PLAIN, samples, key=jax.random.key(1))
    jax.tree.map(np.testing.assert_array_equal, found, again)


def test_the_key_decides_the_symmetries() -> None:
    jax.tree.map(np.testing.assert_array_equal, turned("othello", 0), turned("othello", 0))
    assert (turned("othello", 0).policy != turned("othello", 1).policy).any()


def test_policies_are_normalised_and_legal() -> None:
    for name in GAMES:
        found = turned(name)
        np.testing.assert_allclose(found.policy.sum(axis=1), 1, rtol=1e-5)
        assert (found.policy[~found.legal] == 0).all()


def test_a_ply_without_policy_has_none_and_is_not_divided_by_zero() -> None:
    samples = batch("tic_tac_toe")
    empty = dataclasses.replace(
        samples, policy_probabilities=np.zeros_like(samples.policy_probabilities)
    )
    found = make_targets(game("tic_tac_toe"), PLAIN, empty, key=jax.random.key(0))
    assert (np.asarray(found.policy) == 0).all()


@pytest.mark.parametrize("symmetries", [False, True])
def test_label_smoothing_is_over_the_legal_actions(symmetries: bool) -> None:
    rules, samples = game("connect_four"), batch("connect_four")
    key = jax.random.key(3)
    sharp, smooth = (
        make_targets(
            rules,
            LearnerConfig(symmetries=symmetries, label_smoothing=share),
            samples,
            key=key,
        )
        for share in (0.0, 0.2)
    )
    legal = np.asarray(sharp.legal)
    even = legal / legal.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(smooth.policy, 0.8 * sharp.policy + 0.2 * even, atol=1e-6)
    assert not legal.all()
    np.testing.assert_array_equal(smooth.next_policy, sharp.next_policy)


class Remembering:
    """Mixed into a game: two more planes of the observation, which only repeat the past."""

    history_planes = (1, 3)

    def observe(self, state: Any) -> Any:
        planes = super().observe(state)  # type: ignore[misc]
        return jnp.concatenate([planes + 1, planes + 5], axis=-1)


def test_history_dropout_zeroes_the_declared_planes_of_a_share_of_samples() -> None:
    plain = make("tic_tac_toe")
    rules = type("Historic", (Remembering, type(plain)), {})()
    samples = batch("tic_tac_toe", 256)
    observations = {}
    for share in (0.0, 0.3, 1.0):
        config = LearnerConfig(symmetries=False, history_dropout=share)
        found = make_targets(rules, config, samples, key=jax.random.key(0))
        observations[share] = np.asarray(found.observations)
    full = observations[0.0]
    # Without dropout no plane is ever empty: see `Remembering`.
    assert (full > 0).all()
    np.testing.assert_array_equal(observations[1.0][..., [0, 2]], full[..., [0, 2]])
    assert (observations[1.0][..., [1, 3]] == 0).all()
    some = observations[0.3]
    np.testing.assert_array_equal(some[..., [0, 2]], full[..., [0, 2]])
    dropped = (some[..., [1, 3]] == 0).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(some[~dropped], full[~dropped])
    # 256 samples at 30 %: 77 on average, with a deviation of 7.
    assert 49 < dropped.sum() < 105


def test_a_game_without_history_is_left_alone() -> None:
    samples = batch("tic_tac_toe")
    config = LearnerConfig(symmetries=False, history_dropout=1.0)
    found = make_targets(game("tic_tac_toe"), config, samples, key=jax.random.key(0))
    plain = make_targets(game("tic_tac_toe"), PLAIN, samples, key=jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, found, plain)
