"""Generals against rules written with loops, and what fog and secrecy hide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.errors import ConfigError, IllegalActionError
from selfplay.games.generals import Generals, GeneralsState
from tests.games.matches import Played, play_randomly

NORMAL, MOUNTAIN, CITY, GENERAL = 0, 1, 2, 3
STEPS = ((-1, 0), (0, 1), (1, 0), (0, -1))
SMALL = {"height": 5, "width": 5, "max_turns": 60}


class Reference:
    """One match by the rules, tile by tile."""

    def __init__(self, game: Generals, state: GeneralsState) -> None:
        tiles = np.asarray(state.tiles).astype(int)
        self.game = game
        self.kind = tiles // 9
        self.owner = tiles // 3 % 3 - 1
        self.army = np.asarray(state.army).astype(int)
        self.before = self.owner.copy()
        self.turn = 0
        self.pending: int | None = None

    def legal(self, player: int) -> set[int]:
        actions = {self.game.num_actions - 1}
        for row, column in np.argwhere((self.owner == player) & (self.army >= 2)):
            for direction, (down, right) in enumerate(STEPS):
                r, c = row + down, column + right
                inside = 0 <= r < self.game.height and 0 <= c < self.game.width
                if inside and self.kind[r, c] != MOUNTAIN:
                    first = 8 * (row * self.game.width + column) + 2 * direction
                    actions |= {int(first), int(first) + 1}
        return actions

    def move(self, player: int, action: int) -> None:
        if action == self.game.num_actions - 1 or action not in self.legal(player):
            return
        row, column = divmod(action // 8, self.game.width)
        down, right = STEPS[action // 2 % 4]
        target = row + down, column + right
        army = self.army[row, column]
        sent = army // 2 if action % 2 else army - 1
        self.army[row, column] -= sent
        if self.owner[target] == player:
            self.army[target] += sent
        elif sent > self.army[target]:
            self.army[target] = sent - self.army[target]
            self.owner[target] = player
        else:
            self.army[target] -= sent

    def play(self, action: int) -> None:
        if self.pending is None:
            self.pending = action
            return
        self.turn += 1
        self.before = self.owner.copy()
        moves = [(0, self.pending), (1, action)]
        if self.game.alternate and self.turn % 2 == 0:
            moves.reverse()
        for player, move in moves:
            self.move(player, move)
        for tile in np.ndindex(self.owner.shape):
            if self.before[tile] >= 0:
                grows = self.kind[tile] >= CITY or (
                    self.kind[tile] == NORMAL and not self.turn % 25
                )
                self.army[tile] += grows
        self.pending = None

    def lost(self) -> list[bool]:
        return [bool(self.owner[self.kind == GENERAL + player] == 1 - player) for player in (0, 1)]

    def returns(self) -> list[float]:
        lost = self.lost()
        soldiers = [self.army[self.owner == player].sum() for player in (0, 1)]
        result = lost[1] - lost[0] if any(lost) else np.sign(soldiers[0] - soldiers[1])
        return [result, -result]

    def seen(self, player: int) -> np.ndarray:
        seen = np.zeros(self.owner.shape, bool)
        for row, column in np.argwhere(self.before == player):
            seen[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
        return seen


@pytest.fixture(scope="module")
def game() -> Generals:
    return Generals(**SMALL)


@pytest.fixture(scope="module")
def plies(game: Generals) -> list[Played]:
    return list(play_randomly(game, 48, seed=2))


def board(
    kind: list[list[int]], owner: list[list[int]], army: list[list[int]], *, turn: int = 0
) -> GeneralsState:
    tiles = 9 * np.array(kind) + 4 * (np.array(owner) + 1)
    return GeneralsState(
        tiles=jnp.array(tiles, jnp.uint8),
        army=jnp.array(army, jnp.int16),
        turn=jnp.int16(turn),
        pending=jnp.int16(-1),
    )


def small(owned: dict[tuple[int, int], tuple[int, int]], *, turn: int = 0) -> GeneralsState:
    """Returns 5 by 5 tiles, generals in two corners; `owned` gives owner and army of a tile."""
    kind, owner, army = np.zeros((5, 5), int), np.full((5, 5), -1), np.zeros((5, 5), int)
    kind[0, 0], kind[4, 4] = GENERAL, GENERAL + 1
    for tile, (player, soldiers) in {(0, 0): (0, 5), (4, 4): (1, 5), **owned}.items():
        owner[tile], army[tile] = player, soldiers
    return board(kind.tolist(), owner.tolist(), army.tolist(), turn=turn)


def play(game: Generals, state: GeneralsState, text: str) -> GeneralsState:
    for name in text.split():
        state = game.step(state, jnp.int32(game.string_to_action(state, name)))
    return state


def test_random_matches_agree_with_the_rules_tile_by_tile(
    game: Generals, plies: list[Played]
) -> None:
    taken = 0
    for index in range(16):
        reference = Reference(game, jax.tree.map(lambda leaf, i=index: leaf[i], plies[0].states))
        for ply in plies:
            lost = reference.lost()
            over = any(lost) or reference.turn == game.max_turns
            assert bool(ply.over[index]) == over
            assert ply.returns[index].tolist() == reference.returns()
            np.testing.assert_array_equal(np.asarray(ply.states.army[index]), reference.army)
            owner = np.asarray(ply.states.tiles[index]).astype(int) // 3 % 3 - 1
            np.testing.assert_array_equal(owner, reference.owner)
            was, now = reference.before, reference.owner
            taken += ((was >= 0) & (now >= 0) & (was != now)).sum()
            if over:
                break
            player = int(reference.pending is not None)
            assert ply.player[index] == player
            assert set(np.flatnonzero(ply.mask[index])) == reference.legal(player)
            np.testing.assert_array_equal(ply.observation[index][..., 0], reference.seen(player))
            reference.play(int(ply.actions[index]))
    assert taken > 20


def test_maps_are_random_and_as_ordered() -> None:
    game = Generals()
    keys = jax.random.split(jax.random.key(0), 64)
    init = jax.jit(jax.vmap(game.init))
    starts = init(keys)
    np.testing.assert_array_equal(starts.tiles, init(keys).tiles)
    assert len(np.unique(np.asarray(starts.tiles).reshape(64, -1), axis=0)) == 64
    for tiles, army in zip(np.asarray(starts.tiles), np.asarray(starts.army), strict=True):
        kind, owner = tiles // 9, tiles.astype(int) // 3 % 3 - 1
        assert (kind == CITY).sum() == 5 and (army[kind == CITY] == 40).all()
        assert 5 <= (kind == MOUNTAIN).sum() <= 8
        generals = [np.argwhere(kind == GENERAL + player) for player in (0, 1)]
        assert [len(places) for places in generals] == [1, 1]
        assert np.abs(generals[0] - generals[1]).sum() >= 5
        assert [int(owner[tuple(places[0])]) for places in generals] == [0, 1]
        assert army.sum() == 5 * 40 + 2 * 2 and (owner >= 0).sum() == 2


def test_both_commitments_are_made_in_one_step(game: Generals) -> None:
    start = small({})
    state = play(game, start, "a1r")
    np.testing.assert_array_equal(state.army, start.army)
    assert int(game.current_player(state)) == 1 and int(state.turn) == 0
    state = play(game, state, "e5lh")
    assert int(state.turn) == 1 and int(game.current_player(state)) == 0
    # Four and half of five moved on; the generals then grew by one.
    assert [int(state.army[tile]) for tile in ((0, 0), (0, 1), (4, 4), (4, 3))] == [2, 4, 4, 2]


def test_an_equal_army_does_not_capture(game: Generals) -> None:
    start = small({(2, 2): (0, 5), (2, 3): (1, 4)})
    state = play(game, start, "c3r wait")
    assert int(state.army[2, 3]) == 0
    assert game.render(state).splitlines()[3].split()[-2:] == ["o0", "."]


@pytest.mark.parametrize(
    ("turn", "alternate", "armies"),
    [(0, True, [10, 0]), (1, True, [18, 8]), (1, False, [10, 0])],
)
def test_a_move_is_lost_if_its_source_was_captured_first(
    turn: int, alternate: bool, armies: list[int]
) -> None:
    game = Generals(alternate=alternate, **SMALL)
    start = small({(2, 2): (0, 20), (2, 3): (1, 9)}, turn=turn)
    state = play(game, start, "c3r d3r")
    assert [int(state.army[2, 3]), int(state.army[2, 4])] == armies


def test_capturing_the_general_wins_and_both_is_a_draw(game: Generals) -> None:
    start = small({(0, 1): (1, 9), (4, 3): (0, 9)})
    won = play(game, start, "d5r wait")
    assert bool(game.is_terminal(won)) and game.returns(won).tolist() == [1, -1]
    assert game.render(won).splitlines()[-1].startswith("x wins")
    both = play(game, start, "d5r b1l")
    assert bool(game.is_terminal(both)) and game.returns(both).tolist() == [0, 0]
    assert game.board(both).clicks == {}


def test_growth_follows_the_owner_of_the_turn_before(game: Generals) -> None:
    start = small({(1, 1): (0, 3), (3, 3): (1, 3)}, turn=24)
    state = play(game, start, "b2r wait")
    assert int(state.turn) == 25
    # Owned tiles grow; the one taken this turn does not.
    assert [int(state.army[tile]) for tile in ((1, 1), (1, 2), (3, 3), (0, 0))] == [2, 2, 4, 6]


@pytest.mark.parametrize("full_fog", [False, True])
def test_observations_do_not_show_what_is_hidden(plies: list[Played], full_fog: bool) -> None:
    """Pending moves, and armies and owners out of sight, change nothing one sees."""
    game = Generals(full_fog=full_fog, **SMALL)
    observe = jax.vmap(game.observe)
    changed = 0
    for ply in plies[2:40:7]:
        # Matches that are over do not go from player to player.
        live = np.flatnonzero(~ply.over)
        states = jax.tree.map(lambda leaf, live=live: leaf[live], ply.states)
        leaves, structure = jax.tree.flatten(states)
        plain = np.asarray(observe(states))
        player = ply.player[live[0]]
        if player == 1:
            other = jnp.full_like(states.pending, game.num_actions - 1)
            secret = jax.tree.unflatten(structure, [*leaves[:3], other])
            np.testing.assert_array_equal(observe(secret), plain)
        seen = plain[..., 0] > 0
        # Move the other player's soldiers about where they are not seen: the totals stay.
        army = np.asarray(states.army).copy()
        owner = np.asarray(states.tiles).astype(int) // 3 % 3 - 1
        for index in range(len(army)):
            hidden = np.argwhere(~seen[index] & (owner[index] == 1 - player))
            if len(hidden) > 1 and army[index][tuple(hidden[0])] > 0:
                army[index][tuple(hidden[0])] -= 1
                army[index][tuple(hidden[1])] += 1
                changed += 1
        moved = jax.tree.unflatten(structure, [leaves[0], jnp.asarray(army), *leaves[2:]])
        np.testing.assert_array_equal(observe(moved), plain)
        if full_fog:
            # Unseen cities and mountains look alike, unseen generals like nothing.
            assert (plain[..., 6:8][~seen] == 0).all() and (plain[..., 9:11][~seen] == 0).all()
    assert changed > 5


def test_text_and_board(game: Generals) -> None:
    state = small({(2, 2): (0, 3)})
    assert game.render(state).splitlines()[1] == " 1 X5   .    .    .    ."
    assert game.render(state).splitlines()[-1] == "x to commit a move (turn 1)"
    assert game.string_to_action(state, "C3RH") == 8 * 12 + 3
    view = game.board(state)
    assert view.clicks[(12, 13)] == 98 and view.clicks[(12, 12, 13)] == 99
    assert view.clicks[()] == game.num_actions - 1 == 200
    assert view.cells[0] == "crown 5" and view.cells[12] == "3" and view.cells[1] == ""
    assert view.owners[0] == view.owners[12] == 0 and view.owners[1] is None
    with pytest.raises(IllegalActionError, match="'a1u' is not a legal move here"):
        game.string_to_action(state, "a1u")


@pytest.mark.parametrize("option", ["height", "width"])
def test_size_out_of_range(option: str) -> None:
    with pytest.raises(ConfigError, match=f"generals: {option} is 4, but must be between 5 and 20"):
        Generals(**{option: 4})
