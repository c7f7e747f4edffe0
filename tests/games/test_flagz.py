"""Flagz against its worked examples, its random-play figures and rules written with dicts."""

import dataclasses
import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.errors import ConfigError, IllegalActionError
from selfplay.games.flagz import Flagz, FlagzState
from tests.games.matches import Played, play_randomly

Cell = tuple[int, int]
COMPARED = 8
SMALL = {"rows": 5, "columns": 4, "rocks": 2, "grass": 3, "flags": 2, "flag_beside_five": True}


class Reference:
    """One match by the rules, cell by cell: what is not in `cells` is free.

    A piece is ("rock", 0), ("grass", value), (player, "flag") or (player, value).
    """

    def __init__(self, game: Flagz, cells: dict[Cell, tuple[Any, Any]]) -> None:
        self.game = game
        self.cells = cells
        self.board = [(r, c) for r in range(game.rows) for c in range(game.columns - r % 2)]
        self.player = 0
        self.over = False

    def neighbours(self, cell: Cell) -> list[Cell]:
        r, c = cell
        s = r % 2
        near = [(r, c - 1), (r, c + 1)]
        near += [(r - 1, c - 1 + s), (r - 1, c + s), (r + 1, c - 1 + s), (r + 1, c + s)]
        return [other for other in near if other in self.board]

    def is_blocked(self, player: int, cell: Cell) -> bool:
        return any(self.cells.get(near) == (player, 5) for near in self.neighbours(cell))

    def next_value(self, player: int, cell: Cell) -> int:
        if cell in self.cells or self.is_blocked(player, cell):
            return 0
        values = []
        for near in self.neighbours(cell):
            owner, value = self.cells.get(near, (None, None))
            if owner == player:
                values.append(1 if value == "flag" else value + 1)
        return min(values, default=0)

    def flags_left(self, player: int) -> int:
        return self.game.flags - sum(piece == (player, "flag") for piece in self.cells.values())

    def score(self, player: int) -> int:
        pieces = [value for owner, value in self.cells.values() if owner == player]
        return sum(value for value in pieces if value != "flag")

    def moves(self, player: int) -> list[tuple[str, Cell]]:
        free = [cell for cell in self.board if cell not in self.cells]
        flags = [
            ("flag", cell)
            for cell in free
            if self.flags_left(player)
            and (self.game.flag_beside_five or not self.is_blocked(player, cell))
        ]
        return flags + [("number", cell) for cell in free if self.next_value(player, cell)]

    def play(self, kind: str, cell: Cell) -> None:
        mover = self.player
        if kind == "flag":
            self.cells[cell] = (mover, "flag")
        else:
            self.cells[cell] = (mover, self.next_value(mover, cell))
            self.catch_grass(mover)
        stuck = [not self.moves(player) for player in (0, 1)]
        margin = self.score(0) - self.score(1)
        self.over = all(stuck) or (stuck[0] and margin < 0) or (stuck[1] and margin > 0)
        if not stuck[1 - mover]:
            self.player = 1 - mover

    def catch_grass(self, mover: int) -> None:
        caught = True
        while caught:
            caught = False
            for cell, (owner, grass) in list(self.cells.items()):
                near = [self.cells.get(other, (None, None)) for other in self.neighbours(cell)]
                values = [value for other, value in near if other == mover and value != "flag"]
                if owner == "grass" and max(values, default=0) >= grass:
                    self.cells[cell] = (mover, grass)
                    caught = True


def read(game: Flagz, state: FlagzState) -> dict[Cell, tuple[Any, Any]]:
    """Returns the pieces of a position, through what `board` shows of it."""
    pieces: dict[Cell, tuple[Any, Any]] = {}
    for index, text in enumerate(game.board(state).cells[: game.num_cells]):
        kind, _, value = text.partition(" ")
        if kind == "rock":
            pieces[divmod(index, game.columns)] = ("rock", 0)
        elif kind not in ("", "void"):
            owner = {"x": 0, "o": 1}.get(kind, kind)
            worth = value if value == "flag" else int(value)
            pieces[divmod(index, game.columns)] = (owner, worth)
    return pieces


def position(game: Flagz, pieces: dict[Cell, tuple[object, int]]) -> FlagzState:
    """Returns a position in which player 0 is to move; a flag has the value 0, a rock 7."""
    planes = np.zeros((5, 32 * -(-game.num_cells // 32)), bool)
    for (row, column), (owner, value) in pieces.items():
        cell = game.columns * row + column
        planes[2:, cell] = [value >> bit & 1 for bit in range(3)]
        if owner in (0, 1):
            planes[owner, cell] = True
    words = np.packbits(planes, axis=1, bitorder="little").view(np.uint32)
    return FlagzState(cells=jnp.asarray(words), player=jnp.int8(0), over=jnp.bool_(False))


def play(game: Flagz, state: FlagzState, text: str) -> FlagzState:
    for name in text.split():
        state = game.step(state, jnp.int32(game.string_to_action(state, name)))
    return state


def scores(game: Flagz, state: FlagzState) -> tuple[int, int]:
    reference = Reference(game, read(game, state))
    return reference.score(0), reference.score(1)


def shown(game: Flagz, state: FlagzState, plane: int) -> dict[Cell, int]:
    """Returns the cells of one plane of fifths that are not 0."""
    numbers = np.rint(5 * np.asarray(game.observe(state))[..., plane]).astype(int)
    return {(int(r), int(c)): int(numbers[r, c]) for r, c in np.argwhere(numbers)}


@pytest.fixture(scope="module")
def game() -> Flagz:
    return Flagz()


@pytest.fixture(scope="module")
def empty() -> Flagz:
    return Flagz(rocks=0, grass=0)


@pytest.fixture(scope="module")
def plies(game: Flagz) -> list[Played]:
    plies = []
    for ply in play_randomly(game, 600, seed=1):
        # The rest would be two gigabytes.
        ply.observation = ply.observation[:COMPARED]
        plies.append(ply)
    return plies


def agrees(game: Flagz, plies: list[Played], num_matches: int) -> int:
    """Compares every ply of the first matches; returns how many extra turns there were."""
    extra = 0
    for index in range(num_matches):
        start = jax.tree.map(lambda leaf, i=index: leaf[i], plies[0].states)
        reference = Reference(game, read(game, start))
        for ply in plies:
            assert bool(ply.over[index]) == reference.over
            margin = np.sign(reference.score(0) - reference.score(1))
            assert ply.returns[index].tolist() == [margin, -margin]
            if reference.over:
                break
            mover = reference.player
            assert ply.player[index] == mover
            mask = np.zeros((2, game.rows, game.columns), bool)
            for kind, cell in reference.moves(mover):
                mask[(int(kind == "number"), *cell)] = True
            np.testing.assert_array_equal(ply.mask[index], mask.reshape(-1))
            compare_observation(reference, ply.observation[index])
            kind, cell = divmod(int(ply.actions[index]), game.num_cells)
            reference.play(("flag", "number")[kind], divmod(cell, game.columns))
            extra += not reference.over and reference.player == mover
        assert reference.over
    return extra


def compare_observation(reference: Reference, seen: np.ndarray) -> None:
    game = reference.game
    expected = np.zeros((game.rows, game.columns, 11))
    for side, player in enumerate((reference.player, 1 - reference.player)):
        planes = expected[..., 5 * side : 5 * side + 5]
        planes[..., 2] = 1
        planes[..., 4] = reference.flags_left(player) / game.flags
        for cell in reference.board:
            owner, value = reference.cells.get(cell, (None, None))
            if owner == player:
                planes[cell][0 if value == "flag" else 1] = 1 if value == "flag" else value / 5
            if owner is None:
                planes[cell][2] = reference.is_blocked(player, cell)
                planes[cell][3] = reference.next_value(player, cell) / 5
            if owner == "grass":
                expected[cell][10] = value / 5
    np.testing.assert_allclose(seen, expected, atol=1e-6)


def test_random_matches_agree_with_the_rules_cell_by_cell(game: Flagz, plies: list[Played]) -> None:
    assert agrees(game, plies, COMPARED) > 0


def test_small_boards_and_options_agree_too() -> None:
    game = Flagz(**SMALL)
    assert agrees(game, list(play_randomly(game, 48)), 48) > 0


def fingerprint(game: Flagz, plies: list[Played]) -> dict[str, float]:
    on = np.stack([~ply.over for ply in plies])
    players = np.stack([ply.player for ply in plies])
    legal = np.stack([ply.mask.sum(axis=-1) for ply in plies])
    cells = np.asarray(plies[-1].states.cells)
    values = [
        sum(np.bitwise_count(cells[:, player] & cells[:, 2 + bit]).sum(axis=-1) << bit
            for bit in range(3))
        for player in (0, 1)
    ]  # fmt: skip
    lengths = on.sum(axis=0)
    results = plies[-1].returns[:, 0]
    return {
        "plies": lengths.mean(),
        "most plies": lengths.max(),
        "first wins": (results > 0).mean(),
        "draws": (results == 0).mean(),
        "score": np.mean(values),
        "legal": legal[on].mean(),
        "most legal": legal[on].max(),
        "extra turns": (on[1:] & (players[1:] == players[:-1])).sum() / len(results),
    }


# What the rules' random-play fingerprint says, and about four standard errors of 600 matches.
@pytest.mark.parametrize(
    ("figure", "value", "tolerance"),
    [
        ("plies", 71.9, 1.6),
        ("first wins", 1523 / 3000, 0.09),
        ("draws", 43 / 3000, 0.02),
        ("score", 82.6, 2.5),
        ("legal", 18.4, 0.6),
        ("most legal", 93, 3),
        ("extra turns", 1.75, 0.5),
    ],
)
def test_random_play_has_the_known_figures(
    game: Flagz, plies: list[Played], figure: str, value: float, tolerance: float
) -> None:
    assert fingerprint(game, plies)[figure] == pytest.approx(value, abs=tolerance)


@pytest.mark.slow
def test_random_play_has_the_known_figures_exactly(game: Flagz) -> None:
    runs = [fingerprint(game, list(play_randomly(game, 3000, seed=seed))) for seed in range(2, 6)]
    figures = {name: np.mean([run[name] for run in runs]) for name in runs[0]}
    # Four standard errors of the 3000 matches behind the published figures.
    expected = {
        "plies": (71.9, 0.6), "first wins": (1523 / 3000, 0.04), "draws": (43 / 3000, 0.01),
        "score": (82.6, 1.1), "legal": (18.4, 0.25), "extra turns": (1.75, 0.2),
    }  # fmt: skip
    for name, (value, tolerance) in expected.items():
        assert figures[name] == pytest.approx(value, abs=tolerance), name
    assert max(run["most plies"] for run in runs) == 85
    assert max(run["most legal"] for run in runs) >= 93


def test_the_board_has_the_known_neighbours(game: Flagz) -> None:
    """Each cell's neighbours are where a flag there lets a 1 be placed."""
    empty = dataclasses.replace(game.init(jax.random.key(0)), cells=jnp.zeros((5, 4), jnp.uint32))
    numbers = jax.jit(
        jax.vmap(lambda cell: game.legal_action_mask(
            dataclasses.replace(game.step(empty, cell), player=jnp.int8(0))
        )[game.num_cells :])
    )(jnp.arange(game.num_cells))  # fmt: skip
    near = {divmod(cell, 10): {divmod(int(c), 10) for c in np.flatnonzero(row)}
            for cell, row in enumerate(np.asarray(numbers)) if cell % 20 != 19}  # fmt: skip
    assert len(near) == 105
    assert all(cell in near[other] for cell, others in near.items() for other in others)
    degrees = [len(others) for others in near.values()]
    assert sum(degrees) == 2 * 274
    assert {degree: degrees.count(degree) for degree in set(degrees)} == {
        6: 67, 5: 10, 4: 16, 3: 8, 2: 4
    }  # fmt: skip
    assert near[0, 0] == {(0, 1), (1, 0)}
    assert near[1, 0] == {(1, 1), (0, 0), (0, 1), (2, 0), (2, 1)}
    assert near[5, 8] == {(5, 7), (4, 8), (4, 9), (6, 8), (6, 9)}
    assert near[10, 9] == {(10, 8), (9, 8)}


def test_scores_of_the_first_moves(empty: Flagz) -> None:
    state = play(empty, empty.init(jax.random.key(0)), "d4f d8f e4 e8f f4")
    assert scores(empty, state) == (3, 0)
    assert int(state.player) == 1


def test_next_values_grow_from_flags_and_numbers(empty: Flagz) -> None:
    state = position(empty, {(4, 3): (0, 0), (4, 4): (0, 1)})
    assert shown(empty, state, 3) == {
        **dict.fromkeys([(3, 2), (4, 2), (5, 2), (5, 3), (3, 3)], 1),
        **dict.fromkeys([(3, 4), (4, 5), (5, 4)], 2),
    }


def test_grass_is_caught_in_a_chain(game: Flagz) -> None:
    # The 2 needs an own 1 beside it, which has next values of its own.
    before = position(game, {(3, 3): ("grass", 1), (3, 4): ("grass", 2), (2, 6): (0, 1)})
    after = play(game, before, "f4")
    assert read(game, after) == {(3, 3): (0, 1), (3, 4): (0, 2), (3, 5): (0, 2), (2, 6): (0, 1)}
    assert scores(game, after) == (1 + 5, 0)
    alone = position(game, {(3, 3): (0, 1), (3, 4): (0, 2), (3, 5): (0, 2)})
    assert shown(game, alone, 3) == {
        **dict.fromkeys([(2, 3), (2, 4), (3, 2), (4, 3), (4, 4)], 2),
        **dict.fromkeys([(2, 5), (2, 6), (3, 6), (4, 5), (4, 6)], 3),
    }


def test_a_five_catches_grass_and_blocks(game: Flagz) -> None:
    before = position(game, {(0, 5): ("grass", 5), (0, 3): (0, 4)})
    after = play(game, before, "e1")
    assert scores(game, after) == (4 + 10, 0)
    mine = dataclasses.replace(after, player=jnp.int8(0))
    blocked = set(shown(game, mine, 2))
    assert {(0, 3), (0, 6), (1, 3), (1, 4), (1, 5)} <= blocked
    for name in ("g1", "g1f", "d2f"):
        with pytest.raises(IllegalActionError):
            game.string_to_action(mine, name)
    allowed = Flagz(flag_beside_five=True)
    assert allowed.string_to_action(mine, "d2f") == 13


def test_who_cannot_move_is_skipped_or_has_lost() -> None:
    game = Flagz(rows=3, columns=3, rocks=0, grass=0, flags=1)
    walls = dict.fromkeys([(1, 0), (1, 1), (2, 0)], ("rock", 7))
    flags = {(0, 0): (0, 0), (2, 2): (1, 0)}
    # o has no flag left and grows nowhere. Behind, it has lost at once.
    state = play(game, position(game, {**walls, **flags, (2, 1): ("rock", 7)}), "b1")
    assert bool(state.over) and scores(game, state) == (1, 0)
    assert game.returns(state).tolist() == [1, -1]
    # Ahead, it looks on while x moves again.
    state = play(game, position(game, {**walls, **flags, (2, 1): (1, 3)}), "b1")
    assert not bool(state.over) and int(state.player) == 0
    state = play(game, state, "c1")
    assert bool(state.over) and scores(game, state) == (3, 3)
    assert game.returns(state).tolist() == [0, 0]
    assert game.render(state).splitlines()[-1] == "draw (x 3, o 3; flags x 0, o 0)"
    assert game.board(state).clicks == {}


def test_starts_are_random_and_repeat(game: Flagz) -> None:
    starts = jax.vmap(game.init)(jax.random.split(jax.random.key(3), 64))
    again = jax.vmap(game.init)(jax.random.split(jax.random.key(3), 64))
    np.testing.assert_array_equal(starts.cells, again.cells)
    assert len(np.unique(np.asarray(starts.cells).reshape(64, -1), axis=0)) == 64
    for index in range(8):
        pieces = read(game, jax.tree.map(lambda leaf, i=index: leaf[i], starts))
        kinds = [kind for kind, _ in pieces.values()]
        assert kinds.count("rock") == 15
        grass = [worth for kind, worth in pieces.values() if kind == "grass"]
        assert sorted(grass) == [1, 2, 3, 4, 5]


def test_auxiliary_targets_are_the_movers(game: Flagz) -> None:
    final = position(game, {(0, 0): (0, 4), (1, 0): (0, 0), (5, 5): (1, 3), (2, 2): ("rock", 7)})
    for player, sign in ((0, 1), (1, -1)):
        state = dataclasses.replace(final, player=jnp.int8(player))
        targets = game.auxiliary_targets(state, final)
        ownership = np.zeros((11, 10))
        ownership[0, 0] = ownership[1, 0] = sign
        ownership[5, 5] = -sign
        np.testing.assert_array_equal(targets["ownership"], ownership)
        assert float(targets["score_margin"]) == pytest.approx(sign / 105)


def test_text_and_board() -> None:
    game = Flagz(rows=3, columns=3, rocks=1, grass=1, flags=2)
    pieces = {(0, 0): ("rock", 7), (1, 1): ("grass", 1), (0, 2): (0, 0), (2, 0): (1, 2)}
    state = position(game, pieces)
    assert game.render(state) == "\n".join(
        [
            "   a   b   c",
            " 1 ##  +1  x!",
            " 2   .   g1",
            " 3 o2  .   .",
            "x to move (x 0, o 2; flags x 1, o 2)",
        ]
    )
    board = game.board(state)
    assert (board.kind, board.rows, board.columns) == ("hex", 3, 3)
    assert board.cells == [
        "rock", "", "x flag", "", "grass 1", "void", "o 2", "", ""
    ]  # fmt: skip
    assert board.hands == [["x flag"], ["o flag"] * 2]
    assert board.clicks == {(1,): 10, (9, 1): 1, (9, 3): 3, (9, 7): 7, (9, 8): 8}
    assert game.string_to_action(state, "B1F") == 1
    with pytest.raises(IllegalActionError, match="'c1' is not a legal move here"):
        game.string_to_action(state, "c1")


def test_symmetries_are_those_of_the_board(game: Flagz) -> None:
    assert [symmetry.name for symmetry in game.symmetries()] == [
        "left-right", "up-down", "half turn"
    ]  # fmt: skip
    assert len(Flagz(rows=4).symmetries()) == 1
    left_right = game.symmetries()[0].permutation
    assert left_right[0] == 9 and left_right[10] == 18 and left_right[110 + 18] == 110 + 10
    # The law over random positions is in test_laws; here, that images look as they should.
    cell = random.Random(0).choice([divmod(c, 10) for c in range(110) if c % 20 != 19])
    state = position(game, {cell: (0, 3)})
    mapped = read(game, game.symmetries()[1].map_state(state))
    assert mapped == {(10 - cell[0], cell[1]): (0, 3)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 2}, "flagz: rows is 2, but must be between 3 and 11"),
        ({"columns": 11}, "flagz: columns is 11, but must be between 3 and 10"),
        ({"grass": 6}, "flagz: grass is 6, but must be between 0 and 5"),
        ({"rocks": 99}, "flagz: rocks is 99, but must be between 0 and 98"),
        ({"flags": 0}, "flagz: flags is 0, but must be between 1 and 9"),
    ],
)
def test_options_out_of_range(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Flagz(**options)
