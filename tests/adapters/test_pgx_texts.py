"""How moves of pgx's chess are written: as UCI writes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.errors import IllegalActionError
from selfplay.registry import make

pytest.importorskip("pgx")

KNIGHTS = {1: "b1a3 b1c3 g1f3 g1h3".split(), 8: "b8a6 b8c6 g8f6 g8h6".split()}  # noqa: SIM905


@pytest.fixture(scope="module")
def chess():
    return make("pgx:chess")


def chess_fields(game, **changes):
    """Returns the fields of the first position with some of its entries changed."""
    fields = game.init(jax.random.key(0)).fields
    return {**fields, "_x": fields["_x"]._replace(**changes)}


def first_moves(game, fields):
    state = game.init(jax.random.key(0))
    legal = np.flatnonzero(game.legal_action_mask(state)).tolist()
    return {game._write(fields, action) for action in legal}


@pytest.mark.parametrize(("color", "ranks"), [(0, "234"), (1, "765")])
def test_first_moves_of_chess(chess, color, ranks):
    # The board is the mover's own, so it looks the same to black.
    second, third, fourth = ranks
    pawns = {f"{f}{second}{f}{to}" for f in "abcdefgh" for to in (third, fourth)}
    fields = chess_fields(chess, color=jnp.int32(color))
    assert first_moves(chess, fields) == pawns | set(KNIGHTS[8 if color else 1])


def test_castling_and_promotion(chess):
    from pgx._src.games.chess import TO_PLANE

    def written(origin, target, color, board):
        fields = chess_fields(chess, color=jnp.int32(color), board=jnp.asarray(board))
        return chess._write(fields, origin * 73 + int(TO_PLANE[origin, target]))

    # Squares go file by file: 32 is e1, 48 g1, 16 c1, 6 a7, 7 a8, 15 b8, all from the mover's side.
    kings, pawns, rooks = (np.zeros(64, np.int32) for _ in range(3))
    kings[32], pawns[6], rooks[6] = 6, 1, 4
    assert [written(32, to, 0, kings) for to in (48, 16)] == ["e1g1", "e1c1"]
    assert [written(32, to, 1, kings) for to in (48, 16)] == ["e8g8", "e8c8"]
    assert [written(6, to, 0, pawns) for to in (7, 15)] == ["a7a8q", "a7b8q"]
    assert written(6, 7, 1, pawns) == "a2a1q" and written(6, 7, 0, rooks) == "a7a8"
    fields = chess_fields(chess, board=jnp.asarray(pawns))
    under = [chess._write(fields, 6 * 73 + plane) for plane in range(8) if plane % 3 < 2]
    assert under == ["a7a8r", "a7b8r", "a7a8b", "a7b8b", "a7a8n", "a7b8n"]
    # No pawn of the a file can capture to the left.
    assert chess._write(fields, 6 * 73 + 2) == str(6 * 73 + 2)


def test_moves_of_chess_are_read(chess):
    state = chess.init(jax.random.key(0))
    action = chess.string_to_action(state, "e2e4")
    assert chess.action_to_string(state, action) == "e2e4"
    with pytest.raises(IllegalActionError):
        chess.string_to_action(state, "e2e5")


@pytest.mark.parametrize(("turn", "knight", "ranks"), [(0, "b1", "233"), (1, "b5", "433")])
def test_first_moves_of_gardner_chess(turn, knight, ranks):
    game = make("pgx:gardner_chess")
    fields = {**game.init(jax.random.key(0)).fields, "_turn": jnp.int32(turn)}
    pawns = {f"{f}{ranks[0]}{f}{ranks[1]}" for f in "abcde"}
    assert first_moves(game, fields) == pawns | {f"{knight}{f}{ranks[2]}" for f in "ac"}


def test_other_games_of_pgx_keep_numbers():
    game = make("pgx:tic_tac_toe")
    assert game.action_to_string(game.init(jax.random.key(0)), 4) == "4"
