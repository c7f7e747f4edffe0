"""A position is handed to the other player only by a change that the rules carry on."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array

from selfplay.check.conformance import examine
from selfplay.check.play.exchange import find_turn
from selfplay.game import Game, pytree
from selfplay.registry import make
from tests.check.planted.games import Plain, WinsOfPlayerOneGoToPlayerZero
from tests.check.planted.learning import Counted

LINES = jnp.array(
    [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]]
)


@pytree
class Marks:
    """Marks, and who is to move, which only follows from the ply."""

    cells: Array
    ply: Array
    player: Array


class MoverFromPly(Game[Marks]):
    """Tic-tac-toe in which `step` takes the next mover from the ply."""

    name = "mover_from_ply"
    num_actions = 9
    max_plies = 9

    def init(self, key: Any) -> Marks:
        return Marks(cells=jnp.full(9, -1, jnp.int8), ply=jnp.int32(0), player=jnp.int32(0))

    def step(self, state: Marks, action: Any) -> Marks:
        ply = state.ply + 1
        cells = state.cells.at[action].set(state.player.astype(jnp.int8))
        return Marks(cells=cells, ply=ply, player=self.mover(ply))

    def mover(self, ply: Any) -> Any:
        return ply % 2

    def current_player(self, state: Marks) -> Any:
        return state.player

    def legal_action_mask(self, state: Marks) -> Any:
        return state.cells < 0

    def won(self, state: Marks) -> Any:
        return jnp.stack([(state.cells[LINES] == player).all(-1).any() for player in (0, 1)])

    def is_terminal(self, state: Marks) -> Any:
        return self.won(state).any() | (state.cells >= 0).all()

    def returns(self, state: Marks) -> Any:
        won = self.won(state).astype(jnp.float32)
        return won - won[::-1]

    def observe(self, state: Marks) -> Any:
        planes = [state.cells == state.player, state.cells == 1 - state.player]
        return jnp.stack(planes, -1).reshape(3, 3, 2).astype(jnp.float32)


class TwoStonesATurn(MoverFromPly):
    """One stone, then two a turn, as in Connect6."""

    name = "two_stones"

    def mover(self, ply: Any) -> Any:
        return (ply + 1) // 2 % 2

    def observe(self, state: Marks) -> Any:
        second = jnp.full((3, 3, 1), state.ply % 2 == 0).astype(jnp.float32)
        return jnp.concatenate([super().observe(state), second], -1)


class ResultForWhoIsToMove(MoverFromPly):
    """A planted mistake: entry 0 of the results is for the player to move."""

    def returns(self, state: Marks) -> Any:
        plain = super().returns(state)
        return jnp.where(state.player == 0, plain, plain[::-1])


class PlayerZeroFirst(TwoStonesATurn):
    """A planted mistake: the marks of player 0 come first, whoever is to move."""

    def observe(self, state: Marks) -> Any:
        planes = [state.cells == 0, state.cells == 1]
        second = jnp.full((3, 3), state.ply % 2 == 0)
        return jnp.stack([*(plane.reshape(3, 3) for plane in planes), second], -1) * 1.0


@pytest.mark.parametrize("game", [MoverFromPly(), TwoStonesATurn()], ids=lambda game: game.name)
def test_a_mover_that_follows_from_the_ply_is_no_fault(game: Game[Any]) -> None:
    report = examine(game, matches=16, measures=False)
    assert report.ok, [fault.to_text() for fault in report.faults]
    twin = report.measures["twin"]
    assert "state.ply" in twin["exchange"]
    assert (twin["alike"], twin["unproven"]) == (16, [])


@pytest.mark.parametrize(
    ("game", "rule"),
    [(ResultForWhoIsToMove(), "value-sign"), (PlayerZeroFirst(), "observation-side")],
    ids=["sign", "side"],
)
def test_a_mistake_is_found_where_the_mover_follows_from_the_ply(
    game: Game[Any], rule: str
) -> None:
    report = examine(game, matches=16, measures=False)
    assert [fault.rule for fault in report.faults] == [rule]
    assert rule not in report.measures["twin"]["unproven"]


def test_a_twin_that_cannot_be_played_is_said() -> None:
    twin = examine(Counted(), matches=16, measures=False).measures["twin"]
    assert twin["exchange"] is None
    assert twin["unproven"] == ["value-sign", "seats", "observation-side"]
    assert "no number of the state hands the turn" in twin["why"]
    assert twin["read_matches"] > 1000


def test_a_state_in_one_number_is_handed_over_by_one_bit() -> None:
    """Bits 0 to 8 and 9 to 17 are the marks of the players, bit 18 is who is to move."""

    class Packed(Plain):
        name = "packed"

        def init(self, key: Any) -> Any:
            return {"all": jnp.int32(0)}

        def cells(self, state: Any) -> Any:
            marks = (state["all"] >> jnp.arange(18)) & 1
            return jnp.where(marks[:9] == 1, 0, jnp.where(marks[9:] == 1, 1, -1))

        def current_player(self, state: Any) -> Any:
            return state["all"] >> 18

        def step(self, state: Any, action: Any) -> Any:
            mark = 1 << (action + 9 * self.current_player(state))
            return {"all": (state["all"] | mark) ^ (1 << 18)}

        def legal_action_mask(self, state: Any) -> Any:
            return self.cells(state) < 0

        def won(self, state: Any) -> Any:
            cells = self.cells(state)
            return jnp.stack([(cells[LINES] == player).all(-1).any() for player in (0, 1)])

        def is_terminal(self, state: Any) -> Any:
            return self.won(state).any() | (self.cells(state) >= 0).all()

        def returns(self, state: Any) -> Any:
            won = self.won(state).astype(jnp.float32)
            return won - won[::-1]

        def observe(self, state: Any) -> Any:
            cells, player = self.cells(state), self.current_player(state)
            planes = jnp.stack([cells == player, cells == 1 - player], -1)
            return planes.reshape(3, 3, 2).astype(jnp.float32)

        render = Game.render
        action_to_string = Game.action_to_string

    report = examine(Packed(), matches=16, measures=False)
    assert report.ok, [fault.to_text() for fault in report.faults]
    assert report.measures["twin"]["exchange"] == "bit 18 of state['all'] changed"
    assert report.measures["twin"]["alike"] == 16


def test_the_lowest_bit_of_a_board_is_no_counter() -> None:
    """A mark on the first cell makes the number that holds the board one higher."""

    class Bits(MoverFromPly):
        def init(self, key: Any) -> Any:
            return {"marks": jnp.zeros(2, jnp.int32), "ply": jnp.int32(0)}

        def step(self, state: Any, action: Any) -> Any:
            marks = state["marks"].at[self.current_player(state)].add(1 << action)
            return {"marks": marks, "ply": state["ply"] + 1}

        def current_player(self, state: Any) -> Any:
            return state["ply"] % 2

        def legal_action_mask(self, state: Any) -> Any:
            return ((state["marks"].sum() >> jnp.arange(9)) & 1) == 0

        def is_terminal(self, state: Any) -> Any:
            return state["ply"] >= 9

        def returns(self, state: Any) -> Any:
            return jnp.zeros(2)

        def observe(self, state: Any) -> Any:
            return self.legal_action_mask(state).astype(jnp.float32)

    game = Bits()
    states = [game.init(None)]
    for action in (3, 0, 8, 5, 1):
        states.append(game.step(states[-1], action))
    # The leaves of a state are "marks" and "ply".
    assert find_turn(game, states).counters == ((1, 0),)


def test_a_row_of_bits_is_no_counter_however_few_of_its_bits_are_seen_to_change() -> None:
    # Only leftmost lines are drawn here: each row grows from 0 to 1.
    game = make("dots_and_boxes")
    states = [game.init(jax.random.key(0))]
    for action in (9, 0, 3, 6):
        states.append(game.step(states[-1], jnp.int32(action)))
    names = [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(states[0])
    ]
    counters = find_turn(game, jax.device_get(states)).counters
    assert [names[leaf] for leaf, _ in counters] == [".player"]


def test_the_exchange_is_named_in_the_message() -> None:
    (fault,) = examine(WinsOfPlayerOneGoToPlayerZero(), matches=16, measures=False).faults
    assert "if the other player had begun (state.player changed), the same moves" in fault.message
