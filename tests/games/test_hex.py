"""Hex against known positions, OpenSpiel and pgx."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pyspiel
import pytest
from pgx.hex import Hex as PgxHex

from selfplay.errors import ConfigError, IllegalActionError
from selfplay.games.hex import Hex, HexState
from tests.games.matches import play_randomly


@functools.cache
def compiled(game: Hex) -> jax.stages.Wrapped:
    return jax.jit(game.step)


@pytest.fixture(scope="module")
def small() -> Hex:
    return Hex(size=3)


def play(game: Hex, text: str) -> HexState:
    """Returns the position after moves such as "b2", each of which must be legal."""
    state = game.init(jax.random.key(0))
    for name in text.split():
        state = compiled(game)(state, jnp.int32(game.string_to_action(state, name)))
    return state


@pytest.mark.parametrize("size", [4, 9])
def test_random_matches_agree_with_open_spiel(size: int) -> None:
    game = Hex(size=size, swap=False)
    num_matches = 40
    spiel = pyspiel.load_game(f"hex(board_size={size})")
    theirs = [spiel.new_initial_state() for _ in range(num_matches)]
    winners = set()
    for ply in play_randomly(game, num_matches, seed=size):
        masks = np.zeros((num_matches, game.num_actions), bool)
        for index, state in enumerate(theirs):
            assert bool(ply.over[index]) == state.is_terminal()
            if state.is_terminal():
                np.testing.assert_array_equal(ply.returns[index], state.returns())
                masks[index] = ply.mask[index]
                winners.add(int(np.argmax(state.returns())))
                continue
            masks[index, state.legal_actions()] = True
            assert ply.player[index] == state.current_player()
            state.apply_action(int(ply.actions[index]))
        np.testing.assert_array_equal(ply.mask, masks)
    assert winners == {0, 1}


def test_random_matches_agree_with_pgx() -> None:
    """Swaps are part of it; they play on 11 by 11."""
    game, pgx, num_matches = Hex(), PgxHex(), 64
    with jax.numpy_rank_promotion("allow"):
        theirs = jax.jit(jax.vmap(pgx.init))(jax.random.split(jax.random.key(0), num_matches))
        theirs = theirs.replace(_player_order=jnp.tile(jnp.array([[0, 1]]), (num_matches, 1)))
        their_step = (
            jax.jit(jax.vmap(pgx.step)).lower(theirs, jnp.zeros(num_matches, jnp.int32)).compile()
        )
    swaps = 0
    for ply in play_randomly(game, num_matches):
        over = np.asarray(theirs.terminated)
        np.testing.assert_array_equal(ply.over, over)
        live = ~over
        masks = np.asarray(theirs.legal_action_mask)
        np.testing.assert_array_equal(ply.mask[live], masks[live])
        swaps += (ply.actions[live] == 121).sum()
        theirs = their_step(theirs, jnp.asarray(ply.actions))
        ended = live & np.asarray(theirs.terminated)
        # Who moves last wins.
        np.testing.assert_array_equal(np.argmax(theirs.rewards, axis=1)[ended], ply.player[ended])
    assert swaps > 0


def test_first_player_joins_top_and_bottom(small: Hex) -> None:
    state = play(small, "b1 a1 b2 a2 b3")
    assert bool(small.is_terminal(state))
    np.testing.assert_array_equal(small.returns(state), [1, -1])
    assert small.board(state).clicks == {}


def test_second_player_joins_left_and_right(small: Hex) -> None:
    # c1 touches b2, which touches a3; a1 and b2 would not touch.
    state = play(small, "a1 c1 b1 b2 c3 a3")
    np.testing.assert_array_equal(small.returns(state), [-1, 1])
    assert not bool(small.is_terminal(play(small, "c1 a1 c2 b2 a2 c3")))


def test_swap_takes_over_the_first_stone_mirrored(small: Hex) -> None:
    state = play(small, "b1")
    assert small.board(state).clicks[()] == 9
    assert small.action_to_string(state, 9) == "swap"
    assert np.asarray(small.observe(state))[..., 3].all()
    swapped = play(small, "b1 swap")
    assert int(swapped.player) == 0
    assert np.sign(swapped.board).tolist() == [0, 0, 0, -1, 0, 0, 0, 0, 0]
    # The mover may not swap back, nor anybody later.
    assert not bool(small.legal_action_mask(swapped)[9])
    assert not bool(small.legal_action_mask(play(small, "b1 swap b1"))[9])
    # The stone counts as one on the left side.
    np.testing.assert_array_equal(small.returns(play(small, "b1 swap a1 b2 a3 c1")), [-1, 1])


def test_swap_can_be_left_out() -> None:
    game = Hex(size=3, swap=False)
    assert (game.num_actions, game.max_plies) == (9, 9)
    assert not np.asarray(game.observe(play(game, "b1")))[..., 3].any()


def test_observation_is_the_movers(small: Hex) -> None:
    planes = np.moveaxis(np.asarray(small.observe(play(small, "b1 c2 a3"))), -1, 0)
    assert np.argwhere(planes[0]).tolist() == [[1, 2]]
    assert np.argwhere(planes[1]).tolist() == [[0, 1], [2, 0]]
    assert (planes[2] == 1).all() and not planes[3].any()
    assert not np.asarray(small.observe(play(small, "b1 c2")))[..., 2].any()


def test_text_and_board(small: Hex) -> None:
    state = play(small, "b1 c2")
    assert small.render(state) == "\n".join(
        [
            " a b c",
            "1 . x .",
            " 2 . . o",
            "  3 . . .",
            "x to move (top to bottom)",
        ]
    )
    board = small.board(state)
    assert (board.kind, board.rows, board.columns) == ("hex", 3, 4)
    assert [*board.cells] == [
        "", "red", "", "void",
        "", "", "blue", "void",
        "void", "", "", "",
    ]  # fmt: skip
    assert board.clicks[(9,)] == 6
    assert set(board.clicks.values()) == set(np.flatnonzero(small.legal_action_mask(state)))
    with pytest.raises(IllegalActionError, match="'b1' is not a legal move here"):
        small.string_to_action(state, "b1")


def test_cells_that_touch_on_the_board_shown_touch_in_the_rules() -> None:
    """Odd rows of a hexagonal board lie half a cell to the right."""
    game = Hex(size=4)
    view = game.board(game.init(jax.random.key(0)))
    places = {cell: divmod(place[0], view.columns) for place, cell in view.clicks.items()}
    for cell, (row, column) in places.items():
        left = column - 1 + row % 2
        shown = {(row, column - 1), (row, column + 1)}
        shown |= {(row + down, left + right) for down in (-1, 1) for right in (0, 1)}
        touching = {other for other, place in places.items() if place in shown}
        assert touching == {other for other in game._neighbours[cell] if other < 16}


@pytest.mark.parametrize("size", [2, 20])
def test_size_out_of_range(size: int) -> None:
    with pytest.raises(ConfigError, match=f"hex: size is {size}, but must be between 3 and 19"):
        Hex(size=size)
