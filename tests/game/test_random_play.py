"""One random ply: the keys it draws from, and what it plays."""

import jax
import jax.numpy as jnp

from selfplay.game import advance, draw_outcome, random_legal_action, random_ply, start
from selfplay.registry import make

KEY = jax.random.key(3)


def same(one, other):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all((a == b).all() for a, b in pairs)


def test_without_chance_the_key_draws_the_action():
    game = make("tic_tac_toe")
    position = start(game, KEY)
    played = random_ply(game, position, key=KEY)
    assert int(played.action) == int(random_legal_action(game, position.state, key=KEY))
    assert int(played.outcome) == -1
    assert same(played.position, advance(game, position, played.action).position)
    chance_key = jax.random.key(8)
    assert same(played, random_ply(game, position, key=KEY, chance_key=chance_key))


def test_with_chance_one_key_is_split_in_two():
    game = make("einstein_wuerfelt_nicht")
    position = start(game, KEY)
    key, chance_key = jax.random.split(KEY)
    played = random_ply(game, position, key=KEY)
    assert same(played, random_ply(game, position, key=key, chance_key=chance_key))
    drawn = draw_outcome(game, position, played.action, key=chance_key)
    assert int(played.outcome) == int(drawn) >= 0
    assert same(played.position, advance(game, position, played.action, drawn).position)


def test_actions_are_legal_and_all_of_them_come_up():
    game = make("tic_tac_toe")
    position = advance(game, start(game, KEY), jnp.int32(4)).position
    ply = jax.jit(jax.vmap(lambda key: random_ply(game, position, key=key).action))
    drawn = set(ply(jax.random.split(KEY, 400)).tolist())
    assert drawn == set(range(9)) - {4}
