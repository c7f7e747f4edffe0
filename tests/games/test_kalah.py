"""Kalah against OpenSpiel, an independent implementation and published values."""

import jax
import jax.numpy as jnp
import numpy as np
import pyspiel
import pytest

from selfplay.errors import ConfigError, IllegalActionError
from selfplay.games.kalah import Kalah, KalahState
from tests.games.matches import play_randomly

Side = tuple[int, ...]


def play(game: Kalah, text: str) -> KalahState:
    state = game.init(jax.random.key(0))
    for name in text.split():
        state = game.step(state, jnp.int32(game.string_to_action(state, name)))
    return state


def position(x: list[int], o: list[int], player: int = 0) -> KalahState:
    """Returns a position from both players' pits, in the order of sowing, and stores."""
    return KalahState(seeds=jnp.array([x, o], jnp.uint8), player=jnp.int8(player))


def sow(own: Side, opponent: Side, pit: int, empty_capture: bool) -> tuple[Side, Side, bool]:
    """Returns pits and store of the mover and of the opponent, and whether he moves again.

    Seed by seed, as a person would; an ended game is not swept.
    """
    sides = [list(own), list(opponent)]
    store = len(own) - 1
    side, place = 0, pit
    seeds, sides[0][pit] = sides[0][pit], 0
    while seeds:
        place += 1
        if place > store or (side == 1 and place == store):
            side, place = 1 - side, 0
        sides[side][place] += 1
        seeds -= 1
    if side == 0 and place < store and sides[0][place] == 1:
        facing = store - 1 - place
        if sides[1][facing] or empty_capture:
            sides[0][store] += 1 + sides[1][facing]
            sides[0][place] = sides[1][facing] = 0
    return tuple(sides[0]), tuple(sides[1]), (side, place) == (0, store)


def test_random_matches_agree_with_open_spiel() -> None:
    game = Kalah()
    spiel = pyspiel.load_game("mancala")
    num_matches = 200
    theirs = [spiel.new_initial_state() for _ in range(num_matches)]
    repeats = 0
    for ply in play_randomly(game, num_matches):
        for index, state in enumerate(theirs):
            assert bool(ply.over[index]) == state.is_terminal()
            if state.is_terminal():
                np.testing.assert_array_equal(ply.returns[index], state.returns())
                continue
            # Its pits are 1 to 6 and 8 to 13, in the order of sowing.
            player = state.current_player()
            assert ply.player[index] == player
            legal = [action - 1 - 7 * player for action in state.legal_actions()]
            np.testing.assert_array_equal(np.flatnonzero(ply.mask[index]), legal)
            state.apply_action(int(ply.actions[index]) + 1 + 7 * player)
            repeats += not state.is_terminal() and state.current_player() == player
    assert repeats > 500


@pytest.mark.parametrize(
    ("pits", "seeds", "empty_capture"), [(3, 10, False), (4, 2, True), (2, 10, True)]
)
def test_random_matches_agree_with_sowing_seed_by_seed(
    pits: int, seeds: int, empty_capture: bool
) -> None:
    game = Kalah(pits=pits, seeds=seeds, empty_capture=empty_capture)
    num_matches = 64
    start = (seeds,) * pits + (0,)
    boards = [[start, start] for _ in range(num_matches)]
    movers = [0] * num_matches
    for ply in play_randomly(game, num_matches):
        ours = np.asarray(ply.states.seeds)
        for index, board in enumerate(boards):
            empty = [not any(side[:-1]) for side in board]
            assert bool(ply.over[index]) == any(empty)
            if any(empty):
                totals = [sum(side) for side in board]
                np.testing.assert_array_equal(ours[index][:, -1], totals)
                assert not ours[index][:, :-1].any()
                assert ply.returns[index][0] == np.sign(totals[0] - totals[1])
                continue
            np.testing.assert_array_equal(ours[index], board)
            mover = movers[index]
            assert ply.player[index] == mover
            np.testing.assert_array_equal(ply.mask[index], np.array(board[mover][:-1]) > 0)
            board[mover], board[1 - mover], again = sow(
                board[mover], board[1 - mover], int(ply.actions[index]), empty_capture
            )
            movers[index] = mover if again else 1 - mover


# Irving, Donkers, Uiterwijk, "Solving Kalah", 2000: who wins with so many pits and seeds.
SOLVED = {
    (2, 1): 1, (2, 2): -1, (2, 3): -1, (2, 4): -1, (2, 5): 1, (2, 6): 1,
    (3, 1): 0, (3, 2): 1, (3, 3): 1, (4, 1): 1,
}  # fmt: skip


def solve(pits: int, seeds: int) -> tuple[int, int]:
    """Returns by how many seeds player 0 wins with perfect play, and the plies at most."""
    known: dict[tuple[Side, Side], tuple[int, int]] = {}

    def outlook(own: Side, opponent: Side) -> tuple[int, int]:
        # Pits alone decide what is still to be won: stores are left out of the key.
        if not any(own) or not any(opponent):
            return sum(own) - sum(opponent), 0
        if (own, opponent) not in known:
            values, lengths = [], []
            for pit in range(pits):
                if own[pit]:
                    after, other, again = sow((*own, 0), (*opponent, 0), pit, False)
                    gained, after, other = after[-1], after[:-1], other[:-1]
                    value, length = outlook(after, other) if again else outlook(other, after)
                    values.append(gained + (value if again else -value))
                    lengths.append(1 + length)
            known[own, opponent] = max(values), max(lengths)
        return known[own, opponent]

    return outlook((seeds,) * pits, (seeds,) * pits)


@pytest.mark.parametrize(("pits", "seeds"), SOLVED)
def test_small_boards_have_the_published_values(pits: int, seeds: int) -> None:
    margin, plies = solve(pits, seeds)
    assert np.sign(margin) == SOLVED[pits, seeds]
    assert plies <= Kalah(pits=pits, seeds=seeds).max_plies


def test_last_seed_in_the_store_moves_again() -> None:
    game = Kalah()
    state = play(game, "c")
    assert state.seeds.tolist() == [[4, 4, 0, 5, 5, 5, 1], [4, 4, 4, 4, 4, 4, 0]]
    assert int(state.player) == 0
    assert int(play(game, "c a").player) == 1


def test_last_seed_in_an_own_empty_pit_captures() -> None:
    game = Kalah(pits=3)
    state = position([1, 0, 2, 0], [5, 2, 1, 0])
    after = game.step(state, jnp.int32(0))
    assert after.seeds.tolist() == [[0, 0, 2, 3], [5, 0, 1, 0]]
    assert int(after.player) == 1


def test_nothing_opposite_captures_only_by_the_option() -> None:
    state = position([1, 0, 2, 0], [5, 0, 1, 0])
    kept = Kalah(pits=3).step(state, jnp.int32(0))
    assert kept.seeds.tolist() == [[0, 1, 2, 0], [5, 0, 1, 0]]
    caught = Kalah(pits=3, empty_capture=True).step(state, jnp.int32(0))
    assert caught.seeds.tolist() == [[0, 0, 2, 1], [5, 0, 1, 0]]


def test_sowing_skips_the_opponents_store_and_may_come_round() -> None:
    state = position([0, 0, 8, 0], [1, 1, 1, 7])
    after = Kalah(pits=3).step(state, jnp.int32(2))
    # Seven places: the eighth seed goes to the store again, the seventh to the pit it came from.
    assert after.seeds.tolist() == [[1, 1, 1, 2], [2, 2, 2, 7]]
    assert int(after.player) == 0


def test_an_empty_side_ends_the_match() -> None:
    game = Kalah(pits=2)
    after = game.step(position([0, 1, 3], [2, 2, 4]), jnp.int32(1))
    assert after.seeds.tolist() == [[0, 0, 4], [0, 0, 8]]
    assert bool(game.is_terminal(after))
    np.testing.assert_array_equal(game.returns(after), [-1, 1])
    # The opponent's side can be the empty one.
    after = game.step(position([1, 0, 3], [1, 0, 4]), jnp.int32(0))
    assert after.seeds.tolist() == [[0, 0, 5], [0, 0, 4]]
    np.testing.assert_array_equal(game.returns(after), [1, -1])


def test_draw_is_zero_for_both() -> None:
    np.testing.assert_array_equal(Kalah(pits=2).returns(position([0, 0, 8], [0, 0, 8])), [0, 0])


def test_auxiliary_target_is_the_movers() -> None:
    game = Kalah(pits=2)
    final = position([0, 0, 12], [0, 0, 4])
    for player, margin in ((0, 0.5), (1, -0.5)):
        state = position([1, 3, 3], [3, 1, 5], player)
        assert float(game.auxiliary_targets(state, final)["score_margin"]) == margin


def test_observation_is_the_movers() -> None:
    game = Kalah(pits=2, seeds=2)
    seen = np.asarray(game.observe(position([1, 0, 2], [0, 5, 0], player=1)))
    own, opponent = seen.reshape(2, -1)
    # Zero to five seeds or more for each pit, then shares of four.
    np.testing.assert_array_equal(own, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1.25, 0])
    np.testing.assert_array_equal(opponent, [0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0.25, 0, 0.5])


def test_text_and_board() -> None:
    game = Kalah(pits=3, seeds=3)
    state = play(game, "b a")
    assert game.render(state) == "\n".join(
        [
            "     c  b  a",
            "     4  4  0",
            "o  1          1 x",
            "     4  0  4",
            "     a  b  c",
            "x to move (x 1, o 1)",
        ]
    )
    board = game.board(state)
    assert (board.kind, board.rows, board.columns) == ("pits", 2, 5)
    assert board.cells == ["1", "4", "4", "0", "void", "void", "4", "0", "4", "1"]
    assert board.clicks == {(6,): 0, (8,): 2}
    board = game.board(play(game, "b"))
    assert board.clicks == {(3,): 0, (2,): 1, (1,): 2}
    with pytest.raises(IllegalActionError, match="'b' is not a legal move here"):
        game.string_to_action(state, "b")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pits": 1}, "kalah: pits is 1, but must be between 2 and 10"),
        ({"seeds": 11}, "kalah: seeds is 11, but must be between 1 and 10"),
    ],
)
def test_options_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Kalah(**options)
