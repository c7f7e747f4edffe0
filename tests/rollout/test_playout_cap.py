"""Playout cap randomisation: full and fast moves, and what is learnt from them."""

import dataclasses

import jax
import numpy as np
import pytest

from selfplay.errors import ConfigError
from selfplay.mcts import Evaluator, uniform_evaluator
from selfplay.registry import make
from selfplay.replay import Rebuilder
from selfplay.rollout import SelfPlayer, mean_simulations
from selfplay.rollout.playout_cap import fast_search, full_plies
from selfplay.settings.sections import RolloutConfig, SearchConfig
from tests.conftest import Compilations
from tests.rollout.helpers import played

GAME = make("tic_tac_toe")
FULL = SearchConfig(num_simulations=8, max_considered_actions=6, sampling_plies=3)


def rollout(share: float = 0.25, fast: int = 2, *, plies: int = 8) -> RolloutConfig:
    return RolloutConfig(
        matches_per_device=32, plies_per_chunk=plies, random_opening_share=0.0,
        full_search_share=share, fast_simulations=fast,
    )  # fmt: skip


def counted(asked: list[int]) -> Evaluator:
    """Returns an evaluator without knowledge that notes the rows of every call."""
    uniform = uniform_evaluator(GAME)

    def evaluate(params, states, *, key):  # type: ignore[no-untyped-def]
        jax.debug.callback(lambda player: asked.append(len(player)), states.player)
        return uniform(params, states, key=key)

    return evaluate


@pytest.fixture(scope="module")
def player() -> SelfPlayer:
    return SelfPlayer(GAME, uniform_evaluator(GAME), FULL, rollout())


@pytest.mark.parametrize("plies", [1, 3, 8])
def test_every_ply_has_the_same_chance_of_a_full_search(plies: int) -> None:
    share = 0.3
    drawn = np.array(
        jax.vmap(lambda key: full_plies(share, plies, key=key))(
            jax.random.split(jax.random.key(0), 20_000)
        )
    )
    np.testing.assert_allclose(drawn.mean(axis=0), share, atol=0.015)
    # Chunks take about as long as each other: the number is rounded, up or down.
    assert set(drawn.sum(axis=1)) == {int(share * plies), int(share * plies) + 1}
    if plies > 1:
        # Independent of each other but for that: two plies in a row are not favoured.
        together = (drawn[:, :-1] & drawn[:, 1:]).mean(axis=0)
        np.testing.assert_allclose(together, together.mean(), atol=0.015)


def test_fast_moves_have_few_simulations_and_no_noise() -> None:
    fast = fast_search(FULL, rollout(fast=4))
    assert fast is not None
    assert (fast.num_simulations, fast.max_considered_actions) == (4, 3)
    assert (fast.gumbel_scale, fast.dirichlet_fraction, fast.root_temperature) == (0, 0, 1)
    assert (fast.sampling_plies, fast.temperature) == (FULL.sampling_plies, FULL.temperature)
    assert fast_search(FULL, rollout(1.0)) is None
    assert mean_simulations(FULL, rollout(0.25, 4)) == 5
    assert mean_simulations(FULL, rollout(1.0)) == 8


def test_a_fast_move_must_cost_less_than_a_full_one() -> None:
    with pytest.raises(ConfigError, match=r"rollout\.fast_simulations is 8, but must be below"):
        SelfPlayer(GAME, uniform_evaluator(GAME), FULL, rollout(fast=8))
    # Unused, it may be anything.
    SelfPlayer(GAME, uniform_evaluator(GAME), FULL, rollout(1.0, 8))


def test_the_record_says_which_moves_were_fast_and_which_are_targets(player: SelfPlayer) -> None:
    records = played(player, 30)
    Rebuilder(GAME)(records)  # such records can be learnt from
    fast, is_target, simulations = (
        np.concatenate([getattr(record, name) for record in records])
        for name in ("fast", "is_target", "simulations")
    )
    np.testing.assert_array_equal(is_target, ~fast)
    np.testing.assert_array_equal(simulations, np.where(fast, 2, 8))
    assert abs(is_target.mean() - 0.25) < 0.03
    # Which player moves says nothing about it, nor how far the match is.
    players = np.concatenate([record.players for record in records])
    plies = np.concatenate([np.arange(record.plies) for record in records])
    for one in (players == 0, players == 1, plies < 3, plies >= 3):
        assert abs(is_target[one].mean() - 0.25) < 0.06


def test_the_search_that_is_not_wanted_costs_nothing() -> None:
    """Under `vmap`, or as a choice between two results, both searches would be made."""
    asked: list[int] = []
    one = SelfPlayer(GAME, counted(asked), FULL, rollout(plies=4))
    matches = one.start(key=jax.random.key(0))
    _, plies = one.play((), matches, key=jax.random.key(1))
    jax.effects_barrier()
    fast = np.asarray(plies.fast)
    assert (fast == fast[:, :1]).all()  # all matches alike, on all devices
    assert fast[:, 0].sum() == 3
    # One evaluation of the root, and one a simulation.
    assert sum(asked) == one.num_matches * (3 * (1 + 2) + 1 * (1 + 8))


@pytest.mark.slow
def test_the_raw_network_may_play_the_fast_moves_of_puct() -> None:
    search = dataclasses.replace(FULL, algorithm="puct")
    one = SelfPlayer(GAME, uniform_evaluator(GAME), search, rollout(0.5, 0))
    records = played(one, 4)
    Rebuilder(GAME)(records)
    simulations = np.concatenate([record.simulations for record in records])
    assert set(simulations.tolist()) == {0, 8}


def test_nothing_compiles_after_the_first_chunk(
    player: SelfPlayer, compilations: Compilations
) -> None:
    played(player, 2)
    with compilations() as compiled:
        played(player, 3)
    assert compiled == []


def test_the_keys_of_devices_do_not_depend_on_the_one_that_draws_plies() -> None:
    key = jax.random.key(5)
    np.testing.assert_array_equal(
        jax.random.key_data(jax.random.split(key, 3)),
        jax.random.key_data(jax.random.split(key, 4))[:3],
    )
