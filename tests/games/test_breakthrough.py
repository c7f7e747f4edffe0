"""Breakthrough against known positions and OpenSpiel."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pyspiel
import pytest

from selfplay.errors import ConfigError, IllegalActionError
from selfplay.games.breakthrough import Breakthrough, BreakthroughState
from tests.games.matches import breadth_first, play_randomly


@functools.cache
def compiled(game: Breakthrough) -> jax.stages.Wrapped:
    return jax.jit(game.step)


@pytest.fixture(scope="module")
def small() -> Breakthrough:
    return Breakthrough(rows=5, columns=3)


def play(game: Breakthrough, text: str) -> BreakthroughState:
    """Returns the position after moves such as "a2a3", each of which must be legal."""
    state = game.init(jax.random.key(0))
    for name in text.split():
        state = compiled(game)(state, jnp.int32(game.string_to_action(state, name)))
    return state


def spiel_moves(state: pyspiel.State, rows: int) -> dict[str, int]:
    """Returns OpenSpiel's legal moves as ours: their first player stands above, ours below."""
    found = {}
    for action in state.legal_actions():
        text = state.action_to_string(state.current_player(), action).rstrip("*")
        left, reached = text[:2], text[2:]
        name = "".join(f"{cell[0]}{rows + 1 - int(cell[1])}" for cell in (left, reached))
        found[name] = action
    return found


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (6, 5)])
def test_random_matches_agree_with_open_spiel(rows: int, columns: int) -> None:
    game, num_matches = Breakthrough(rows=rows, columns=columns), 24
    spiel = pyspiel.load_game(f"breakthrough(rows={rows},columns={columns})")
    theirs = [spiel.new_initial_state() for _ in range(num_matches)]
    winners = set()
    first = game.init(jax.random.key(0))
    starts = [first, dataclasses.replace(first, player=jnp.int8(1))]
    texts = [[game.action_to_string(s, a) for a in range(game.num_actions)] for s in starts]
    for ply in play_randomly(game, num_matches, seed=rows):
        for index, state in enumerate(theirs):
            assert bool(ply.over[index]) == state.is_terminal()
            if state.is_terminal():
                np.testing.assert_array_equal(ply.returns[index], state.returns())
                winners.add(int(np.argmax(state.returns())))
                continue
            assert ply.player[index] == state.current_player()
            expected = spiel_moves(state, rows)
            names_here = texts[ply.player[index]]
            assert {names_here[a] for a in np.flatnonzero(ply.mask[index])} == set(expected)
            state.apply_action(expected[names_here[ply.actions[index]]])
    assert winners == {0, 1}


def test_counts_of_sequences() -> None:
    """All sequences of moves, counted with OpenSpiel."""
    state = pyspiel.load_game("breakthrough(rows=6,columns=3)").new_initial_state()

    def count(state: pyspiel.State, depth: int) -> int:
        if depth == 0:
            return 1
        return sum(count(state.child(action), depth - 1) for action in state.legal_actions())

    expected = [count(state, depth) for depth in range(6)]
    assert breadth_first(Breakthrough(rows=6, columns=3), 5, distinct=False, chunk=256) == expected


def test_straight_steps_do_not_capture(small: Breakthrough) -> None:
    # White on b3 stands right before black's b4.
    state = play(small, "b2b3")
    steps = set(small.board(state).clicks)
    assert (4, 7) not in steps
    assert {(3, 7), (5, 7), (3, 6), (5, 8)} <= steps


def test_first_piece_across_wins(small: Breakthrough) -> None:
    state = play(small, "b2b3 c4b3 a2b3 c5c4 b3a4 c4c3 a4b5")
    assert bool(small.is_terminal(state))
    np.testing.assert_array_equal(small.returns(state), [1, -1])
    assert small.render(state).endswith("x wins")
    assert small.board(state).clicks == {}


def test_capturing_everything_wins() -> None:
    game = Breakthrough(rows=4, columns=2)
    state = game.init(jax.random.key(0))
    one_each = BreakthroughState(
        pieces=jnp.array([[0, 0, 1, 0], [0, 2, 0, 0]], jnp.uint8),
        player=state.player,
        winner=state.winner,
    )
    after = game.step(one_each, jnp.int32(game.string_to_action(one_each, "a2b3")))
    np.testing.assert_array_equal(game.returns(after), [1, -1])


def test_observation_is_the_movers(small: Breakthrough) -> None:
    planes = np.moveaxis(np.asarray(small.observe(play(small, "b2b3"))), -1, 0)
    np.testing.assert_array_equal(planes[0], [[1, 1, 1], [1, 1, 1], [0, 0, 0]] + [[0, 0, 0]] * 2)
    assert planes[1][2].tolist() == [0, 1, 0]
    assert not planes[2].any()
    assert np.asarray(small.observe(small.init(jax.random.key(0))))[..., 2].all()


def test_text_and_board(small: Breakthrough) -> None:
    state = play(small, "b2b3")
    assert small.render(state) == "\n".join(
        [
            "5 o o o",
            "4 o o o",
            "3 . x .",
            "2 x . x",
            "1 x x x",
            "  a b c",
            "o to move (down)",
        ]
    )
    board = small.board(state)
    assert [board.cells[cell] for cell in (0, 6, 7)] == ["black", "", "white"]
    assert set(board.clicks.values()) == set(np.flatnonzero(small.legal_action_mask(state)))
    with pytest.raises(IllegalActionError, match="'b4b3' is not a legal move here"):
        small.string_to_action(state, "b4b3")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 3}, "breakthrough: rows is 3, but must be between 4 and 16"),
        ({"columns": 17}, "breakthrough: columns is 17, but must be between 2 and 16"),
    ],
)
def test_options_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Breakthrough(**options)
