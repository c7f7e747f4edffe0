"""The README's example game: short, loaded like a user's, and by the rules."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.game import Game
from selfplay.registry import make
from tests.games.matches import play_randomly

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "domineering.py"


@pytest.fixture(scope="module")
def game() -> Game[Any]:
    return make(f"{EXAMPLE}:Domineering", size=4)


def test_it_is_at_most_60_lines() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 60


def test_the_file_alone_names_it() -> None:
    assert make(str(EXAMPLE)).num_actions == 36


def test_random_matches_follow_the_rules(game: Game[Any]) -> None:
    taken = np.zeros((16, 4, 4), bool)
    for number, ply in enumerate(play_randomly(game, 16)):
        for index, board in enumerate(taken):
            mover = number % 2
            beside = (1, 0) if mover == 0 else (0, 1)
            legal = [
                row * 4 + column
                for row in range(4 - beside[0])
                for column in range(4 - beside[1])
                if not board[row, column] and not board[row + beside[0], column + beside[1]]
            ]
            if ply.over[index]:
                continue
            assert ply.player[index] == mover
            assert np.flatnonzero(ply.mask[index]).tolist() == legal
            row, column = divmod(int(ply.actions[index]), 4)
            board[row, column] = board[row + beside[0], column + beside[1]] = True
    assert ply.over.all()
    states = ply.states
    stuck = ~np.asarray(jax.vmap(game.legal_action_mask)(states)).any(axis=1)
    assert stuck.all()
    losers = np.asarray(states.player)
    np.testing.assert_array_equal(ply.returns[np.arange(16), losers], -1)
    np.testing.assert_array_equal(ply.returns.sum(axis=1), 0)
    # Both colours win now and then.
    assert 0 < losers.sum() < 16


def test_swapping_the_roles_changes_nothing(game: Game[Any]) -> None:
    (swap,) = game.symmetries()
    permutation = np.array(swap.permutation)
    state = game.init(jax.random.key(0))
    for action in (5, 2, 0):
        mapped = swap.map_state(state)
        one = swap.map_state(game.step(state, jnp.int32(action)))
        other = game.step(mapped, jnp.int32(permutation[action]))
        jax.tree.map(np.testing.assert_array_equal, one, other)
        np.testing.assert_array_equal(
            np.asarray(game.legal_action_mask(mapped))[permutation], game.legal_action_mask(state)
        )
        state = game.step(state, jnp.int32(action))


def test_it_shows_itself(game: Game[Any]) -> None:
    state = game.step(game.init(jax.random.key(0)), jnp.int32(1))
    assert game.render(state) == ".#..\n.#..\n....\n...."
