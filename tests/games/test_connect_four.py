"""Connect Four against known facts and an independent implementation."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pgx
import pytest

from selfplay.arena import load_run_agent
from selfplay.check.conformance import examine
from selfplay.errors import CheckpointError, ConfigError, RunError
from selfplay.games.connect_four import ConnectFour, ConnectFourState
from selfplay.networks import build_network
from selfplay.registry import GameSpec, fingerprint
from selfplay.run import RunDirectory
from selfplay.settings import Config
from tests.games.matches import breadth_first, play_randomly

DISCS_ONLY = GameSpec("connect_four", {"threats": False})


@pytest.fixture(scope="module")
def game() -> ConnectFour:
    return ConnectFour()


def play(game: ConnectFour, text: str) -> ConnectFourState:
    state = game.init(jax.random.key(0))
    for name in text.split():
        state = game.step(state, jnp.int32(game.string_to_action(state, name)))
    return state


def test_distinct_positions(game: ConnectFour) -> None:
    counts = breadth_first(game, 6, distinct=True, chunk=2048)
    assert counts == [1, 7, 49, 238, 1120, 4263, 16422]


def test_random_matches_agree_with_pgx(game: ConnectFour) -> None:
    env = pgx.make("connect_four")
    num_matches = 200
    theirs = jax.jit(jax.vmap(env.init))(jax.random.split(jax.random.key(1), num_matches))
    step = jax.jit(jax.vmap(env.step))
    # pgx draws who is called player 0; ours is the one who begins.
    beginner = np.asarray(theirs.current_player)
    matches = np.arange(num_matches)
    returns = np.zeros((num_matches, 2), np.float32)
    was_over = np.zeros(num_matches, bool)
    lengths = np.zeros(num_matches, int)
    for ply in play_randomly(game, num_matches):
        rewards = np.asarray(theirs.rewards)
        returns += np.where(was_over[:, None], 0, rewards)[matches[:, None], np.stack(
            [beginner, 1 - beginner], axis=1)]  # fmt: skip
        over = np.asarray(theirs.terminated)
        np.testing.assert_array_equal(ply.over, over)
        np.testing.assert_array_equal(ply.returns, returns)
        on = ~over
        np.testing.assert_array_equal(ply.mask[on], np.asarray(theirs.legal_action_mask)[on])
        movers = np.where(np.asarray(theirs.current_player) == beginner, 0, 1)
        np.testing.assert_array_equal(ply.player[on], movers[on])
        np.testing.assert_array_equal(
            ply.observation[on, ..., :2], np.asarray(theirs.observation)[on].astype(np.float32)
        )
        lengths += on
        was_over = over
        theirs = step(theirs, ply.actions)
    # The comparison saw early wins and late ones.
    assert lengths.min() < 12 and lengths.max() > 35


def test_threats_are_the_cells_that_would_complete_four() -> None:
    game = ConnectFour(rows=5, columns=6)
    seen = 0
    for ply in play_randomly(game, 40):
        board = np.asarray(ply.observation)
        for planes, over in zip(board, ply.over, strict=True):
            if over:
                continue
            for discs, threats in ((0, 2), (1, 3)):
                for row, column in np.ndindex(5, 6):
                    with_disc = planes[..., discs].copy()
                    with_disc[row, column] = 1
                    free = planes[row, column, :2].sum() == 0
                    assert planes[row, column, threats] == (free and _four(with_disc))
            seen += int(planes[..., 2:4].sum())
        began = np.broadcast_to((ply.player == 0)[:, None, None], board.shape[:3])
        np.testing.assert_array_equal(board[..., 4], began)
    assert seen > 500


def _four(discs: np.ndarray) -> bool:
    rows, columns = discs.shape
    return any(
        all(
            0 <= row + k * down < rows and 0 <= column + k * right < columns
            and discs[row + k * down, column + k * right]
            for k in range(4)
        )
        for row, column in np.ndindex(rows, columns)
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1))
    )  # fmt: skip


def test_without_threats_only_the_discs_are_seen() -> None:
    game = ConnectFour(threats=False)
    state = play(game, "4 4 4")
    observation = game.observe(state)
    assert observation.shape == (6, 7, 2)
    np.testing.assert_array_equal(observation, ConnectFour().observe(state)[..., :2])


@pytest.mark.parametrize("threats", [True, False])
def test_the_check_finds_nothing_in_either_encoding(threats: bool) -> None:
    report = examine(ConnectFour(rows=4, columns=5, threats=threats), matches=16, measures=False)
    assert report.ok, [fault.to_text() for fault in report.faults]


def test_a_run_and_its_checkpoints_belong_to_one_encoding(tmp_path: Path) -> None:
    sees_threats, discs_only = ConnectFour(), DISCS_ONLY.make()
    assert fingerprint(sees_threats) != fingerprint(discs_only)
    small = {"network": {"kind": "mlp", "channels": 8, "blocks": 1}}
    run = RunDirectory.create(tmp_path / "discs", DISCS_ONLY, discs_only, Config.from_dict(small))
    network = build_network(discs_only, run.config.network)
    run.checkpoints.save(0, {"weights": network.init(key=jax.random.key(0))})
    # The run and each checkpoint say which encoding they are of.
    assert run.checkpoints.metadata(0)["game_spec"]["options"] == {"threats": False}
    agent = load_run_agent(str(run.path))
    assert agent.game.observe(agent.game.init(jax.random.key(0))).shape == (6, 7, 2)
    with pytest.raises(
        RunError, match=r"(?m)discs belongs to connect_four with threats=False, not no options$"
    ):
        run.check_game(sees_threats, GameSpec("connect_four"))
    with pytest.raises(
        CheckpointError, match=r"discs/0 was written for connect_four with other rules"
    ) as caught:
        load_run_agent(str(run.path), game=sees_threats)
    assert caught.value.hint == "the game's options, version or source have changed since"


def test_a_run_made_before_threats_were_shown_is_refused(tmp_path: Path) -> None:
    before = RunDirectory.create(
        tmp_path / "before", GameSpec("connect_four"), DISCS_ONLY.make(), Config()
    )
    with pytest.raises(
        RunError,
        match=r"the rules or the observation of connect_four have changed since .*before was",
    ):
        before.make_game()
    # Its encoding still exists, as an option.
    before.check_game(DISCS_ONLY.make(), DISCS_ONLY)


@pytest.mark.parametrize(
    ("moves", "returns"),
    [
        ("1 2 1 2 1 2 1", [1, -1]),
        ("1 2 1 2 1 2 3 2", [-1, 1]),
        ("4 4 5 5 6 6 7", [1, -1]),
        ("1 2 2 3 3 4 3 4 4 6 4", [1, -1]),
        ("7 6 6 5 5 4 5 4 4 2 4", [1, -1]),
    ],
)
def test_four_in_a_line_wins(game: ConnectFour, moves: str, returns: list[int]) -> None:
    before = play(game, moves.rsplit(" ", 1)[0])
    assert not bool(game.is_terminal(before))
    state = play(game, moves)
    assert bool(game.is_terminal(state))
    np.testing.assert_array_equal(game.returns(state), returns)


def test_lines_do_not_wrap_around_edges(game: ConnectFour) -> None:
    # Three at the top of column 1 and one at the bottom of column 2.
    state = play(game, "2 1 7 1 7 1 1 3 1 3 1")
    assert not bool(game.is_terminal(state))


def test_draw_is_zero_for_both() -> None:
    game = ConnectFour(rows=4, columns=4)
    state = play(game, "1 1 1 1 2 2 2 2 4 3 3 3 3 4 4 4")
    assert bool(game.is_terminal(state))
    assert int(state.winner) == -1
    np.testing.assert_array_equal(game.returns(state), [0, 0])


def test_tallest_board_fills_up() -> None:
    game = ConnectFour(rows=8, columns=4)
    state = play(game, "1 1 1 1 1 1 1 1")
    np.testing.assert_array_equal(game.legal_action_mask(state), [False, True, True, True])
    assert int(state.discs.sum()) == 255


def test_text_and_board() -> None:
    game = ConnectFour(rows=4, columns=5)
    state = play(game, "2 2 5")
    assert game.render(state) == "\n".join(
        [". . . . .", ". . . . .", ". o . . .", ". x . . x", "1 2 3 4 5", "o to move"]
    )
    board = game.board(state)
    assert board.cells[11] == "red" and board.cells[16] == "yellow"
    assert board.clicks[(1,)] == 1 and board.clicks[(19,)] == 4
    assert len(board.clicks) == 20
    assert game.render(play(game, "1 2 1 2 1 2 1")).endswith("x wins")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 3}, "connect_four: rows is 3, but must be between 4 and 8"),
        ({"columns": 17}, "connect_four: columns is 17, but must be between 4 and 16"),
    ],
)
def test_size_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ConnectFour(**options)
