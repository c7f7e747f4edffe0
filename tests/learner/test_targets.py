"""Targets after a random symmetry are those of the turned position, whatever the symmetry does."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.game import Game
from selfplay.learner import make_targets
from selfplay.learner.targets import Targets
from selfplay.replay import Samples
from selfplay.settings.sections import LearnerConfig
from tests.learner.examples import EXAMPLE, batch, game

GAMES = ["tic_tac_toe", "connect_four", "othello", EXAMPLE]
PLAIN = LearnerConfig(symmetries=False)
BATCH = 64


def make(rules: Game[Any], config: LearnerConfig, samples: Samples, *, seed: int = 0) -> Targets:
    """Returns the targets on the host."""

    def compute(samples: Samples, key: Any) -> Targets:
        count = len(samples.outcomes)
        keys = jax.random.split(key, count)
        return make_targets(rules, config, samples, jnp.ones(count), keys=keys)

    return jax.device_get(jax.jit(compute)(samples, jax.random.key(seed)))


@functools.cache
def turned(name: str, seed: int = 0) -> Targets:
    """Returns the targets of one batch under random symmetries."""
    return make(game(name), LearnerConfig(), batch(name, BATCH), seed=seed)


@functools.cache
def images(name: str) -> list[dict[str, np.ndarray]]:
    """Returns what each symmetry (first none) makes of one batch, from its definition."""
    rules, samples = game(name), batch(name, BATCH)

    def look(state: Any, final: Any) -> dict[str, Any]:
        targets = {} if final is None else rules.auxiliary_targets(state, final)
        return {
            "observations": rules.observe(state),
            "legal": rules.legal_action_mask(state),
            **targets,
        }

    def look_at_all(states: Any, finals: Any) -> list[dict[str, Any]]:
        maps = [lambda state: state, *(symmetry.map_state for symmetry in rules.symmetries())]
        return [
            jax.vmap(
                lambda state, final, turn=turn: look(
                    turn(state), None if final is None else turn(final)
                )
            )(states, finals)
            for turn in maps
        ]

    def policy(actions: np.ndarray, shares: np.ndarray, permutation: Any) -> np.ndarray:
        full = np.zeros((BATCH, rules.num_actions))
        for row in range(BATCH):
            for action, share in zip(actions[row], shares[row], strict=True):
                # The image of the action, as the law of symmetries has it.
                full[row, permutation[int(action)]] += share
        return full / np.maximum(full.sum(axis=1, keepdims=True), 1e-30)

    found = jax.device_get(jax.jit(look_at_all)(samples.states, samples.final_states))
    permutations = [range(rules.num_actions), *(s.permutation for s in rules.symmetries())]
    for seen, permutation in zip(found, permutations, strict=True):
        seen["policy"] = policy(samples.policy_actions, samples.policy_probabilities, permutation)
        seen["next_policy"] = policy(samples.next_actions, samples.next_probabilities, permutation)
    return found


def fits(found: Targets, index: int, wanted: dict[str, np.ndarray]) -> bool:
    """Returns whether the targets of one sample are these."""
    return all(
        np.allclose(
            getattr(found, name)[index] if hasattr(found, name) else found.auxiliary[name][index],
            values[index],
            atol=1e-6,
        )
        for name, values in wanted.items()
    )


@pytest.mark.parametrize("name", GAMES)
def test_every_sample_is_the_image_under_one_symmetry(name: str) -> None:
    found = turned(name)
    used = np.zeros(len(game(name).symmetries()) + 1, int)
    for index in range(BATCH):
        matching = [
            number for number, wanted in enumerate(images(name)) if fits(found, index, wanted)
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
    rules, samples = game("tic_tac_toe"), batch("tic_tac_toe", BATCH)
    found = make(rules, PLAIN, samples)
    for index in range(BATCH):
        assert fits(found, index, images("tic_tac_toe")[0])
    again = make(rules, PLAIN, samples, seed=1)
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
    found = make(game("tic_tac_toe"), PLAIN, empty)
    assert (np.asarray(found.policy) == 0).all()


@pytest.mark.parametrize("symmetries", [False, True])
def test_label_smoothing_is_over_the_legal_actions(symmetries: bool) -> None:
    rules, samples = game("connect_four"), batch("connect_four")
    sharp, smooth = (
        make(rules, LearnerConfig(symmetries=symmetries, label_smoothing=share), samples)
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
    rules = type("Historic", (Remembering, type(game("tic_tac_toe"))), {})()
    samples = batch("tic_tac_toe", 256)
    observations = {}
    for share in (0.0, 0.3, 1.0):
        config = LearnerConfig(symmetries=False, history_dropout=share)
        observations[share] = make(rules, config, samples).observations
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
    found = make(game("tic_tac_toe"), config, samples)
    plain = make(game("tic_tac_toe"), PLAIN, samples)
    jax.tree.map(np.testing.assert_array_equal, found, plain)
