"""The state decorator, the defaults of `Game`, and matches stepped over as positions."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Bool, Float32, Int32, Key

from selfplay.errors import IllegalActionError
from selfplay.game import (
    Game,
    Position,
    Transition,
    advance,
    is_over,
    is_truncated,
    legal_actions,
    pytree,
    start,
    title_of,
)
from selfplay.games.connect_four import ConnectFour


@pytree
class Pile:
    stones: Int32[Array, ""]
    player: Int32[Array, ""]


class Stones(Game[Pile]):
    """Take one stone and move again, or take two; who takes the last one wins.

    The pile is random at the start, and action 2 passes, so that a match need never end.
    """

    name = "stones"
    num_actions = 3

    def __init__(self, max_plies: int = 40) -> None:
        self.max_plies = max_plies

    def init(self, key: Key[Array, ""]) -> Pile:
        return Pile(stones=jax.random.randint(key, (), 5, 1000), player=jnp.int32(0))

    def step(self, state: Pile, action: Int32[Array, ""]) -> Pile:
        taken = jnp.array([1, 2, 0])[action]
        stones = state.stones - taken
        repeats = (action == 0) & (stones > 0)
        return Pile(stones=stones, player=jnp.where(repeats, state.player, 1 - state.player))

    def current_player(self, state: Pile) -> Int32[Array, ""]:
        return state.player

    def legal_action_mask(self, state: Pile) -> Bool[Array, "3"]:
        return jnp.array([1, 2, 0]) <= state.stones

    def is_terminal(self, state: Pile) -> Bool[Array, ""]:
        return state.stones == 0

    def returns(self, state: Pile) -> Float32[Array, "2"]:
        # The player before this one took the last stone. A match cut short is a draw.
        won = jnp.where(jnp.arange(2) == state.player, -1.0, 1.0)
        return jnp.where(self.is_terminal(state), won, 0.0)

    def observe(self, state: Pile) -> Float32[Array, "1"]:
        return state.stones.astype(jnp.float32)[None]


def position(stones: int, player: int = 0, ply: int = 0) -> Position[Pile]:
    pile = Pile(stones=jnp.int32(stones), player=jnp.int32(player))
    return Position(state=pile, ply=jnp.int32(ply))


def play(game: Stones, before: Position[Pile], action: int) -> Transition:
    return advance(game, before, jnp.int32(action))


def test_a_pytree_survives_every_rebuilding() -> None:
    pile = position(3).state
    batched = jax.vmap(lambda n: Pile(stones=n, player=n))(jnp.arange(4))
    assert batched.stones.shape == (4,)
    assert jax.eval_shape(lambda state: state, batched).player.shape == (4,)
    assert jax.tree.map(lambda leaf: None, pile, is_leaf=lambda leaf: leaf is None) is not None
    doubled = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf * 2, state))(pile)
    assert isinstance(doubled, Pile) and int(doubled.stones) == 6


def test_a_pytree_names_its_fields_in_paths() -> None:
    paths = [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(position(3))]
    assert paths == [".state.stones", ".state.player", ".ply"]


def test_a_pytree_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        position(3).state.stones = jnp.int32(1)


def test_annotations_are_checked_where_a_pytree_is_built() -> None:
    with pytest.raises(TypeError, match="ply"):
        Position(state=position(3).state, ply=jnp.float32(0))


def test_the_same_player_again_keeps_the_sign() -> None:
    game = Stones()
    after = play(game, position(5), 0)
    assert int(after.position.state.player) == 0
    assert float(after.discount) == 1.0 and float(after.reward) == 0.0 and not bool(after.over)


def test_the_other_player_turns_the_sign() -> None:
    after = play(Stones(), position(5), 1)
    assert int(after.position.state.player) == 1
    assert int(after.position.ply) == 1
    assert float(after.discount) == -1.0 and float(after.reward) == 0.0 and not bool(after.over)


@pytest.mark.parametrize("player", [0, 1])
def test_the_reward_is_the_movers(player: int) -> None:
    after = play(Stones(), position(2, player), 1)
    assert bool(after.over)
    assert float(after.reward) == 1.0 and float(after.discount) == 0.0


def test_an_ended_match_absorbs() -> None:
    game = Stones()
    ended = play(game, position(2, ply=7), 1).position
    again = play(game, ended, 0)
    jax.tree.map(np.testing.assert_array_equal, ended, again.position)
    assert float(again.reward) == 0.0 and float(again.discount) == 0.0 and bool(again.over)


def test_the_length_cap_ends_a_match_with_the_declared_result() -> None:
    game = Stones(max_plies=3)
    before = position(100, ply=2)
    assert not bool(is_over(game, before)) and not bool(is_truncated(game, before))
    after = play(game, before, 2)
    assert bool(after.over) and bool(is_truncated(game, after.position))
    assert float(after.reward) == 0.0 and float(after.discount) == 0.0
    np.testing.assert_array_equal(game.returns(after.position.state), [0, 0])
    jax.tree.map(
        np.testing.assert_array_equal, play(game, after.position, 0).position, after.position
    )


def test_a_match_that_ends_at_the_cap_by_the_rules_is_not_truncated() -> None:
    game = Stones(max_plies=3)
    after = play(game, position(2, ply=2), 1)
    assert bool(after.over) and not bool(is_truncated(game, after.position))
    assert float(after.reward) == 1.0


def test_a_cut_match_scores_what_returns_says() -> None:
    class Leading(Stones):
        """A cut match is won by player 1."""

        def returns(self, state: Pile) -> Float32[Array, "2"]:
            return jnp.array([-1.0, 1.0])

    game = Leading(max_plies=1)
    assert float(play(game, position(100, player=0), 1).reward) == -1.0
    assert float(play(game, position(100, player=1), 1).reward) == 1.0


def test_random_starts_depend_on_the_key_alone() -> None:
    game = Stones()
    piles = [int(start(game, jax.random.key(seed)).state.stones) for seed in (1, 2, 3, 1)]
    assert piles[0] == piles[3]
    assert len(set(piles)) == 3


def test_a_batch_is_its_members() -> None:
    game = Stones()
    members = [position(5), position(2, player=1), position(1), position(0)]
    actions = [0, 1, 0, 2]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    together = jax.jit(jax.vmap(lambda p, a: advance(game, p, a)))(batch, jnp.array(actions))
    for index, (member, action) in enumerate(zip(members, actions, strict=True)):
        alone = play(game, member, action)
        taken: Any = jax.tree.map(lambda leaf: leaf[index], together)  # noqa: B023
        jax.tree.map(np.testing.assert_array_equal, alone, taken)


def test_a_drawn_match_rewards_nobody() -> None:
    game = ConnectFour(rows=4, columns=4)
    now = start(game, jax.random.key(0))
    step = jax.jit(lambda before, action: advance(game, before, action))
    for column in (0, 0, 0, 0, 1, 1, 1, 1, 3, 2, 2, 2, 2, 3, 3, 3):
        after = step(now, jnp.int32(column))
        now = after.position
    assert bool(after.over) and not bool(is_truncated(game, now))
    assert float(after.reward) == 0.0
    np.testing.assert_array_equal(game.returns(now.state), [0, 0])


def test_defaults_need_no_code() -> None:
    game = Stones()
    state = position(1).state
    assert legal_actions(game, state) == [0, 2]
    assert game.symmetries() == () and game.auxiliary_targets(state, state) == {}
    assert game.board(state) is None and game.solve(state) is None
    assert game.render(state) == ".stones = 1\n.player = 0"
    assert game.string_to_action(state, " 2 ") == 2


def test_a_game_may_have_a_title() -> None:
    game = Stones()
    assert title_of(game) == "Stones"
    game.name = "two_heaps_OF_stones"
    assert title_of(game) == "Two heaps OF stones"
    game.title = "Heaps & stones"
    assert title_of(game) == "Heaps & stones"


def test_an_illegal_move_is_refused_with_the_legal_ones() -> None:
    with pytest.raises(IllegalActionError, match="'1' is not a legal move here") as caught:
        Stones().string_to_action(position(1).state, "1")
    assert caught.value.hint == "legal moves: 0 2"


def test_bundled_games_of_equal_options_share_programs() -> None:
    traced: list[Game[Any]] = []

    def look(game: Game[Any], number: Array) -> Array:
        traced.append(game)
        return number + game.num_actions

    compiled = jax.jit(look, static_argnums=0)
    one, other, small = ConnectFour(), ConnectFour(), ConnectFour(rows=4, columns=4)
    assert [int(compiled(game, jnp.int32(1))) for game in (one, other, small)] == [8, 8, 5]
    assert len(traced) == 2 and traced[0] is one and traced[1] is small
    assert one == other != small


def test_a_game_of_a_user_is_equal_to_itself_alone() -> None:
    class Mine(ConnectFour):
        pass

    game = Mine()
    assert game == game and game != Mine() and game != ConnectFour()
    assert len({game, Mine(), Stones(), Stones()}) == 4
